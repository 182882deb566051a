from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import make_clip
from recording_sink import RecordingSink

from stream_avs.capture.media import Media
from stream_avs.config import MediaConfig, Pace
from stream_avs.errors import SourceError

PASSWORD = "s3cretPassword"


def refusal(address: str | Path, timeout_s: float = 1.0) -> str:
    """The one line a user sees."""
    with pytest.raises(SourceError) as caught:
        Media(address, MediaConfig(timeout_s=timeout_s)).open()
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.next_step, "every error says what to do"
    assert PASSWORD not in text
    # The original error holds the whole address: it must not be printed along with this one.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return text


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nope.mp4")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in refusal(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "is empty" in refusal(tmp_path / "empty.mp4")


def test_device_file() -> None:
    assert "not a regular file" in refusal("/dev/null")


def test_not_media(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    assert "cannot be read as media" in refusal(tmp_path / "text.mp4")


def test_file_without_its_index(tmp_path: Path) -> None:
    data = make_clip(tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    assert "cannot be read as media" in refusal(tmp_path / "cut.mp4")


def test_no_video_track(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "sound.wav", video="", audio="pcm_s16le")
    assert "has no video track" in refusal(path)


@pytest.mark.parametrize("scheme", ["rtsp", "tcp", "http"])
def test_refused(scheme: str, free_port: int) -> None:
    text = refusal(f"{scheme}://joe:{PASSWORD}@127.0.0.1:{free_port}/live?token={PASSWORD}")
    assert "refuses the connection" in text
    assert f"{scheme}://127.0.0.1:{free_port}/live" in text


def test_unknown_host() -> None:
    assert "cannot open rtsp://no-such-host.invalid/x" in refusal("rtsp://no-such-host.invalid/x", 5)


def test_silence_on_udp(free_port: int) -> None:
    begun_s = time.monotonic()
    assert "nothing arrived" in refusal(f"udp://127.0.0.1:{free_port}", 0.5)
    assert time.monotonic() - begun_s < 2


def test_server_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        assert "nothing arrived" in refusal(address, 0.5)


class _Handler(http.server.SimpleHTTPRequestHandler):
    folder = Path()

    def do_GET(self) -> None:
        if self.path.startswith("/private"):
            self.send_error(401)
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        return str(self.folder / path.partition("?")[0].strip("/"))

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    _Handler.folder = tmp_path
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()


def test_http_refusals_say_what_is_wrong(server: str) -> None:
    assert "does not let us in" in refusal(f"{server}/private")
    assert "does not exist on that server" in refusal(f"{server}/nope")


def test_a_file_behind_http_is_a_file(server: str, tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", options={"movflags": "faststart"})
    media = Media(f"{server}/clip.mp4", MediaConfig(pace=Pace.FAST))
    info = media.open()
    assert not info.live
    assert info.duration_s == pytest.approx(2, abs=0.1)
    sink = RecordingSink()
    media.start(sink)
    assert sink.over.wait(10)
    media.stop()
    assert len(sink.frames) == 50
    assert sink.error is None


def test_credentials_never_reach_name_or_output(server: str, tmp_path: Path) -> None:
    # In a process of its own, so that whatever FFmpeg itself prints is seen too.
    make_clip(tmp_path / "clip.mp4", options={"movflags": "faststart"})
    host = server.removeprefix("http://")
    script = f"""
import sys
from stream_avs.capture.media import Media
from stream_avs.errors import SourceError
for path in ("clip.mp4", "private", "nope"):
    try:
        media = Media("http://joe:{PASSWORD}@{host}/" + path + "?token={PASSWORD}")
        print(media.open())
        media.stop()
    except SourceError as error:
        print(error)
Media("rtsp://joe:{PASSWORD}@{host}/live").open()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert "SourceInfo(name='http://127.0.0.1" in ran.stdout
    assert "does not let us in" in ran.stdout
    assert "does not exist" in ran.stdout
    assert "SourceError" in ran.stderr, "the traceback of the last line"
    assert PASSWORD not in ran.stdout + ran.stderr.replace(script, "")
    assert "joe" not in ran.stdout
