"""`stream-avs control`: a command to a running session."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import tyro

from stream_avs.commands.arguments import ask
from stream_avs.config import require
from stream_avs.control.client import command
from stream_avs.control.messages import COMMANDS, Reason, Request, Reset, Score, State, Threshold, words_of
from stream_avs.errors import ConfigError

DESCRIPTION = """\
Command a session that runs with `--control.address`. Only keys of role control may, also on the same machine:

  stream-avs keygen ~/.stream-avs robot --role publisher
  stream-avs keygen ~/.stream-avs operator --role control
  mkdir -m 700 ~/.stream-avs/operators && cp ~/.stream-avs/operator.key ~/.stream-avs/operators/
  stream-avs run --source webcam --control.address tcp://127.0.0.1:5558
      --control.key ~/.stream-avs/robot.key_secret --control.clients ~/.stream-avs/operators
  stream-avs control tcp://127.0.0.1:5558 status
      --key ~/.stream-avs/operator.key_secret --server-key ~/.stream-avs/robot.key

  status          how the session is
  reset           clear the carried state before the next window; --reason TEXT is told by the next result
  threshold 0.55  from the next window on, a pixel sounds above this score; `threshold default` gives back
                  the preset's own. The number of --model.threshold: higher marks less, and more surely;
                  nano's hysteresis moves with it. What is carried stays. It lasts as long as the session,
                  through restarts of the worker too; a recording of it is replayed at one threshold
  pause           let nothing that camera and microphone give go further: no masks, no recording, no pictures
  resume          end a pause
  stop            end the session, as Ctrl-C does

  stream-avs control tcp://127.0.0.1:5558 threshold 0.55
      --key ~/.stream-avs/operator.key_secret --server-key ~/.stream-avs/robot.key
"""


@dataclass(frozen=True, kw_only=True)
class ControlCommand:
    """Whom to command, and what."""

    address: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ADDRESS")]
    """Its --control.address, e.g. tcp://127.0.0.1:5558."""
    what: Annotated[
        tyro.conf.Positional[Literal["status", "reset", "threshold", "pause", "resume", "stop"]],
        tyro.conf.arg(metavar="COMMAND"),
    ]
    """status, reset, threshold, pause, resume or stop."""
    value: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="VALUE")] = ""
    """Of threshold: between 0 and 1, or default."""
    key: str = ""
    """Own secret key file (NAME.key_secret), of role control."""
    server_key: str = ""
    """The session's public key file (NAME.key)."""
    reason: str = "request"
    """Why the state is reset: up to 64 letters, digits, spaces or _ . : / -"""
    json: bool = False
    """Print the status as JSON."""
    timeout_s: float = 5.0
    """How long to wait for the answer."""

    def __post_init__(self) -> None:
        require(0 < self.timeout_s <= 600, "timeout_s", self.timeout_s, "(0, 600] s")


def run(argv: list[str]) -> int:
    """Send one command; returns the exit code.

    Raises:
        ConfigError: no keys, or a reason or threshold that is none.
        PublishError: nobody answers, or the session refuses.
    """
    config = ask(ControlCommand, prog="stream-avs control", args=argv, description=DESCRIPTION)
    request = _request(config)
    reply = command(
        config.address, request, key=config.key, server_key=config.server_key, timeout_s=config.timeout_s
    )
    if isinstance(reply, State):
        print(msgspec.json.encode(reply).decode() if config.json else describe(reply))
    else:
        print(f"{words_of(request)}: done", file=sys.stderr)
    return 0


def describe(state: State) -> str:
    """The state of a session in a few lines; names come from outside and stay printable."""
    age = "-" if state.age_p50_ms is None else f"{state.age_p50_ms:.0f} ms"
    threshold = "" if state.threshold is None else f", threshold {state.threshold:g}"
    counts = ", ".join(f"{n} {event}" for event, n in sorted(state.counts.items())) or "none"
    lines = (
        f"{state.stream} <- {state.source}: {state.source_detail or state.source_state}",
        f"{state.masks} masks, {state.masks_per_s:.1f} per second, age {age}, {state.state or 'no mask yet'}"
        + threshold,
        f"events: {counts}",
    )
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def _request(config: ControlCommand) -> Request:
    if config.what == "threshold":
        return Threshold(value=_threshold(config.value))
    if config.value:
        raise ConfigError(f"{config.what} takes no value, found {config.value!r}", "Leave it out")
    if config.what != "reset":
        return COMMANDS[config.what]()
    try:
        msgspec.convert(config.reason, Reason)
    except msgspec.ValidationError:
        raise ConfigError(
            f"reason is {config.reason!r}", "Expected up to 64 letters, digits, spaces or _ . : / -"
        ) from None
    return Reset(reason=config.reason)


def _threshold(text: str) -> float | None:
    if text == "default":
        return None
    try:
        return msgspec.convert(float(text), Score)
    except (ValueError, msgspec.ValidationError):
        raise ConfigError(
            f"threshold is {text!r}", "Expected a number between 0 and 1, or default, e.g. threshold 0.55"
        ) from None
