"""Downloading from a real local server: resumed, checked, and clear about what went wrong."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_avs.errors import WeightsError
from stream_avs.models.fetch import fetch

CONTENT = bytes(range(256)) * 20_000  # 5.12 MB, several blocks
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves one file with ranges, and can break off."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.tag = '"v1"'
        self.break_off_after: int | None = None
        self.ranges = True
        self.status = 0
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net.pth"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, content = self.server, self.server.content
        asked = self.headers.get("Range", "")
        server.requests.append(asked)
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == server.tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", server.tag)
        self.end_headers()
        body = content[start:]
        self.wfile.write(body if server.break_off_after is None else body[: server.break_off_after])

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_file_is_fetched_checked_and_its_progress_told(server: Server, tmp_path: Path) -> None:
    target, told = tmp_path / "new" / "net.pth", []
    digest = fetch(
        server.url, target, sha256=DIGEST[:8], progress=lambda have, total: told.append((have, total))
    )
    assert target.read_bytes() == CONTENT
    assert digest == DIGEST
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [p.name for p in target.parent.iterdir()] == ["net.pth"]


def test_an_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "net.pth"
    server.break_off_after = 2_000_000
    with pytest.raises(WeightsError, match="ended at 2000000 of 5120000 bytes") as error:
        fetch(server.url, target, sha256=DIGEST)
    assert "Run again" in error.value.next_step
    assert not target.exists()
    server.break_off_after = None
    assert fetch(server.url, target, sha256=DIGEST) == DIGEST
    assert server.requests == ["", "bytes=2000000-"]
    assert target.read_bytes() == CONTENT


def test_a_file_that_changed_between_attempts_is_fetched_from_the_start(
    server: Server, tmp_path: Path
) -> None:
    target = tmp_path / "net.pth"
    server.break_off_after = 1_000_000
    with pytest.raises(WeightsError):
        fetch(server.url, target)
    server.break_off_after, server.content, server.tag = None, CONTENT[::-1], '"v2"'
    fetch(server.url, target)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_is_asked_for_all_again(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "net.pth"
    server.break_off_after, server.ranges = 1_000_000, False
    with pytest.raises(WeightsError):
        fetch(server.url, target)
    server.break_off_after = None
    fetch(server.url, target, sha256=DIGEST)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("more", [b"", b"too much"])
def test_all_bytes_there_or_more_but_not_yet_renamed(server: Server, tmp_path: Path, more: bytes) -> None:
    (tmp_path / "net.pth.part").write_bytes(CONTENT + more)
    (tmp_path / "net.pth.part.tag").write_text(server.tag)
    fetch(server.url, tmp_path / "net.pth", sha256=DIGEST)
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert len(server.requests) == (2 if more else 1)


def test_a_wrong_hash_is_named_and_nothing_is_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"has SHA-256 {DIGEST}, expected deadbeef\.\.\."):
        fetch(server.url, tmp_path / "net.pth", sha256="deadbeef")
    assert list(tmp_path.glob("net.pth*")) == [tmp_path / "net.pth.part.tag"]
    # the next attempt does not build on what was wrong
    fetch(server.url, tmp_path / "net.pth", sha256=DIGEST)
    assert server.requests[-1] == ""


def test_a_refusal_names_the_answer(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(WeightsError, match="answers 404"):
        fetch(server.url, tmp_path / "net.pth")


def test_without_a_network_the_error_says_where_to_put_the_file(tmp_path: Path) -> None:
    with Server() as unused:
        url = unused.url  # nothing listens there once it is closed
    with pytest.raises(WeightsError, match="cannot fetch") as error:
        fetch(url, tmp_path / "net.pth")
    assert url in error.value.next_step
    assert str(tmp_path / "net.pth") in error.value.next_step


def test_only_web_addresses_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="http or https"):
        fetch("file:///etc/passwd", tmp_path / "x")


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WeightsError, match="cannot write"):
        fetch(server.url, tmp_path / "taken" / "net.pth")
