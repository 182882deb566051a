"""`stream-avs subscribe`: receive masks; print, save or draw them."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import msgspec
import tyro

from stream_avs.commands.arguments import ask
from stream_avs.commands.mask_window import MaskWindow
from stream_avs.config import require
from stream_avs.errors import PublishError, WireError
from stream_avs.publish.palette import mask_png
from stream_avs.publish.png import encode_png
from stream_avs.publish.subscriber import Subscriber, age_ms
from stream_avs.types import MaskResult

DESCRIPTION = "Receive the masks that `stream-avs run` publishes: print, save or draw them."
POLL_S = 0.05


@dataclass(frozen=True, kw_only=True)
class SubscribeConfig:
    """Where to listen and what to do with the masks."""

    address: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ADDRESS")]
    """Where `stream-avs run` publishes, e.g. tcp://127.0.0.1:5557."""
    stream: str = "cam0"
    """Name of the stream, `--name` of `stream-avs run`."""
    profile: Literal["latest", "stream"] = "latest"
    """latest: always the newest mask, older ones are skipped; stream: every mask."""
    save: str = ""
    """Folder for two PNGs per mask: class ids as grey levels, and in colours."""
    draw: bool = False
    """Show the masks in a window; Esc or q ends."""
    count: int = 0
    """End after this many masks; 0 goes on until Ctrl-C."""
    json: bool = False
    """Print one JSON object per line."""
    timeout_s: float = 5.0
    """Give up if nothing is heard for this long at first."""
    key: str = ""
    """Own secret key file (NAME.key_secret), for a publisher with keys; see `stream-avs keygen --help`."""
    server_key: str = ""
    """The publisher's public key file (NAME.key); goes with `--key`."""

    def __post_init__(self) -> None:
        require(self.count >= 0, "count", self.count, "0 or more masks")
        require(0 < self.timeout_s <= 3600, "timeout_s", self.timeout_s, "(0, 3600] s")


class Output(Protocol):
    """Something done with each mask."""

    def __call__(self, result: MaskResult, subscriber: Subscriber) -> None:
        """Take one result."""


def run(argv: list[str]) -> int:
    """Receive masks until Ctrl-C or `--count`; returns the exit code.

    Raises:
        PublishError: the address is malformed, a key file is no good, or nothing is heard there.
        MissingPackageError: `--draw` without an OpenCV that opens windows.
    """
    config = ask(SubscribeConfig, prog="stream-avs subscribe", args=argv, description=DESCRIPTION)
    with ExitStack() as stack:
        outputs: list[Output] = [_print_json if config.json else _print_line]
        if config.save:
            outputs.append(Saver(Path(config.save)))
        window = stack.enter_context(MaskWindow(config.stream)) if config.draw else None
        subscriber = stack.enter_context(
            Subscriber(
                config.address, config.stream, config.profile,
                timeout_s=config.timeout_s, key=config.key, server_key=config.server_key,
                on_malformed=Complaint(),
            )
        )  # fmt: skip
        with suppress(KeyboardInterrupt):
            _receive(config, subscriber, outputs, window)
        print(
            f"{subscriber.received} masks received, {subscriber.missed} missed, "
            f"{subscriber.malformed} malformed",
            file=sys.stderr,
        )
    return 0


def _receive(
    config: SubscribeConfig, subscriber: Subscriber, outputs: list[Output], window: MaskWindow | None
) -> None:
    silent_s = 0.0
    while not config.count or subscriber.received < config.count:
        result = subscriber.recv(POLL_S)
        if window is not None and not window.update(result):
            return
        if result is not None:
            silent_s = 0.0
            for output in outputs:
                output(result, subscriber)
            continue
        silent_s += POLL_S
        if silent_s < config.timeout_s:
            continue
        if not subscriber.received:
            raise subscriber.silence()
        print(f"nothing heard for {config.timeout_s:g} s, still listening", file=sys.stderr)
        silent_s = -float("inf")


class Saver:
    """Writes each mask as two PNG files named by stream and capture time (Unix time, ns).

    Raises:
        PublishError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._error(error) from None
        if not os.access(folder, os.W_OK):
            raise PublishError(f"folder {folder} is not writable", "Choose another folder")

    def __call__(self, result: MaskResult, subscriber: Subscriber) -> None:
        """Save one result."""
        name = f"{result.stream.replace('/', '_')}_{result.stamp_ns + result.unix_offset_ns}"
        try:
            (self._folder / f"{name}_ids.png").write_bytes(encode_png(result.mask))
            (self._folder / f"{name}_colours.png").write_bytes(mask_png(result.mask))
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> PublishError:
        return PublishError(
            f"cannot write to folder {self._folder}: {error.strerror}", "Choose another folder"
        )


class Complaint:
    """Tells of the first malformed message; the others are in the count at the end."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self, error: WireError) -> None:
        """Take note of one message that was skipped."""
        if not self._told:
            print(f"skipped a message: {error}", file=sys.stderr)
        self._told = True


def _print_line(result: MaskResult, subscriber: Subscriber) -> None:
    state = result.state.value + (f" ({result.reset_reason})" if result.reset_reason else "")
    sounds = ", ".join(f"{s.name} {s.score:.0%} on {s.area:.1%} of the picture" for s in result.sounding)
    line = (
        f"{result.window_seq:>7}  frame {result.seq:<7}  age {age_ms(result):6.0f} ms  "
        f"{state:<8}  {sounds or 'nothing sounds'}"
    )
    # Names come from outside: no control characters reach the terminal.
    print("".join(c if c.isprintable() else "?" for c in line), flush=True)


def _print_json(result: MaskResult, subscriber: Subscriber) -> None:
    height, width = result.mask.shape
    fields: dict[str, Any] = {
        "stream": result.stream,
        "seq": result.seq,
        "window_seq": result.window_seq,
        "stamp_ns": result.stamp_ns,
        "unix_offset_ns": result.unix_offset_ns,
        "age_ms": round(age_ms(result), 3),
        "state": result.state,
        "reset_reason": result.reset_reason,
        "sounding": result.sounding,
        "sounding_score": result.sounding_score,
        "audio_level_dbfs": result.audio_level_dbfs,
        "dropped": result.dropped,
        "missed": subscriber.missed,
        "source_size": result.source_size,
        "mask_size": (width, height),
        "model_id": result.model_id,
        "latency_ms": result.latency_ms,
    }
    print(msgspec.json.encode(fields).decode(), flush=True)
