"""`stream-avs weights`: list, where, fetch."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from stream_avs.cli import main
from stream_avs.models.published import PUBLISHED


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address it is served at."""
    folder = tmp_path / "mirror"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_where_prints_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "where", "--weights-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path)
    assert main(["weights", "where"]) == 0
    assert capsys.readouterr().out.strip().endswith(".cache/stream_avs/weights")


def test_list_shows_every_file_and_which_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pvt_v2_b5.pth").touch()
    assert main(["weights", "list", "--weights-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in PUBLISHED:
        (line,) = [line for line in lines if name in line.split()]
        assert line.startswith("there") == (name == "pvt_v2_b5.pth")


def test_fetch_reports_the_hash_of_a_file_that_has_none_published(
    mirror: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, address = mirror
    (folder / "pvt_v2_b0.pth").write_bytes(b"weights")
    target = tmp_path / "weights"
    arguments = ["weights", "fetch", "pvt_v2_b0.pth", "--weights-dir", str(target)]
    arguments += ["--url", f"{address}/pvt_v2_b0.pth"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert hashlib.sha256(b"weights").hexdigest() in out
    assert "publish none" in out
    assert (target / "pvt_v2_b0.pth").read_bytes() == b"weights"
    assert main(arguments) == 0
    assert "there already" in capsys.readouterr().out


def test_fetch_refuses_a_file_that_is_not_the_published_one(
    mirror: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, address = mirror
    (folder / "x").write_bytes(b"something else")
    target = tmp_path / "weights"
    arguments = [
        "weights",
        "fetch",
        "vggish-10086976.pth",
        "--weights-dir",
        str(target),
        "--url",
        f"{address}/x",
    ]
    assert main(arguments) == 4
    assert "expected 10086976..." in capsys.readouterr().err
    assert not (target / "vggish-10086976.pth").exists()


def test_offline_names_the_place_for_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        url = f"http://127.0.0.1:{server.server_port}/pvt_v2_b5.pth"
    arguments = ["weights", "fetch", "pvt_v2_b5.pth", "--weights-dir", str(tmp_path), "--url", url]
    assert main(arguments) == 4
    err = capsys.readouterr().err
    assert f"put it at {tmp_path / 'pvt_v2_b5.pth'}" in err
    assert "Traceback" not in err


def test_an_unknown_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "pvt_v2_b5"]) == 2
    assert "pvt_v2_b5.pth" in capsys.readouterr().err


def test_a_preset_that_needs_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "nano", "--weights-dir", str(tmp_path)]) == 0
    assert "nothing to fetch" in capsys.readouterr().out


def test_a_mirror_serves_one_file_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", "pvt2", "--url", "http://127.0.0.1:1/x"]) == 2
    assert "one file at a time" in capsys.readouterr().err
