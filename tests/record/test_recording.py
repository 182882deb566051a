"""What goes into a recording comes out again, whatever happens to the file."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from recordings import INFO, block, image, info, play, record, recorder

from stream_avs.capture.tap import NoSink
from stream_avs.errors import PublishError, SourceError
from stream_avs.ledger import Ledger
from stream_avs.record import codec
from stream_avs.record.cdr import CdrReader, CdrWriter
from stream_avs.record.items import AudioItem, FrameItem, NoteItem, NoteKind
from stream_avs.record.mcap_file import McapFile
from stream_avs.record.reader import Recording
from stream_avs.record.ring import running_pid
from stream_avs.record.writer import HEAD
from stream_avs.types import AudioBlock, Event


def check_same(path: Path, frames: int, *, first: int = 0, exact: bool = True) -> Recording:
    """The recording holds what `play` gave, in order, bit by bit."""
    recording = Recording(path)
    items = list(recording.items())
    pictures = [i for i in items if isinstance(i, FrameItem)]
    sounds = [i for i in items if isinstance(i, AudioItem)]
    assert len(pictures) == len(sounds) == frames
    for k, (picture, sound) in enumerate(zip(pictures, sounds, strict=True), start=first):
        stamp_ns = 10_000_000_000 + k * 40_000_000 + 7
        assert (picture.stamp_ns, picture.arrival_ns) == (stamp_ns, stamp_ns + 3_000_001)
        assert picture.frame_id == f"eye{k % 2}"
        assert picture.stamp_source.value == ("driver" if k % 5 else "arrival")
        assert np.array_equal(picture.image, image(k)) or not exact
        given = block(k, exact=k % 2 == 0)
        assert sound.block.samples.tobytes() == given.samples.tobytes()
        assert sound.block.samples.shape == given.samples.shape
        assert sound.block.stamp_ns == given.stamp_ns
        assert (sound.block.sample_rate_hz, sound.block.stamp_source) == (16_000, given.stamp_source)
    kinds = [type(i) for i in items if not isinstance(i, NoteItem)]
    assert kinds == [AudioItem, FrameItem] * frames
    return recording


@pytest.mark.parametrize("picture", ["raw", "png"])
def test_every_bit_comes_back(tmp_path: Path, picture: str) -> None:
    record(tmp_path / "a.mcap", 12, picture=codec.Picture(picture))
    recording = check_same(tmp_path / "a.mcap", 12)
    assert recording.complete
    assert recording.damage() == ""
    assert (recording.info.stream, recording.info.model_id) == ("cam0", "echo-00000000")
    notes = [i for i in recording.items() if isinstance(i, NoteItem)]
    assert [(n.name, n.text) for n in notes if n.kind is NoteKind.EVENT] == [("decode_error", "a scratch")]
    assert [n.text for n in notes if n.kind is NoteKind.DISCONTINUITY] == ["seek"]
    assert notes[-1].kind is NoteKind.ENDED


def test_jpeg_is_smaller_and_close(tmp_path: Path) -> None:
    smooth = np.dstack(np.meshgrid(np.arange(160), np.arange(120))[:1] * 3).astype(np.uint8)
    with recorder(tmp_path / "a.mcap", picture=codec.Picture.JPEG) as out:
        out.tap(NoSink(), INFO).frame(smooth, 5, 6)
    (item,) = [i for i in Recording(tmp_path / "a.mcap").items() if isinstance(i, FrameItem)]
    assert np.abs(item.image.astype(int) - smooth).max() <= 6
    assert "JPEG" in out.report()


def test_foreign_reader_understands_it(tmp_path: Path) -> None:
    """The index and Foxglove's types, with the reader of the format's makers."""
    from mcap.reader import make_reader

    record(tmp_path / "a.mcap", 3)
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        names = {s.name for s in summary.schemas.values()}
        assert {"foxglove_msgs/msg/RawImage", "foxglove_msgs/msg/RawAudio"} <= names
        assert reader.get_header().profile == "ros2"
        messages = list(reader.iter_messages(topics="/cam0/picture"))
        assert len(messages) == 3
        schema, channel, message = messages[0]
        assert (schema.encoding, channel.message_encoding) == ("ros2msg", "cdr")
        # Field by field, as foxglove_msgs/RawImage says.
        data = message.data
        seconds, nanos, length = struct.unpack_from("<iII", data, 4)
        offset_ns = Recording(tmp_path / "a.mcap").info.offset_ns
        assert seconds * 10**9 + nanos == 10_000_000_007 + offset_ns
        assert data[16 : 16 + length] == b"eye0\0"
        at = 16 + length + (-(12 + length) % 4)
        assert struct.unpack_from("<III", data, at) == (32, 24, 5)
        assert data.endswith(image(0).tobytes())


@settings(max_examples=40, deadline=None)
@given(
    samples=st.tuples(st.integers(0, 50), st.integers(1, 3)).flatmap(
        lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(width=32))
    ),
    stamp_ns=st.integers(-(2**50), 2**50),
)
def test_any_sound_survives(samples: np.ndarray, stamp_ns: int) -> None:
    pcm, exact = codec.encode_audio(
        AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=44_100), 2**60
    )
    found, at_ns, rate_hz = codec.decode_audio(pcm)
    if exact is not None:
        found, _ = codec.decode_exact_audio(exact, samples.shape[1])
    assert found.tobytes() == samples.tobytes()
    assert (at_ns - 2**60, rate_hz) == (stamp_ns, 44_100)


@given(st.lists(st.one_of(st.integers(0, 2**32 - 1), st.text(max_size=9), st.binary(max_size=9))))
def test_cdr_there_and_back(values: list) -> None:
    out = CdrWriter()
    for value in values:
        {int: lambda v: out.number("I", v), str: out.text, bytes: out.data}[type(value)](value)
    back = CdrReader(out.done())
    for value in values:
        read = {int: lambda: back.number("I"), str: back.text, bytes: lambda: bytes(back.data())}
        assert read[type(value)]() == value


def test_cut_anywhere_keeps_whole_chunks(tmp_path: Path) -> None:
    """Cut off at any byte, no item before the last whole chunk is lost, and none comes damaged."""
    whole = tmp_path / "whole.mcap"
    big = [image(k, 240, 320) for k in range(12)]  # so that a chunk holds three frames
    with recorder(whole) as out:
        sink = out.tap(NoSink(), INFO)
        for k, picture in enumerate(big):
            sink.frame(picture, k + 1, k + 2)
    data = whole.read_bytes()
    previous = refused = 0
    for cut in range(0, len(data), len(data) // 40):
        part = tmp_path / "part.mcap"
        part.write_bytes(data[:cut])
        try:
            recording = Recording(part)
        except SourceError:
            refused = cut
            continue
        frames = [i for i in recording.items() if isinstance(i, FrameItem)]
        assert len(frames) >= previous
        previous = len(frames)
        assert cut - len(frames) * big[0].nbytes < 4 * big[0].nbytes
        assert all(np.array_equal(f.image, big[k]) for k, f in enumerate(frames))
        assert recording.complete == (cut == len(data))
        assert recording.damage() or recording.complete
    assert previous == 12
    assert refused < 2000  # only where the head itself is cut


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damage_is_told_never_crashes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "damage"
    folder.mkdir(exist_ok=True)
    path = folder / "a.mcap"
    if not path.exists():
        record(path, 4)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    bad = folder / "bad.mcap"
    bad.write_bytes(content)
    try:
        recording = Recording(bad)
        frames = [i for i in recording.items() if isinstance(i, FrameItem)]
    except SourceError:
        return
    # A picture that is handed out passed its checksum.
    assert all(any(np.array_equal(f.image, image(k)) for k in range(4)) for f in frames)


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from recordings import INFO, play, recorder
from stream_avs.capture.tap import NoSink
out = recorder({path!r})
out.__enter__()
sink = out.tap(NoSink(), INFO)
for k in range(10_000):
    play(sink, 1, first=k)
    print(k, flush=True)
    time.sleep(0.005)
"""


def test_killed_while_recording(tmp_path: Path) -> None:
    path = tmp_path / "killed.mcap"
    code = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    handed = 0
    end_s = time.monotonic() + 30
    while path.stat().st_size < 400_000 if path.exists() else time.monotonic() < end_s:
        handed = int(process.stdout.readline())
    time.sleep(1.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    recording = Recording(path)
    frames = [i for i in recording.items() if isinstance(i, FrameItem)]
    assert not recording.complete
    assert len(frames) > 50
    assert len(frames) >= handed - 60
    assert all(np.array_equal(f.image, image(k)) for k, f in enumerate(frames))


def test_newer_and_foreign_recordings_are_refused(tmp_path: Path) -> None:
    newer = McapFile(tmp_path / "newer.mcap", {HEAD: {"version": "2"}})
    newer.close({})
    with pytest.raises(SourceError, match=r"version 2, this reads version 1\. Update"):
        Recording(tmp_path / "newer.mcap")
    McapFile(tmp_path / "foreign.mcap", {"else": {}}).close({})
    with pytest.raises(SourceError, match="not recorded by stream-avs"):
        Recording(tmp_path / "foreign.mcap")
    (tmp_path / "text.mcap").write_text("hello, I am not a recording at all")
    with pytest.raises(SourceError, match="no MCAP file"):
        Recording(tmp_path / "text.mcap")
    with pytest.raises(SourceError, match="does not exist"):
        Recording(tmp_path / "nowhere.mcap")


def test_existing_file_is_not_replaced(tmp_path: Path) -> None:
    record(tmp_path / "a.mcap", 2)
    with pytest.raises(PublishError, match="exists"):
        recorder(tmp_path / "a.mcap")
    record(tmp_path / "a.mcap", 3, overwrite=True)
    check_same(tmp_path / "a.mcap", 3)


def test_limits_end_the_recording(tmp_path: Path) -> None:
    with recorder(tmp_path / "small.mcap", max_size_mb=1.0) as out:
        sink = out.tap(NoSink(), INFO)
        for k in range(20):
            sink.frame(image(k, 240, 320), k + 1, k + 2)
    assert "1 MB are reached" in out.report()
    recording = Recording(tmp_path / "small.mcap")
    frames = [i for i in recording.items() if isinstance(i, FrameItem)]
    assert recording.complete
    assert 4 <= len(frames) <= 10
    with recorder(tmp_path / "none.mcap", min_free_mb=1e12) as out:
        play(out.tap(NoSink(), INFO), 3)
    assert "MB are free on the disk" in out.report()


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: limits the size of a file")
def test_disk_full_keeps_what_was_safe(tmp_path: Path) -> None:
    """A file size limit stands in for the full disk: both end a write in the middle."""
    import resource

    ledger = Ledger()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with recorder(tmp_path / "full.mcap", ledger) as out:
            sink = out.tap(NoSink(), INFO)
            for k in range(20):
                sink.frame(image(k, 240, 320), k + 1, k + 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert "safe" in out.report()
    assert ledger.counts()[Event.PUBLISH_DROP] >= 1
    frames = [i for i in Recording(tmp_path / "full.mcap").items() if isinstance(i, FrameItem)]
    assert len(frames) >= 2
    assert all(np.array_equal(f.image, image(k, 240, 320)) for k, f in enumerate(frames))


def test_slow_disk_leaves_out_and_says_so(tmp_path: Path) -> None:
    ledger = Ledger()
    with recorder(tmp_path / "a.mcap", ledger, queue_mb=1.0, picture=codec.Picture.PNG) as out:
        sink = out.tap(NoSink(), INFO)
        for k in range(40):
            sink.frame(image(k, 480, 640), k + 1, k + 2)
    items = list(Recording(tmp_path / "a.mcap").items())
    frames = sum(isinstance(i, FrameItem) for i in items)
    assert out.left_out > 0
    assert frames + out.left_out == 40
    assert ledger.counts()[Event.PUBLISH_DROP] == out.left_out


def test_ring_keeps_the_last_seconds(tmp_path: Path) -> None:
    now_ns = [0]
    from stream_avs.record.config import RecordConfig
    from stream_avs.record.recorder import Recorder

    config = RecordConfig(path=str(tmp_path / "ring"), ring_s=6.0, min_free_mb=0.0)
    with Recorder(config, info(), Ledger(), clock=lambda: now_ns[0]) as out:
        sink = out.tap(NoSink(), INFO)
        assert running_pid(tmp_path / "ring") == 0  # this very process does not count as another
        for k in range(200):
            now_ns[0] = k * 100_000_000
            sink.frame(image(k), k + 1, k + 2)
        out.save()
        end_s = time.monotonic() + 10
        while not (saved := [p for p in (tmp_path / "ring").iterdir() if p.name != "ring"]):
            assert time.monotonic() < end_s
            time.sleep(0.02)
    recording = Recording(saved[0])
    frames = [i for i in recording.items() if isinstance(i, FrameItem)]
    assert recording.complete
    assert frames[-1].stamp_ns == 200
    assert 60 <= len(frames) <= 75
    assert [f.stamp_ns for f in frames] == list(range(frames[0].stamp_ns, 201))
    assert not list((tmp_path / "ring" / "ring").glob("*.mcap"))
    assert os.path.exists(saved[0])


def test_a_part_that_is_missing_ends_the_recording_not_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without OpenCV, PNG cannot be written: it is told, and a source that would wait is let go."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    from stream_avs.record.config import RecordConfig
    from stream_avs.record.recorder import Recorder

    config = RecordConfig(path=str(tmp_path / "a.mcap"), picture=codec.Picture.PNG, queue_mb=1, min_free_mb=0)
    with Recorder(config, info(), Ledger(), wait=True) as out:
        sink = out.tap(NoSink(), INFO)
        for k in range(60):
            sink.frame(image(k, 240, 320), k + 1, k + 2)
    assert out.error is not None
    assert "OpenCV" in out.report()
