"""What travels on the control socket: typed msgpack, small, unknown keys refused. Pure.

A request is one ZeroMQ frame behind an empty one (REQ, or DEALER that sends the empty frame), its
answer likewise. `{"command": "reset", "reason": "scene changed"}` -> `{"reply": "done"}`.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from stream_avs.errors import WireError

MAX_REQUEST_BYTES = 1024
MAX_REPLY_BYTES = 16 * 1024
MAX_TEXT = 256

Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[\w .:/-]+$")]
"""Copied into results, logs and recordings: no control characters."""
Score = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class _Request(msgspec.Struct, tag_field="command", tag=str.lower, forbid_unknown_fields=True, frozen=True):
    """A command."""


class Status(_Request, frozen=True):
    """Tell how the session is."""


class Reset(_Request, frozen=True):
    """Clear the carried state before the next window."""

    reason: Reason = "request"


class Threshold(_Request, frozen=True):
    """Decide at another threshold from the next window on, carried state kept; None: the preset's own.

    The number is that of `--model.threshold`; with nano, the one of pixels, its hysteresis moved along.
    """

    value: Score | None = None


class Pause(_Request, frozen=True):
    """Let nothing that camera and microphone give go further, until `Resume`."""


class Resume(_Request, frozen=True):
    """End a pause; carried state begins anew."""


class Stop(_Request, frozen=True):
    """End the session as SIGTERM does."""


Request = Status | Reset | Threshold | Pause | Resume | Stop
COMMANDS: dict[str, type[Request]] = {
    c.__name__.lower(): c for c in (Status, Reset, Threshold, Pause, Resume, Stop)
}


class _Reply(msgspec.Struct, tag_field="reply", tag=str.lower, forbid_unknown_fields=True, frozen=True):
    """An answer."""


class Done(_Reply, frozen=True):
    """The command was carried out, or will be before the next window."""


class Refused(_Reply, frozen=True):
    """The command was not carried out, and why."""

    what: Text
    next_step: Text = ""


class State(_Reply, frozen=True):
    """How the session is.

    Ages are those of the last few seconds, None before the first mask; the threshold is None where the
    network has none.
    """

    stream: Text
    source: Text
    source_state: Text
    source_detail: Text
    paused: bool
    masks: int
    masks_per_s: float
    age_p50_ms: float | None
    age_p95_ms: float | None
    state: Text
    rung: Text
    counts: Annotated[dict[Text, int], msgspec.Meta(max_length=256)]
    threshold: float | None = None


Reply = Done | Refused | State

M = TypeVar("M")


def words_of(request: Request) -> str:
    """A request in a few words, for logs and people, e.g. "threshold 0.55"."""
    name = type(request).__name__.lower()
    if isinstance(request, Threshold):
        return f"{name} {'default' if request.value is None else f'{request.value:g}'}"
    return name


def encode(message: Request | Reply) -> bytes:
    """One message as msgpack."""
    return msgspec.msgpack.encode(message)


def decode_request(data: bytes) -> Request:
    """Read a request.

    Raises:
        WireError: too large, or not one of the commands.
    """
    return _decode(data, MAX_REQUEST_BYTES, _REQUESTS, "command")


def decode_reply(data: bytes) -> Reply:
    """Read an answer; see `decode_request` for the errors."""
    return _decode(data, MAX_REPLY_BYTES, _REPLIES, "answer")


def _decode(data: bytes, limit: int, decoder: msgspec.msgpack.Decoder[M], name: str) -> M:
    if len(data) > limit:
        raise WireError(f"{name} has {len(data)} bytes", f"At most {limit} are taken")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{name} is not understood: {error}", f"Known: {', '.join(COMMANDS)}") from None


_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
