"""`stream-avs calibrate`: finds the subcommand and runs it."""

from __future__ import annotations

import sys
from importlib import import_module

from stream_avs.errors import ConfigError, nearest

SUBCOMMANDS = {
    "camera": ("calibrate_camera", "intrinsics from a ChArUco board or checkerboard; ROS camera_info YAML"),
    "sync": ("calibrate_sync", "shift between camera and microphone from flashes with beeps, or claps"),
    "mic": ("calibrate_mic", "noise floor, clipping, offset and suggested gain of a microphone"),
    "target": ("calibrate_target", "make the flash-and-beep video, or a board to print"),
    "kalibr": ("calibrate_kalibr", "import a Kalibr camera chain"),
    "show": ("calibrate_show", "check a calibration file and say what is in it"),
}
"""Each is `stream_avs.commands.<module>` with `run(argv) -> exit code`."""

EXAMPLES = """\
examples:
  stream-avs calibrate target board.pdf --kind charuco
  stream-avs calibrate camera --source webcam --name front
  stream-avs calibrate target flash-beep.mp4
  stream-avs calibrate sync --source webcam
  stream-avs calibrate mic
"""


def run(argv: list[str]) -> int:
    """Run one subcommand; returns its exit code."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    name, *rest = argv
    if name not in SUBCOMMANDS:
        raise ConfigError(f"unknown subcommand 'calibrate {name}'", nearest(name, SUBCOMMANDS))
    return int(import_module(f"stream_avs.commands.{SUBCOMMANDS[name][0]}").run(rest))


def _help() -> str:
    width = max(map(len, SUBCOMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {what}" for name, (_, what) in SUBCOMMANDS.items())
    return (
        "usage: stream-avs calibrate SUBCOMMAND [options]\n\n"
        f"subcommands:\n{lines}\n\n{EXAMPLES}\n"
        "`stream-avs calibrate SUBCOMMAND --help` explains every option."
    )
