"""The `stream-avs` command: finds the subcommand, runs it, and turns known errors into one line."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

# Idle OpenMP threads must not spin: beside capture and encoding, spinning makes the network many
# times slower. Read by libgomp when torch is first imported, so it has to be set before that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from stream_avs import __version__
from stream_avs.errors import ConfigError, StreamAvsError, nearest

COMMANDS = {
    "run": "point a camera, file or stream at the network and publish masks",
    "devices": "list cameras and microphones",
    "subscribe": "receive masks: print, save or draw them",
    "view": "see in a browser what sounds, live or recorded",
    "record": "keep everything that was seen, heard and decided",
    "replay": "a recorded session again; --compare tells what a new model changes",
    "render": "a recording or a film to an overlay video, or to a contact sheet",
    "calibrate": "camera intrinsics, camera-microphone shift, microphone level",
    "node": "one process of a robot: capture, segmenter or overlay; over ZeroMQ, ROS 2 or DDS",
    "control": "command a running session: status, reset, pause, resume, stop",
    "keygen": "keys, so that other machines may read masks, and nobody else may",
    "doctor": "what is installed, what is missing and the command to get it",
    "soak": "watch a session for an hour: does memory, age or anything else grow?",
    "drill": "break a session on purpose and measure how it mends",
    "bench": "what the pipeline adds to a mask's age, a long run, what one mask costs",
    "model": "list presets; parameters and operations of one",
    "weights": "fetch published weights, or say where to put them",
    "dataset": "check AVSBench folders; write composed scenes",
    "train": "train a network on AVSBench or composed scenes",
    "finetune": "train on a few labelled clips of your own",
    "eval": "score a checkpoint: J, F, silent-frame false alarms",
    "compare": "train all networks alike at small scale; tables, plot and raw results",
}
"""Each is `stream_avs.commands.<name>` with `run(argv) -> exit code`."""

EXAMPLES = """\
examples:
  stream-avs run --source webcam --publish tcp://127.0.0.1:5557
  stream-avs run --source talk.mp4 --overlay out/talk.mp4
  stream-avs subscribe tcp://127.0.0.1:5557
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 fine, 2 usage, others see `errors`)."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"stream-avs {__version__}")
        return 0
    name, *rest = arguments
    try:
        if name not in COMMANDS:
            raise ConfigError(f"unknown command {name!r}", nearest(name, COMMANDS))
        run = import_module(f"stream_avs.commands.{name}").run
        return int(run(rest))
    except StreamAvsError as error:
        print(f"stream-avs: error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "stream_avs":
            raise
        print(
            f"stream-avs: error: {error.name} is not installed. Run: pip install 'stream-avs[live]'"
            " (or [train] for training)",
            file=sys.stderr,
        )
        return 8
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output went away, e.g. `| head`. Nothing is left to say, nor anyone to hear it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: stream-avs COMMAND [options]\n\n"
        "Live audio-visual segmentation: which pixels make the sound I hear now?\n\n"
        f"commands:\n{lines}\n\n{EXAMPLES}\n"
        "`stream-avs COMMAND --help` explains every option."
    )


def script() -> NoReturn:
    """Entry point of the installed command: `main`, then leave at once.

    Every command closes what it opened before it returns. Unloading torch would take up to another
    second, and Ctrl-C has to end a live session within one.
    """
    try:
        code = main()
    except SystemExit as end:  # argument parsing ends this way
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    script()
