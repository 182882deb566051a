"""Live streams over real sockets, sent by ffmpeg at the pace of a camera."""

from __future__ import annotations

import http.server
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import beeps_ns, flashes_ns, make_clip, picture
from recording_sink import RecordingSink
from rtsp_relay import RtspRelay

from stream_avs.capture import media_live
from stream_avs.capture.base import SourceInfo
from stream_avs.capture.media import Media
from stream_avs.capture.media_live import attempt_s
from stream_avs.config import MediaConfig
from stream_avs.errors import SourceError
from stream_avs.types import NS_PER_S, Event, SourceState

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="needs the ffmpeg program (Debian package ffmpeg) as the sender"
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    events_s = tuple(0.4 + 0.72 * k for k in range(40))
    return make_clip(tmp_path_factory.mktemp("live") / "clip.mp4", 30.0, events_s=events_s)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sending(clip: Path, *output: str) -> Iterator[subprocess.Popen[bytes]]:
    """Play a clip to `output`, with a key frame twice a second."""
    command = [
        "ffmpeg", "-v", "fatal", "-re", "-i", str(clip),
        "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12", "-c:a", "aac", *output,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def receiving(url: str, timeout_s: float = 5.0) -> Iterator[tuple[RecordingSink, SourceInfo]]:
    media = Media(url, MediaConfig(timeout_s=timeout_s))
    deadline_s = time.monotonic() + 10
    while True:
        try:
            info = media.open()
            break
        except SourceError:
            assert time.monotonic() < deadline_s, "the sender did not come up"
            time.sleep(0.1)
    sink = RecordingSink()
    media.start(sink)
    try:
        yield sink, info
    finally:
        begun_s = time.monotonic()
        media.stop()
        assert time.monotonic() - begun_s < 1.0, "a source stops within one second"


@pytest.fixture
def relay(clip: Path) -> Iterator[RtspRelay]:
    server = RtspRelay()
    with sending(clip, "-f", "rtsp", "-rtsp_transport", "tcp", server.url):
        assert server.wait_published(10)
        yield server
        server.close()


def check_stamps(sink: RecordingSink) -> None:
    """Frames evenly spaced and never from the future; flashes and beeps at the same times."""
    stamps = np.array([f.stamp_ns for f in sink.frames])
    uneven = np.abs(np.diff(stamps) / 1e6 - 40) > 3
    # A sender starved of CPU shows its true delay late; the clock then steps once, and says so.
    assert uneven.sum() <= sink.counts()[Event.CLOCK_SNAP]
    delays = np.array([f.arrival_ns - f.stamp_ns for f in sink.frames]) / 1e6
    assert delays.min() > -60, "the clock filter slews what is below 50 ms"
    assert np.median(delays) < 300
    flashes = np.array(flashes_ns(sink))
    both = [b for b in beeps_ns(sink) if flashes[0] - 1e8 < b < flashes[-1] + 1e8]
    assert len(both) >= 2
    apart = [np.abs(flashes - beep_ns).min() > 40e6 for beep_ns in both]
    assert sum(apart) <= sink.counts()[Event.CLOCK_SNAP], "within a frame"


def test_attempts_end_soon_for_a_host_that_is_not_there_answers_nothing() -> None:
    assert attempt_s("rtsp://h/1", 10.0, opened_s=0.4) == 2.0
    assert attempt_s("rtsp://h/1", 10.0, opened_s=1.5) == 4.5, "a slow one gets its time"
    assert attempt_s("rtsp://h/1", 1.0, opened_s=1.5) == 1.0
    assert attempt_s("udp://h:1", 10.0, opened_s=0.4) == 10.0, "nobody answers there, ever"


@needs_ffmpeg
def test_rtsp(relay: RtspRelay) -> None:
    with receiving(relay.url) as (sink, info):
        assert info.live
        assert (info.width_px, info.height_px, info.sample_rate_hz, info.channels) == (96, 64, 16000, 1)
        sink.wait_for(frames=75)
    check_stamps(sink)
    assert sink.counts()[Event.DECODE_ERROR] == 0
    assert not sink.discontinuities


@needs_ffmpeg
def test_rtsp_is_opened_again_after_the_server_hangs_up(relay: RtspRelay) -> None:
    with receiving(relay.url) as (sink, _):
        sink.wait_for(frames=10)
        before = len(sink.frames)
        relay.hang_up()
        sink.wait_for(frames=before + 20)
    assert relay.plays == 2
    assert sink.counts()[Event.RECONNECT] == 1
    assert [reason for reason, _ in sink.discontinuities] == ["reconnect"]
    assert [state for state, _ in sink.states] == [SourceState.RECONNECTING, SourceState.LIVE]
    assert any("lost rtsp://" in detail for _, _, detail in sink.events)
    assert sink.ends == 0
    back_ns = sink.discontinuities[0][1]
    assert max(f.stamp_ns for f in sink.frames[:before]) < back_ns
    assert all(abs(f.arrival_ns - f.stamp_ns) < NS_PER_S for f in sink.frames)


@needs_ffmpeg
def test_rtsp_that_falls_silent_is_opened_again_when_it_speaks(relay: RtspRelay) -> None:
    with receiving(relay.url, timeout_s=1.0) as (sink, _):
        sink.wait_for(frames=10)
        relay.silent = True
        time.sleep(2.5)
        before = len(sink.frames)
        assert any("nothing arrived" in detail for _, _, detail in sink.events)
        assert sink.ends == 0
        relay.silent = False
        sink.wait_for(frames=before + 10, timeout_s=20)
    assert sink.counts()[Event.RECONNECT] == 1


@needs_ffmpeg
def test_stop_does_not_wait_for_a_silent_server(relay: RtspRelay) -> None:
    with receiving(relay.url, timeout_s=10.0) as (sink, _):
        sink.wait_for(frames=5)
        relay.silent = True
        time.sleep(0.3)
    # `receiving` has checked the time; and nothing may come any more
    count = len(sink.frames)
    relay.silent = False
    time.sleep(0.5)
    assert len(sink.frames) == count


@needs_ffmpeg
def test_rtsp_password(clip: Path) -> None:
    server = RtspRelay(credentials="joe:s3cret")
    with sending(clip, "-f", "rtsp", "-rtsp_transport", "tcp", server.url):
        assert server.wait_published(10)
        with pytest.raises(SourceError, match="does not let us in"):
            Media(server.url, MediaConfig(timeout_s=3)).open()
        with pytest.raises(SourceError, match="does not exist"):
            Media(server.url.replace("127", "joe:s3cret@127").replace("live", "dead")).open()
        media = Media(server.url.replace("127", "joe:s3cret@127"), MediaConfig(timeout_s=3))
        assert media.open().name == server.url
        media.stop()
        server.close()


@needs_ffmpeg
@pytest.mark.slow
def test_a_server_that_begins_to_refuse_is_not_asked_all_the_time(
    relay: RtspRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_live, "REFUSED_S", 3.0)
    with receiving(relay.url) as (sink, _):
        sink.wait_for(frames=5)
        relay.credentials = "joe:new"
        before = relay.refusals
        relay.hang_up()
        time.sleep(2.0)
        assert 1 <= relay.refusals - before <= 2, "one attempt, which may ask twice"
        relay.credentials = ""
        sink.wait_for(frames=len(sink.frames) + 1)
    assert sink.counts()[Event.RECONNECT] == 1


@needs_ffmpeg
def test_udp_and_a_sender_that_starts_over(clip: Path, free_port: int) -> None:
    url = f"udp://127.0.0.1:{free_port}"
    with sending(clip, "-f", "mpegts", url) as sender, receiving(url) as (sink, info):
        assert (info.width_px, info.sample_rate_hz) == (96, 16000)
        sink.wait_for(frames=75)
        sender.kill()
        sender.wait()
        time.sleep(0.3)
        before = len(sink.frames)
        first = RecordingSink()
        first.frames, first.blocks, first.events = sink.frames[:before], sink.blocks[:], sink.events[:]
        check_stamps(first)
        with sending(clip, "-f", "mpegts", url):
            sink.wait_for(frames=before + 25)
    assert sink.discontinuities[0][0] == "time stamps jumped"
    # The last picture of the old sender comes out when the new one begins: rightly stamped, but late.
    after = [f for f in sink.frames[before:] if f.arrival_ns >= sink.discontinuities[0][1]]
    assert len(after) > 20
    assert all(abs(f.arrival_ns - f.stamp_ns) < NS_PER_S for f in after), "stamped when it happened"


@needs_ffmpeg
def test_tcp(clip: Path, free_port: int) -> None:
    url = f"tcp://127.0.0.1:{free_port}"
    with sending(clip, "-f", "mpegts", f"{url}?listen=1"), receiving(url) as (sink, _):
        sink.wait_for(frames=60)
    check_stamps(sink)


class _MotionJpeg(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
        self.end_headers()
        for index in range(1000):
            jpeg = cv2.imencode(".jpg", picture(index))[1].tobytes()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return
            time.sleep(0.04)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_motion_jpeg_over_http_has_no_sound_and_says_so() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _MotionJpeg) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with receiving(f"http://127.0.0.1:{server.server_address[1]}/video") as (sink, info):
            assert info.live
            assert "no sound" in info.notes[0]
            sink.wait_for(frames=25)
        server.shutdown()
    assert sink.audio_over.is_set()
    # this sender stamps nothing: only the order and the pace are known
    stamps = np.array([f.stamp_ns for f in sink.frames])
    assert np.all(np.diff(stamps) > 0)
    assert np.abs(stamps - [f.arrival_ns for f in sink.frames]).max() < NS_PER_S
