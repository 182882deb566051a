import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from wire_results import make_result

from stream_avs.errors import PublishError
from stream_avs.ledger import Ledger
from stream_avs.types import NS_PER_S, AudioBlock, Event

av = pytest.importorskip("av")
overlay_video = pytest.importorskip("stream_avs.publish.overlay_video")
OverlayWriter = overlay_video.OverlayWriter

SIZE = (160, 120)
START_NS = 77_000_000_000
GREY = np.full((120, 160, 3), 60, np.uint8)


def at(seconds):
    return START_NS + round(seconds * NS_PER_S)


def tone(seconds, start_s, rate=16_000, channels=1, level=0.4):
    wave = level * np.sin(2 * np.pi * 880 * np.arange(round(seconds * rate)) / rate)
    samples = np.repeat(wave[:, None], channels, axis=1).astype(np.float32)
    return AudioBlock(samples=samples, stamp_ns=at(start_s), sample_rate_hz=rate)


def read(path):
    """Times and RGB images of the picture; times and samples of the sound, at its rate."""
    with av.open(str(path)) as movie:
        pictures = [(f.time, f.to_ndarray(format="rgb24")) for f in movie.decode(video=0)]
    with av.open(str(path)) as movie:
        if not movie.streams.audio:
            return pictures, None, None
        frames = [(f.time, f.to_ndarray()[0]) for f in movie.decode(audio=0)]
        rate = movie.streams.audio[0].rate
    sound = np.concatenate([s for _, s in frames]) if frames else np.zeros(0, np.float32)
    times = np.concatenate([t + np.arange(len(s)) / rate for t, s in frames]) if frames else sound
    return pictures, times, sound


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_picture_and_sound_are_both_there_and_as_long_as_they_were(tmp_path, ending):
    path = tmp_path / f"out{ending}"
    with OverlayWriter(path, SIZE, 25, 16_000, wait=True) as writer:
        for k in range(75):
            writer.audio(tone(0.04, k * 0.04))
            writer.frame(GREY, make_result(sounding=()) if k else None, at(k * 0.04))
    assert (writer.written, writer.dropped, writer.error) == (75, 0, None)
    pictures, times, sound = read(path)
    assert len(pictures) == 75
    assert pictures[-1][0] - pictures[1][0] == pytest.approx(73 * 0.04, abs=0.005)
    assert times[-1] - times[0] == pytest.approx(3.0, abs=0.15)
    assert np.abs(sound[len(sound) // 2 :][:8000]).max() == pytest.approx(0.4, abs=0.1)
    with av.open(str(path)) as movie:
        assert movie.duration / 1e6 == pytest.approx(3.0, abs=0.15)
    assert np.allclose(pictures[0][1], 60, atol=4)
    assert (pictures[40][1] != pictures[0][1]).any(axis=2).mean() > 0.1


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 50_000, 192_000])
def test_a_flash_and_a_beep_stay_together(tmp_path, rate):
    """Frames come unevenly and later than their sound; sound has begun before the first frame."""
    path = tmp_path / "sync.mp4"
    times_s = np.cumsum(np.random.default_rng(3).uniform(0.02, 0.09, 40))
    events_s = (0.7, 1.6)
    with OverlayWriter(path, SIZE, 25, rate, wait=True) as writer:
        block_s = 0.02
        for k in range(120):
            now_s = k * block_s - 0.3
            on = any(e <= now_s + 1e-9 < e + 0.1 for e in events_s)
            writer.audio(tone(block_s, now_s, rate, channels=2, level=0.5 if on else 0.0))
        shown = []
        for t in times_s:
            on = any(e <= t < e + 0.1 for e in events_s)
            shown.append((t, on))
            writer.frame(np.full_like(GREY, 250 if on else 10), None, at(t))
    pictures, times, sound = read(path)
    flashes = [t for (t, image), before in zip(pictures[1:], pictures, strict=False)
               if image.mean() > 128 > before[1].mean()]  # fmt: skip
    late = [next(t for t, on in shown if t >= e) - e for e in events_s]
    loud = np.flatnonzero(np.abs(sound) > 0.2)
    beeps = times[loud[np.insert(np.diff(loud) > len(sound) // 20, 0, True)]]
    assert len(flashes) == len(beeps) == 2
    for flash, beep, frame_after in zip(flashes, beeps, late, strict=True):
        assert flash - beep == pytest.approx(frame_after, abs=0.01)


def test_holes_in_the_sound_become_silence_and_repeats_are_cut(tmp_path):
    path = tmp_path / "holes.mp4"
    with OverlayWriter(path, SIZE, 10, 16_000, wait=True) as writer:
        writer.frame(GREY, None, at(0))
        for start_s in (0.0, 0.5, 0.5, 2.0, 2.51):  # twice the same; a hole of a second; 10 ms of jitter
            writer.audio(tone(0.5, start_s))
        writer.frame(GREY, None, at(3))
    _, times, sound = read(path)
    assert len(sound) / 16_000 == pytest.approx(3.0, abs=0.15)
    begin = times[np.flatnonzero(np.abs(sound) > 0.1)[0]]
    level = {
        s: np.abs(sound[(times - begin > s) & (times - begin < s + 0.3)]).max() for s in (0.1, 0.6, 1.3, 2.1)
    }
    assert level[1.3] < 0.02
    assert min(level[0.1], level[0.6], level[2.1]) > 0.3


def test_colours_survive(tmp_path):
    path = tmp_path / "colour.mkv"
    with OverlayWriter(path, SIZE, 10, None, wait=True) as writer:
        for k in range(5):
            writer.frame(np.full_like(GREY, (200, 60, 30)), None, at(k / 10))
    pictures, _, sound = read(path)
    assert sound is None
    assert np.abs(pictures[2][1].mean((0, 1)) - (200, 60, 30)).max() < 8


def test_without_libx264_it_is_mpeg4(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    path = tmp_path / "old.mp4"
    with OverlayWriter(path, SIZE, 29.97, 16_000, wait=True) as writer:
        for k in range(30):
            writer.audio(tone(1 / 30, k / 30))
            writer.frame(GREY, None, at(k / 29.97))
    with av.open(str(path)) as movie:
        assert movie.streams.video[0].codec_context.name == "mpeg4"
    assert (len(read(path)[0]), writer.error) == (30, None)


def test_a_worker_is_never_held_up_and_drops_are_counted(tmp_path):
    ledger = Ledger()
    image = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    with OverlayWriter(tmp_path / "busy.mp4", (1280, 720), 30, None, ledger=ledger, queue=2) as writer:
        slowest_s = 0.0
        for k in range(60):
            start = time.monotonic()
            writer.frame(image, None, at(k / 30))
            slowest_s = max(slowest_s, time.monotonic() - start)
    assert writer.dropped > 0
    assert writer.written + writer.dropped == 60
    assert ledger.counts() == {Event.PUBLISH_DROP: writer.dropped}
    assert slowest_s < 0.5
    assert len(read(tmp_path / "busy.mp4")[0]) == writer.written


def test_sound_that_waits_too_long_for_a_first_frame_is_counted(tmp_path):
    ledger = Ledger()
    with OverlayWriter(tmp_path / "late.mp4", SIZE, 25, 16_000, ledger=ledger, wait=True) as writer:
        for k in range(25):
            writer.audio(tone(0.5, k * 0.5))
        writer.frame(GREY, None, at(0))
        writer.frame(GREY, None, at(12.5))
    assert ledger.counts() == {Event.PUBLISH_DROP: 5}
    _, times, sound = read(tmp_path / "late.mp4")
    assert np.abs(sound[times < 2]).max() < 0.02
    assert np.abs(sound[(times > 3) & (times < 12)]).max() > 0.3


def test_the_image_may_be_overwritten_at_once(tmp_path):
    image = np.full_like(GREY, 200)
    with OverlayWriter(tmp_path / "ring.mp4", SIZE, 25, None, wait=True) as writer:
        for k in range(4):
            image[:] = 200
            writer.frame(image, None, at(k / 25))
            image[:] = 0
    assert all(picture.mean() > 190 for _, picture in read(tmp_path / "ring.mp4")[0])


def test_stamps_that_do_not_advance_are_dropped_and_counted(tmp_path):
    with OverlayWriter(tmp_path / "back.mp4", SIZE, 25, None, wait=True) as writer:
        for s in (0.0, 0.1, 0.1, 0.05, 0.2):
            writer.frame(GREY, None, at(s))
    assert (writer.written, writer.dropped) == (3, 2)
    assert len(read(tmp_path / "back.mp4")[0]) == 3


@pytest.mark.parametrize("size", [(161, 121), (161, 120), (160, 121), (2, 2), (1, 1)])
def test_odd_sizes_and_other_sizes_are_taken(tmp_path, size):
    path = tmp_path / "odd.mp4"
    with OverlayWriter(path, size, 25, None, wait=True) as writer:
        writer.frame(np.full((size[1], size[0], 3), 90, np.uint8), None, at(0))
        writer.frame(GREY, None, at(0.1))
    assert writer.error is None
    assert read(path)[0][0][1].shape[:2] == (max(2, size[1] // 2 * 2), max(2, size[0] // 2 * 2))


def test_sound_without_pictures_and_nothing_at_all_leave_a_file(tmp_path):
    with OverlayWriter(tmp_path / "deaf.mp4", SIZE, 25, 16_000) as writer:
        writer.audio(tone(0.5, 0))
    with OverlayWriter(tmp_path / "empty.mp4", SIZE, 25, None) as other:
        pass
    assert writer.error is None
    assert other.error is None
    for name in ("deaf.mp4", "empty.mp4"):
        assert len(read(tmp_path / name)[0]) == 1


def test_closing_twice_and_frames_after_closing_do_no_harm(tmp_path):
    writer = OverlayWriter(tmp_path / "twice.mp4", SIZE, 25, 16_000, wait=True)
    writer.frame(GREY, None, at(0))
    writer.close()
    writer.frame(GREY, None, at(1))
    writer.audio(tone(0.1, 0))
    writer.close()
    assert writer.written == 1
    assert not any(t.name == "overlay-writer" for t in threading.enumerate())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none/out.mp4", "folder .*none does not exist. Run: mkdir -p"),
        ("out.avi", r"unknown ending. Use one of \.mp4"),
        ("out", "unknown ending"),
        ("folder.mp4", "cannot write .*Is a directory"),
        ("full.mp4", "cannot write .*[Nn]o space left"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path, path, message):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    with pytest.raises(PublishError, match=message):
        OverlayWriter(tmp_path / path, SIZE, 25, None)


def in_subprocess(code, path):
    prelude = f"""
import signal, resource, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_overlay_video import *
def write(writer, seconds):
    for k in range(int(seconds * 25)):
        noise = np.random.default_rng(k).integers(0, 256, GREY.shape, dtype=np.uint8)
        writer.audio(tone(0.04, k * 0.04))
        writer.frame(noise, None, at(k * 0.04))
path = Path({str(path)!r})
"""
    return subprocess.Popen([sys.executable, "-c", prelude + code], stdout=subprocess.PIPE, text=True)


def test_a_killed_process_leaves_a_file_that_plays(tmp_path):
    path = tmp_path / "killed.mp4"
    code = "writer = OverlayWriter(path, SIZE, 25, 16000, wait=True)\nwrite(writer, 6)\n"
    child = in_subprocess(code + "print('written', flush=True)\ntime.sleep(60)", path)
    with child:
        assert child.stdout.readline() == "written\n"
        os.kill(child.pid, signal.SIGKILL)
    pictures, times, _ = read(path)
    assert pictures[-1][0] > 3.5
    assert times[-1] > 3.5


def test_a_disk_that_fills_up_stops_the_video_not_the_program(tmp_path):
    code = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
ledger = Ledger()
with OverlayWriter(path, SIZE, 25, 16000, wait=True, ledger=ledger) as writer:
    write(writer, 12)
print(writer.error)
print(ledger.counts()[Event.PUBLISH_DROP], writer.written < 300, flush=True)
"""
    with in_subprocess(code, tmp_path / "full.mp4") as child:
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    first, second = out.splitlines()
    assert "cannot write on in" in first
    assert "File too large" in first
    assert first.endswith("Free some space or choose another disk")
    assert second == "1 True"
