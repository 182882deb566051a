"""Names and paths that come over a network, or in a file from elsewhere, open no other file."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("av", reason="needs PyAV (extra live)")
sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
sys.path.insert(0, str(Path(__file__).parents[1] / "publish"))
from clips import make_clip
from wire_results import make_result

from stream_avs.capture.container import open_container
from stream_avs.config import MediaConfig, PublishConfig
from stream_avs.errors import SourceError, WireError
from stream_avs.publish import wire
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import MaskResult, Sounding

HOSTILE = (
    "/etc/passwd",
    "../../../evil",
    "file:///etc/shadow",
    "~/evil",
    "C:\\evil",
    "evil\x00.png",
    "| touch evil",
)

WATCHED = """
import json, os, sys
out, code = sys.argv[1], sys.argv[2]
opened = []
def watch(event, args):
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if isinstance(args[0], str):  # numbers are what is open already
            opened.append(args[0])
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.link", "subprocess.Popen",
                   "os.system", "os.exec", "os.chmod", "shutil.copyfile", "tempfile.mkstemp"):
        opened.append(f"{event} {args[0]}")
sys.dont_write_bytecode = True
sys.argv = sys.argv[2:]
sys.addaudithook(watch)
try:
    exec(code)
finally:
    with os.fdopen(os.dup(1), "w") as said:
        json.dump(opened, said)
"""
"""Runs code, then tells which files it opened for writing, and what else it did to the disk."""


def writes_of(code: str, *arguments: str, feed: Callable[[], None]) -> list[str]:
    """Files that some code writes in a process of its own, fed all the while."""
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, "-", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        over = threading.Event()

        def work() -> None:
            while not over.wait(0.02):
                feed()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            said, complaint = process.communicate(timeout=60)
        finally:
            over.set()
            thread.join()
    assert process.returncode == 0, complaint.decode()
    return list(json.loads(said.decode().splitlines()[-1]))


def hostile_results() -> list[MaskResult]:
    """Masks that carry paths wherever they carry text."""
    label = {1: HOSTILE[1], 2: HOSTILE[2]}
    return [
        make_result(
            frame_id=name.replace("\x00", ""),
            model_id=name.replace("\x00", ""),
            labels=label,
            window_seq=k,
            sounding=(Sounding(class_id=1, name=HOSTILE[1], score=0.5, area=0.1),),
            stamp_ns=10**9 + k,
        )
        for k, name in enumerate(HOSTILE)
    ]


def test_masks_from_elsewhere_write_only_where_the_user_said(tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    results = iter(range(10**9))
    hostile = hostile_results()
    with ExitStack() as stack:
        publisher = stack.enter_context(Publisher(PublishConfig(address="tcp://127.0.0.1:*"), "../up"))

        def feed() -> None:
            publisher.publish(replace(hostile[next(results) % len(hostile)], stream="../up"))

        code = (
            "import sys; from stream_avs.commands import subscribe\n"
            "subscribe.run([sys.argv[1], '--stream', '../up', '--save', sys.argv[2], '--count', '12'])"
        )
        wrote = writes_of(code, publisher.address, str(folder), feed=feed)
    inside = [name for name in wrote if name.startswith((str(folder), f"os.mkdir {folder}"))]
    assert len(inside) >= 24
    assert sorted(wrote) == sorted(inside)
    assert all(path.parent == folder for path in tmp_path.rglob("*.png"))


@pytest.mark.parametrize("name", ["evil\x00", "a b", "a\nb", "", "x" * 65, "a:b", "~", "a\\b", "\x1b[2J"])
def test_a_stream_name_in_a_header_is_checked_like_one_in_a_topic(name: str) -> None:
    message = wire.encode(make_result())
    header = msgspec.msgpack.encode(msgspec.structs.replace(message.header, stream=name))
    parts = [wire.topic(wire.Profile.STREAM, "cam0"), header, *message.payloads]
    with pytest.raises(WireError):
        wire.decode(wire.from_parts(parts))


def playlist(address: str) -> bytes:
    return (
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
        f"#EXTINF:1.0,\n{address}\n#EXT-X-ENDLIST\n"
    ).encode()


class _Site(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        data = self.files[self.path]
        self.send_response(200)
        kind = "application/vnd.apple.mpegurl" if self.path.endswith("m3u8") else "video/mp2t"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A server with a film, a playlist of it, and playlists of a file on this machine."""
    film = make_clip(tmp_path / "private.ts", 0.6)
    _Site.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        _Site.files = {
            "/film.ts": film.read_bytes(),
            "/good.m3u8": playlist("film.ts"),
            "/file.m3u8": playlist(f"file://{film}"),
            "/path.m3u8": playlist(str(film)),
            "/concat.txt": f"ffconcat version 1.0\nfile '{film}'\n".encode(),
        }
        yield address
        server.shutdown()


def test_what_the_network_sends_opens_no_file_here(site: str) -> None:
    open_container(f"{site}/good.m3u8", MediaConfig()).close()
    for name in ("file.m3u8", "path.m3u8", "concat.txt"):
        with pytest.raises(SourceError):
            open_container(f"{site}/{name}", MediaConfig(timeout_s=2))


def test_what_a_bare_socket_sends_opens_nothing_else(site: str) -> None:
    for text in (_Site.files["/file.m3u8"], _Site.files["/concat.txt"], playlist(f"{site}/film.ts")):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def send(listener: socket.socket = listener, text: bytes = text) -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(text)

            threading.Thread(target=send, daemon=True).start()
            with pytest.raises(SourceError):
                open_container(f"tcp://127.0.0.1:{listener.getsockname()[1]}", MediaConfig(timeout_s=2))
    assert not _Site.asked


def test_a_file_from_elsewhere_asks_nobody(site: str, tmp_path: Path) -> None:
    """A film that is a playlist inside must not tell a stranger that it was played, nor reach a router."""
    for name in ("holiday.mp4", "holiday.m3u8"):
        (tmp_path / name).write_bytes(playlist(f"{site}/film.ts"))
        with pytest.raises(SourceError):
            open_container(str(tmp_path / name), MediaConfig())
    assert not _Site.asked
