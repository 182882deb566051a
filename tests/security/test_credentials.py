"""The password of a source's address appears nowhere: not on the terminal, in logs, files or pages."""

from __future__ import annotations

import base64
import http.server
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("av", reason="needs PyAV (extra live)")
sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
from attackers import wait_until
from clips import make_clip

from stream_avs.cli import main
from stream_avs.errors import StreamAvsError
from stream_avs.ledger import Ledger
from stream_avs.scrub import scrub
from stream_avs.types import Event

USER, PASSWORD, QUERY = "joe9x7", "p4ssW0rd-of/joe", "qu3rys3cret"
SECRETS = (USER, PASSWORD, PASSWORD.split("/")[0], QUERY)
PLAIN = "".join(chr(c) for c in range(33, 127))


def leaks(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    wide = [*SECRETS, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()]
    return [secret for secret in wide if secret.encode() in data]


@settings(deadline=None)
@given(user=st.text(PLAIN, min_size=4), password=st.text(PLAIN + " ", min_size=4), scheme=st.sampled_from(
    ["rtsp://", "rtsp:/", "rtsp:", "HTTP://", "http:///", "udp://", "foo+bar://"]
))  # fmt: skip
def test_scrub_leaves_no_password(user: str, password: str, scheme: str) -> None:
    user, password = f"USR{user}", f"PWD{password}"
    for frame in ("{}", "cannot open {}: refused", "key 'source' is ['{}']", "a {} and {}", "{}\nnext line"):
        shown = scrub(frame.replace("{}", f"{scheme}{user}:{password}@10.0.0.7:554/live"))
        assert password not in shown
        assert user not in shown
        assert "10.0.0.7:554/live" in shown


@pytest.mark.parametrize(
    "text",
    [
        "address tcp://127.0.0.1:5557 is in use", "see https://example.org/a/b", "mail me@example.org",
        "http://cam/video?... does not let us in", "file C:/a.mp4", "time: 12:30", "a\nb", "",
        "Put user and password into the address: rtsp://USER:PASSWORD@HOST/...",
    ],
)  # fmt: skip
def test_scrub_leaves_the_rest_alone(text: str) -> None:
    assert scrub(text) == text


def test_errors_and_events_are_scrubbed_whoever_makes_them() -> None:
    address = f"rtsp://{USER}:{PASSWORD}@h/x?key={QUERY}"
    error = StreamAvsError(f"lost {address}", f"Try {address}")
    assert not leaks(f"{error} {error.what} {error.next_step} {error.args} {error!r}")
    ledger = Ledger()
    ledger.record(Event.RECONNECT, 0, f"lost {address}")
    assert not leaks(repr(ledger.recent()))
    assert scrub("open http://127.0.0.1:8765/#token=abcDEF-_123") == "open http://127.0.0.1:8765/#token=..."


BAD_SOURCES = [
    f"rtsp://{USER}:{PASSWORD}@127.0.0.1:1/live?key={QUERY}",
    f"http://{USER}:{PASSWORD}@127.0.0.1:1/live?key={QUERY}",
    f"tcp://{USER}:{PASSWORD}@127.0.0.1:1",
    f"rtps://{USER}:{PASSWORD}@127.0.0.1:1/live?key={QUERY}",  # mistyped
    f"rtsp:/{USER}:{PASSWORD}@127.0.0.1:1/live",
    f"rtsp:{USER}:{PASSWORD}@127.0.0.1/live",
    f"{USER}:{PASSWORD}@127.0.0.1/live",
]


@pytest.mark.parametrize("source", BAD_SOURCES)
def test_errors_on_the_command_line(source: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recording, config = tmp_path / "a.mcap", tmp_path / "c.yaml"
    lines = [["record", str(recording), "--source", source]]
    if source == BAD_SOURCES[0]:
        for wrong in (
            f"source: [{source!r}]",
            f"source: {source}\n bad: [",
            f"source: {source!r}\npolicy: {source!r}",
            f"{source!r}: 1",
        ):
            (path := tmp_path / f"{len(lines)}.yaml").write_text(wrong)
            lines.append(["run", "--config", str(path)])
        config.write_text(f"source: {source!r}\nname: cam0\n")
        lines += [
            ["record", str(recording), "--source", source, "--no-such-option", "1"],
            ["calibrate", "camera", "--source", source, "--out", str(tmp_path)],
            ["record", str(recording), source],
            ["subscribe", source],
            ["view", source],
        ]
    for arguments in lines:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        assert code != 0, arguments
        said = capfd.readouterr()
        assert said.err
        assert not leaks(said.out + said.err), arguments
    assert not recording.exists() or not leaks(recording.read_bytes())


class _Camera(http.server.BaseHTTPRequestHandler):
    """A camera behind a password: gives its film without a length, as live ones do, then hangs up."""

    film = b""
    visits = 0

    def do_GET(self) -> None:
        given = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2] + "==").decode()
        if given != f"{USER}:{PASSWORD.replace('/', '%2F')}" and given != f"{USER}:{PASSWORD}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        type(self).visits += 1
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        for begin in range(0, len(self.film), 4096):
            self.wfile.write(self.film[begin : begin + 4096])
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[str]:
    _Camera.film = make_clip(tmp_path / "film.ts", 2.0).read_bytes()
    _Camera.visits = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_address[1]}"
        yield f"http://{USER}:{PASSWORD.replace('/', '%2F')}@{host}/live.ts?key={QUERY}"
        server.shutdown()


SESSION = """
import sys
from stream_avs.benchmarks.stand_ins import DiscModel
from stream_avs.commands import run
run.load_model = lambda config: DiscModel()
sys.exit(run.run(sys.argv[1:]))
"""


def test_a_whole_session_with_everything_on(camera: str, tmp_path: Path) -> None:
    """Recording, page, figures, JSON logs of every event, status lines, a lost and regained camera."""
    for package in ("aiohttp", "mcap", "rich"):
        pytest.importorskip(package)
    out = tmp_path / "out"
    out.mkdir()
    arguments = [
        "--source", camera, "--record", str(out / "a.mcap"), "--view", "--view.port", "0",
        "--publish", "tcp://127.0.0.1:*", "--metrics.address", "127.0.0.1:0", "--log.format", "json",
        "--log.level", "debug", "--overlay", str(out / "o.mp4"),
    ]  # fmt: skip
    with (out / "said.txt").open("wb") as said:
        session = subprocess.Popen([sys.executable, "-c", SESSION, *arguments], stdout=said, stderr=said)
        try:
            back = b"was away"
            wait_until(lambda: back in (out / "said.txt").read_bytes() or session.poll(), timeout_s=30)
            session.send_signal(signal.SIGTERM)
            assert session.wait(30) == 0, (out / "said.txt").read_text()
        finally:
            session.kill()
            session.wait()
    text = (out / "said.txt").read_text()
    assert "live.ts?..." in text  # the camera is named
    assert "reconnect" in text  # lost, and back
    assert text.count('{"') >= 2  # logs
    names = sorted(path.name for path in out.iterdir())
    assert names == ["a.mcap", "o.mp4", "said.txt"]
    for path in out.iterdir():
        assert not leaks(path.read_bytes()), path.name
    from stream_avs.record.reader import Recording

    recording = Recording(out / "a.mcap")
    assert not leaks(repr(recording.info))
    assert not leaks("".join(repr(item) for item in recording.items() if "Note" in type(item).__name__))


def test_what_a_running_session_tells_machines_and_pages(camera: str) -> None:
    pytest.importorskip("aiohttp")
    from stream_avs.capture.media import Media
    from stream_avs.capture.tap import NoSink
    from stream_avs.config import MediaConfig
    from stream_avs.publish.view_feed import ViewFeed

    feed = ViewFeed()
    source = Media(camera, MediaConfig())
    info = source.open()
    source.start(feed.tap("cam0")(NoSink(), info))
    wait_until(lambda: _Camera.visits >= 2)
    source.stop()
    told = json.dumps(feed.streams())
    assert "live.ts" in told
    assert not leaks(told + repr(info))


def test_the_camera_does_ask_for_the_password(camera: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(camera.replace(f"{USER}:{PASSWORD.replace('/', '%2F')}@", ""))
