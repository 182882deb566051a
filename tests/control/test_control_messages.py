"""Commands and answers: what is read, what is refused; the rate; the gate."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.capture.base import SourceInfo
from stream_avs.control.gate import Gate
from stream_avs.control.messages import (
    COMMANDS,
    MAX_REQUEST_BYTES,
    Done,
    Refused,
    Reset,
    State,
    Status,
    Threshold,
    decode_reply,
    decode_request,
    encode,
    words_of,
)
from stream_avs.errors import WireError
from stream_avs.publish.rate_limit import RateLimit
from stream_avs.types import AudioBlock, Event, SourceState

STATE = State(
    stream="cam0", source="camera 0", source_state="live", source_detail="", paused=False, masks=3,
    masks_per_s=9.5, age_p50_ms=None, age_p95_ms=12.0, state="ok", rung="full", counts={"stale": 2},
    threshold=0.55,
)  # fmt: skip
VALUES = [Reset(reason="moved to room 2"), Threshold(value=0.55), Threshold(value=math.nextafter(1, 0))]


@pytest.mark.parametrize("request_", [*(c() for c in COMMANDS.values()), *VALUES])
def test_requests_read_back(request_) -> None:
    assert decode_request(encode(request_)) == request_


@pytest.mark.parametrize("reply", [Done(), Refused(what="no", next_step="ask"), STATE])
def test_replies_read_back(reply) -> None:
    assert decode_reply(encode(reply)) == reply


@pytest.mark.parametrize(
    "raw",
    [
        {"command": "format"},
        {"command": "status", "also": 1},
        {"command": "reset", "reason": ""},
        {"command": "reset", "reason": "x" * 65},
        {"command": "reset", "reason": "a\nb"},
        {"command": "reset", "reason": "\x1b[2J"},
        {"command": "reset", "reason": 3},
        *({"command": "threshold", "value": value} for value in (0, 1, -0.5, 1.5, "0.5", True, [0.5])),
        {"command": "threshold", "value": math.nan},
        {"command": "threshold", "value": math.inf},
        {"command": ["stop"]},
        ["stop"],
        "stop",
        {},
        None,
    ],
)
def test_anything_else_is_refused(raw) -> None:
    with pytest.raises(WireError, match="not understood"):
        decode_request(msgspec.msgpack.encode(raw))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    """Random bytes are never a command by chance worth speaking of, and never an exception of their own."""
    for decode in (decode_request, decode_reply):
        with pytest.raises(WireError):
            decode(data)


def test_large_and_deep_requests_are_refused() -> None:
    with pytest.raises(WireError, match="1025 bytes"):
        decode_request(bytes(MAX_REQUEST_BYTES + 1))
    with pytest.raises(WireError, match="not understood"):
        decode_request(b"\x91" * MAX_REQUEST_BYTES)


def test_an_answer_of_a_session_that_tells_no_threshold_is_read() -> None:
    told = msgspec.to_builtins(STATE)
    del told["threshold"]
    assert decode_reply(msgspec.msgpack.encode(told)) == msgspec.structs.replace(STATE, threshold=None)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Reset(reason="x"), "reset"),
        (Threshold(value=0.55), "threshold 0.55"),
        (Threshold(), "threshold default"),
    ],
)
def test_requests_are_told_in_words(request_, words: str) -> None:
    assert words_of(request_) == words


def test_status_is_no_more_than_a_command() -> None:
    assert encode(Status()) == b"\x81\xa7command\xa6status"


@settings(deadline=None)
@given(
    per_s=st.floats(0.5, 100),
    burst=st.floats(1, 50),
    gaps_s=st.lists(st.floats(0, 0.5), min_size=1, max_size=80),
)
def test_no_more_than_burst_and_rate(per_s: float, burst: float, gaps_s: list[float]) -> None:
    limit, now_s, taken = RateLimit(per_s, burst, 0.0), 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        taken += limit.take(now_s)
        assert taken <= math.ceil(burst + per_s * now_s + 1e-6)
    assert limit.take(now_s + burst / per_s + 1.0)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    limit = RateLimit(1.0, 1, 100.0)
    assert limit.take(100.0)
    assert not limit.take(50.0)
    assert not limit.take(100.5)
    assert limit.take(101.0)


class _Sink:
    def __init__(self) -> None:
        self.got: list[object] = []

    def frame(self, image, stamp_ns, arrival_ns, **_) -> None:
        self.got.append(stamp_ns)

    def audio(self, block: AudioBlock) -> None:
        self.got.append("sound")

    def event(self, event: Event, stamp_ns: int, detail: str = "") -> None:
        self.got.append(event)

    def discontinuity(self, reason: str, stamp_ns: int) -> None:
        self.got.append(reason)

    def announce(self, state: SourceState, detail: str = "") -> None:
        self.got.append(state)


def test_a_shut_gate_lets_nothing_pass_and_opens_with_a_break() -> None:
    gate, sink = Gate(), _Sink()
    tapped = gate.tap(sink, SourceInfo(name="x", live=True))
    image = np.zeros((2, 2, 3), np.uint8)
    block = AudioBlock(samples=np.zeros((4, 1), np.float32), stamp_ns=0, sample_rate_hz=16000)
    tapped.frame(image, 1, 1)
    tapped.audio(block)
    gate.pause()
    for stamp_ns in (2, 3):
        tapped.frame(image, stamp_ns, 1)
        tapped.audio(block)
    gate.resume()
    tapped.audio(block)  # of a time without pictures
    tapped.frame(image, 4, 1)
    tapped.audio(block)
    assert sink.got == [
        1, "sound", SourceState.WAITING, Event.PAUSED, Event.PAUSED, SourceState.LIVE, "resume", 4, "sound"
    ]  # fmt: skip
