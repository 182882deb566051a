"""Outbox, gate, overlay and capture of the ROS nodes, each by itself."""

from __future__ import annotations

import array
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_messages import message, plain
from test_image_fields import result_of

from stream_avs.calibration.camera_info import CameraInfo
from stream_avs.errors import SourceError, WireError
from stream_avs.ledger import Ledger
from stream_avs.ros2 import capture as topics
from stream_avs.ros2.audio_fields import AudioKind
from stream_avs.ros2.capture import CaptureOutput, TopicSink
from stream_avs.ros2.fields import Fields, Header, header_of
from stream_avs.ros2.gate import PICTURES_KEPT, Gate
from stream_avs.ros2.image_fields import image_fields, label_info_fields
from stream_avs.ros2.outbox import Outbox
from stream_avs.ros2.overlay import Overlay, class_ids
from stream_avs.ros2.ros_clock import RosClock
from stream_avs.ros2.topic_source import TopicSource
from stream_avs.types import AudioBlock, Event, MaskResult

PICTURE = np.full((24, 32, 3), 90, np.uint8)
RESULT = result_of(np.zeros((4, 4), np.uint8), (8, 8))


def test_the_outbox_holds_the_newest_while_delivery_waits() -> None:
    gate, delivered, ledger = threading.Event(), [], Ledger()

    def deliver(result: MaskResult) -> None:
        gate.wait(5)
        delivered.append(result)

    outbox = Outbox(deliver, ledger)
    outbox.start()
    results = [result_of(np.zeros((4, 4), np.uint8), (8, 8), seq=k) for k in range(5)]
    outbox.put(results[0])
    time.sleep(0.1)
    for result in results[1:]:
        outbox.put(result)
    gate.set()
    outbox.stop()
    assert [r.seq for r in delivered] == [0, 4]
    assert ledger.counts() == {Event.PUBLISH_DROP: 3}


def test_the_outbox_keeps_what_went_wrong() -> None:
    def deliver(result: MaskResult) -> None:
        raise ValueError("no such topic")

    outbox = Outbox(deliver, Ledger())
    outbox.start()
    outbox.put(RESULT)
    outbox.stop()
    assert "no such topic" in str(outbox.error)


class Log:
    """A sink that writes down what reaches it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self.seen.append(name)


def test_the_gate_keeps_pictures_only_when_asked() -> None:
    wanted = [False]
    gate, log = Gate(lambda: wanted[0]), Log()
    gate.wrap(log, SimpleNamespace())  # type: ignore[arg-type]
    gate.frame(PICTURE, 1, 1)
    assert gate.picture(1) is None
    wanted[0] = True
    for k in range(2, 2 + PICTURES_KEPT + 3):
        gate.frame(PICTURE, k, k)
    assert gate.picture(2) is None
    np.testing.assert_array_equal(gate.picture(1 + PICTURES_KEPT), PICTURE)
    assert len(log.seen) == 1 + PICTURES_KEPT + 3


def test_a_shut_gate_is_a_break_in_the_stream() -> None:
    gate, log = Gate(lambda: False), Log()
    gate.wrap(log, SimpleNamespace())  # type: ignore[arg-type]
    block = AudioBlock(samples=np.zeros((1, 1), np.float32), stamp_ns=1, sample_rate_hz=16000)
    gate.frame(PICTURE, 1, 1)
    gate.open = False
    gate.frame(PICTURE, 2, 2)
    gate.audio(block)
    gate.open = True
    gate.audio(block)
    gate.frame(PICTURE, 3, 3)
    assert log.seen == ["frame", "discontinuity", "audio", "frame"]


def stamped(stamp_ns: int, pixels: np.ndarray, encoding: str) -> Any:
    return plain(image_fields(pixels, encoding, Header(stamp_ns=stamp_ns, frame_id="cam")))


def test_the_overlay_joins_by_equal_stamps() -> None:
    drawn: list[Fields] = []
    overlay = Overlay(drawn.append, history=3)
    overlay.labels(plain(label_info_fields({7: "cat"}, 0.5, Header(stamp_ns=0, frame_id=""))))
    for stamp_ns in range(1, 6):
        overlay.image(stamped(stamp_ns, PICTURE, "rgb8"))
    mask = np.zeros((24, 32), np.uint8)
    mask[5:20, 5:25] = 7
    overlay.mask(stamped(4, mask, "mono8"))
    overlay.mask(stamped(2, mask, "mono8"))  # forgotten
    overlay.mask(stamped(99, mask, "mono8"))  # never seen
    assert overlay.unmatched == 2
    (fields,) = drawn
    made = plain(fields)
    assert header_of(made) == Header(stamp_ns=4, frame_id="cam")
    assert (made.data.reshape(24, 32, 3)[12, 15] != PICTURE[12, 15]).any()


def test_unlabeled_pixels_are_not_drawn_and_other_encodings_refused() -> None:
    ids = np.array([[0, 255], [3, 255]], np.uint8)
    assert class_ids(stamped(1, ids, "mono8")).tolist() == [[0, 0], [3, 0]]
    with pytest.raises(WireError, match="mono8"):
        class_ids(stamped(1, PICTURE, "rgb8"))


CALIBRATION = CameraInfo(
    camera_name="front", width_px=32, height_px=24, distortion_model="plumb_bob", distortion=(0,) * 5,
    camera_matrix=(30, 0, 16, 0, 30, 12, 0, 0, 1), projection=(30, 0, 16, 0, 0, 30, 12, 0, 0, 0, 1, 0),
)  # fmt: skip


def test_capture_sends_pictures_calibration_and_sound_with_capture_stamps() -> None:
    sent: list[tuple[str, Any]] = []
    clock_ns = [10**9]
    clock = RosClock(Ledger(), clock=lambda: clock_ns[0])
    output = CaptureOutput(
        audio_kind=AudioKind.ROS_DRIVERS, microphone_frame_id="mic_link", calibration=CALIBRATION
    )
    sink = TopicSink(
        output, ros_clock=clock, ros_now_ns=lambda: clock_ns[0] + 10**18,
        emit=lambda topic, fields: sent.append((topic, plain(fields))),
        wanted=lambda topic: topic != topics.IMAGE_JPEG, ledger=Ledger(),
    )  # fmt: skip
    sink.frame(PICTURE, 10**9 - 5, 10**9, frame_id="cam")
    samples = np.zeros((160, 1), np.float32)
    for stamp_ns in (10**9 - 9, 10**9 - 8):
        sink.audio(AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=16000))
    assert [topic for topic, _ in sent] == [
        topics.CAMERA_INFO, topics.IMAGE, topics.AUDIO_INFO, topics.AUDIO, topics.AUDIO,
    ]  # fmt: skip
    info, picture, _, sound, _ = (made for _, made in sent)
    assert header_of(info) == header_of(picture) == Header(stamp_ns=10**18 + 10**9 - 5, frame_id="cam")
    assert header_of(sound) == Header(stamp_ns=10**18 + 10**9 - 9, frame_id="mic_link")
    assert info.k.tolist() == list(CALIBRATION.camera_matrix)
    sink.ended(SourceError("unplugged"))
    assert sink.finished.is_set()
    assert "unplugged" in str(sink.error)


numbers = st.one_of(st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=10))


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "format": st.sampled_from(["signed_16", "float", "mp3", ""]),
            "channel_count": st.integers(-1, 70),
            "sampling_frequency": st.integers(-1, 10**6), "data": st.binary(max_size=64),
            "audio": st.sampled_from([SimpleNamespace(data=b"1234"), SimpleNamespace(), None]),
        },
    )
)  # fmt: skip
def test_strange_sound_never_ends_the_stream(fields: dict[str, Any]) -> None:
    log = Log()
    source = TopicSource(RosClock(Ledger()), time.time_ns)
    source.start(log)  # type: ignore[arg-type]
    if {"sampling_frequency"} <= set(fields):
        fields = {"format": "signed_16", "channel_count": 1, "data": b"", **fields}
    source.audio(message(**fields))
    assert set(log.seen) <= {"audio", "event"}


def test_after_stop_messages_are_ignored() -> None:
    log = Log()
    source = TopicSource(RosClock(Ledger()), time.time_ns)
    source.start(log)  # type: ignore[arg-type]
    source.stop()
    source.image(stamped(1, PICTURE, "rgb8"))
    source.audio(message(data=array.array("B", b"12")))
    assert log.seen == ["ended"]
