from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import av
import numpy as np
import pytest
from clips import EVENTS_S, FPS, HEIGHT, RATE_HZ, WIDTH, beeps_ns, flashes_ns, make_clip, rotated, sound
from recording_sink import RecordingSink

from stream_avs.capture.media import Media
from stream_avs.capture.media_file import AUDIO_LEAD_NS
from stream_avs.config import MediaConfig, Pace
from stream_avs.types import NS_PER_S, Event, StampSource

FAST = MediaConfig(pace=Pace.FAST)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


def played(
    path: Path, config: MediaConfig = FAST, sink: RecordingSink | None = None, timeout_s: float = 20
) -> RecordingSink:
    sink = sink or RecordingSink()
    media = Media(path, config)
    media.open()
    media.start(sink)
    try:
        assert sink.over.wait(timeout_s)
    finally:
        media.stop()
    return sink


@pytest.mark.parametrize(
    ("name", "video", "audio", "tolerance_s"),
    [
        ("a.mp4", "libx264", "aac", 0.002),
        ("b.mp4", "mpeg4", "aac", 0.002),
        ("c.mkv", "libx264", "pcm_s16le", 0.001),
        ("d.ts", "libx264", "aac", 0.002),
        ("e.mov", "mpeg4", "pcm_s16le", 0.0001),
        ("f.avi", "mpeg4", "pcm_s16le", 0.0001),
    ],
)
def test_flash_and_beep_are_stamped_alike(
    tmp_path: Path, name: str, video: str, audio: str, tolerance_s: float
) -> None:
    sink = played(make_clip(tmp_path / name, video=video, audio=audio))
    flashes, beeps = flashes_ns(sink), beeps_ns(sink)
    assert len(flashes) == len(beeps) == len(EVENTS_S)
    for flash_ns, beep_ns in zip(flashes, beeps, strict=True):
        assert abs(flash_ns - beep_ns) < tolerance_s * NS_PER_S
    assert np.diff(flashes) / NS_PER_S == pytest.approx(np.diff(EVENTS_S), abs=0.001)
    assert sink.error is None
    assert sink.ends == 1
    assert not sink.events


def test_what_is_handed_over_is_what_is_in_the_file(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", audio="pcm_s16le")
    media = Media(path, FAST)
    info = media.open()
    media.stop()
    assert (info.width_px, info.height_px, info.fps) == (WIDTH, HEIGHT, FPS)
    assert (info.sample_rate_hz, info.channels, info.live) == (RATE_HZ, 1, False)
    assert info.duration_s == pytest.approx(2, abs=0.1)
    assert info.notes == ()

    sink = played(path)
    assert len(sink.frames) == 2 * FPS
    assert {f.stamp_source for f in sink.frames} == {StampSource.CONTAINER}
    assert np.array_equal(np.round(sink.samples() * 32768).astype(int), sound(2))
    red = sink.frames[5].image[HEIGHT // 4, WIDTH // 4].astype(int)
    assert red[0] > 150 > 80 > red[2], "RGB, not BGR"
    stamps = np.diff([f.stamp_ns for f in sink.frames])
    assert np.all(np.abs(stamps - NS_PER_S / FPS) < 1e6)


def test_every_sample_is_stamped_without_gap(clip: Path) -> None:
    blocks = played(clip).blocks
    gaps = [b.block.stamp_ns - a.end_ns for a, b in itertools.pairwise(blocks)]
    assert max(map(abs, gaps)) <= 1000
    assert max(len(b.block.samples) for b in blocks) <= 0.026 * RATE_HZ


def test_realtime_hands_frames_and_sound_over_when_they_are_due(clip: Path) -> None:
    begun_s = time.monotonic()
    sink = played(clip, MediaConfig(pace=Pace.REALTIME))
    assert 1.9 < time.monotonic() - begun_s < 4
    for seen in sink.frames:
        assert seen.handed_ns >= seen.stamp_ns
    for block in sink.blocks:
        assert block.handed_ns >= block.end_ns, "a microphone cannot hear ahead"
    lateness = [seen.handed_ns - seen.stamp_ns for seen in sink.frames]
    assert np.median(lateness) < 0.02 * NS_PER_S


def test_fast_is_faster_and_sound_goes_ahead_of_its_frame(clip: Path) -> None:
    begun_s = time.monotonic()
    sink = played(clip)
    assert time.monotonic() - begun_s < 1.5
    heard_ns = 0
    ends = {b.block.stamp_ns: b.end_ns for b in sink.blocks}
    last_ns = max(ends.values())
    for kind, stamp_ns in sink.order:
        if kind == "audio":
            heard_ns = ends[stamp_ns]
        elif kind == "frame":
            assert heard_ns >= min(stamp_ns + AUDIO_LEAD_NS, last_ns)


def test_fast_waits_for_the_sink(clip: Path) -> None:
    begun_s = time.monotonic()
    sink = played(clip, FAST, RecordingSink(frame_delay_s=0.02))
    assert len(sink.frames) == 2 * FPS
    assert time.monotonic() - begun_s > 2 * FPS * 0.02


def test_long_audio_packets_are_cut(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "long.mkv", 1.0, audio="pcm_s16le", packet_samples=RATE_HZ)
    sink = played(path, MediaConfig(pace=Pace.REALTIME))
    assert all(len(b.block.samples) <= 0.026 * RATE_HZ for b in sink.blocks)
    assert np.array_equal(np.round(sink.samples() * 32768).astype(int), sound(1))


def test_loop_goes_on_without_a_step(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "short.mkv", 1.0, audio="pcm_s16le")
    media = Media(path, MediaConfig(pace=Pace.FAST, loop=True))
    media.open()
    sink = RecordingSink(frame_delay_s=0.001)
    media.start(sink)
    sink.wait_for(frames=4 * FPS)
    media.stop()
    count = len(sink.frames)
    time.sleep(0.1)
    assert len(sink.frames) == count, "nothing comes after stop"
    stamps = np.diff([f.stamp_ns for f in sink.frames]) / NS_PER_S
    assert stamps == pytest.approx(1 / FPS, abs=0.002)
    assert {reason for reason, _ in sink.discontinuities} == {"loop"}
    boundary = sink.order.index(("discontinuity", sink.discontinuities[0][1]))
    assert sum(kind == "frame" for kind, _ in sink.order[:boundary]) == FPS
    assert sink.discontinuities[0][1] == pytest.approx(sink.frames[FPS].stamp_ns, abs=2e6)
    assert not sink.audio_over.is_set()
    assert sink.ends == 0, "a loop has no end"
    flashes = flashes_ns(sink)
    for flash_ns, beep_ns in zip(flashes, beeps_ns(sink), strict=False):
        assert abs(flash_ns - beep_ns) < 1_100_000


def test_stop_is_quick_while_playing_in_real_time(clip: Path) -> None:
    media = Media(clip, MediaConfig())
    media.open()
    sink = RecordingSink()
    media.start(sink)
    sink.wait_for(frames=3)
    begun_s = time.monotonic()
    media.stop()
    assert time.monotonic() - begun_s < 0.5
    media.stop()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc to see open files")
def test_stop_before_start_frees_the_file(clip: Path) -> None:
    before = os.listdir("/proc/self/fd")
    media = Media(clip, FAST)
    media.open()
    media.stop()
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_without_sound(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "silent.mp4", audio="")
    media = Media(path, FAST)
    info = media.open()
    media.stop()
    assert info.sample_rate_hz == info.channels == 0
    assert "no sound" in info.notes[0]
    sink = played(path)
    assert sink.order[0] == ("audio_ended", 0), "frames must not wait for sound that never comes"
    assert len(sink.frames) == 2 * FPS


def test_tracks_may_start_apart(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "late.mkv", audio="pcm_s16le", audio_from_s=0.3)
    sink = played(path)
    assert (sink.blocks[0].block.stamp_ns - sink.frames[0].stamp_ns) / NS_PER_S == pytest.approx(
        0.3, abs=0.002
    )
    for flash_ns, beep_ns in zip(flashes_ns(sink), beeps_ns(sink), strict=True):
        assert abs(flash_ns - beep_ns) < 1_100_000


def test_pictures_without_times_follow_the_frame_rate(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "bare.h264", audio="")
    sink = played(path)
    assert len(sink.frames) == 2 * FPS
    assert np.all(np.abs(np.diff([f.stamp_ns for f in sink.frames]) - NS_PER_S / FPS) < 1000)


def test_a_file_cut_short_ends_in_order(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", options={"movflags": "faststart"}).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: int(len(whole) * 0.6)])
    sink = played(cut)
    assert 10 < len(sink.frames) < 2 * FPS
    assert any("before its declared end" in detail for _, _, detail in sink.events)
    assert sink.counts()[Event.DECODE_ERROR] > 0
    assert sink.error is None
    assert sink.ends == 1


def test_a_file_whose_stamps_begin_late_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(FPS):
            frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), format="rgb24")
            frame.pts = FPS + i  # from one second on
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sink = played(path)
    assert len(sink.frames) == FPS
    assert sink.counts()[Event.DECODE_ERROR] == 0


def test_damage_is_counted_and_played_over(tmp_path: Path) -> None:
    data = bytearray(make_clip(tmp_path / "whole.mkv", audio="pcm_s16le", video="mpeg4").read_bytes())
    intact = len(played(tmp_path / "whole.mkv").frames)
    random = np.random.default_rng(3)
    for position in range(len(data) // 3, 2 * len(data) // 3, 500):
        data[position : position + 20] = random.bytes(20)
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(data)
    sink = played(damaged)
    assert sink.counts()[Event.DECODE_ERROR] > 0
    assert intact / 2 < len(sink.frames) <= intact
    assert sink.error is None
    assert flashes_ns(sink)[-1] - sink.frames[0].stamp_ns == pytest.approx(EVENTS_S[-1] * 1e9, abs=2e6)


def test_recordings_joined_end_to_end_play_as_one(tmp_path: Path) -> None:
    one = make_clip(tmp_path / "one.ts").read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(one + one)
    sink = played(both)
    assert len(sink.frames) == 4 * FPS
    steps = np.diff([f.stamp_ns for f in sink.frames]) / NS_PER_S
    assert steps.min() > 0
    assert steps.max() < 0.2
    flashes, beeps = flashes_ns(sink), beeps_ns(sink)
    assert len(flashes) == len(beeps) == 2 * len(EVENTS_S)
    for flash_ns, beep_ns in zip(flashes, beeps, strict=True):
        assert abs(flash_ns - beep_ns) < 3e6


def test_a_turned_phone_video_is_shown_upright(tmp_path: Path) -> None:
    path = rotated(make_clip(tmp_path / "flat.mp4"), tmp_path / "turned.mp4")
    media = Media(path, FAST)
    info = media.open()
    media.stop()
    assert (info.width_px, info.height_px) == (HEIGHT, WIDTH)
    image = played(path).frames[3].image.astype(int)
    assert image.shape == (WIDTH, HEIGHT, 3)
    assert image[WIDTH // 4, 3 * HEIGHT // 4, 0] > 150, "the red quarter went from top left to top right"
    assert image[WIDTH // 4, HEIGHT // 4, 0] < 60


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg program as the reference")
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_as_ffmpeg_turns_it(tmp_path: Path, degrees: int) -> None:
    flat = make_clip(tmp_path / "flat.mp4", 0.4, audio="")
    turned = tmp_path / "turned.mp4"
    rotate = ["-c", "copy", "-metadata:s:v:0", f"rotate={degrees}"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", flat, *rotate, turned], check=True)
    raw = ["-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    shown = subprocess.run(["ffmpeg", "-v", "error", "-i", turned, *raw], check=True, capture_output=True)
    ours = played(turned).frames[0].image
    if b"rotation of" not in subprocess.run(["ffmpeg", "-i", turned], capture_output=True).stderr:
        pytest.skip("this ffmpeg does not write rotation from metadata any more")
    reference = np.frombuffer(shown.stdout, np.uint8).reshape(ours.shape).astype(int)
    assert np.abs(ours.astype(int) - reference).mean() < 2
