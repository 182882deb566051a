"""`stream-avs view` over real sockets: what is published or recorded reaches the page's server."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

aiohttp = pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")

sys.path.insert(0, str(Path(__file__).parents[1] / "publish"))
from wire_results import make_result  # noqa: E402

from stream_avs.capture.tap import NoSink  # noqa: E402
from stream_avs.commands import view  # noqa: E402
from stream_avs.config import PublishConfig  # noqa: E402
from stream_avs.errors import ConfigError, PublishError, SourceError  # noqa: E402
from stream_avs.link.sender import MediaSender  # noqa: E402
from stream_avs.link.settings import LinkConfig  # noqa: E402
from stream_avs.publish import wire  # noqa: E402
from stream_avs.publish.zeromq import Publisher  # noqa: E402


def serve(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A view in another process, and its address."""
    code = f"from stream_avs.commands import view; view.run({list(arguments)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("open http://127.0.0.1:"), line + process.stderr.read()
    return process, line.split()[1]


async def watch(url: str, kinds: set[str], during=lambda: None) -> dict[str, bytes]:
    """The first message of each kind."""
    got: dict[str, bytes] = {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url.replace("http", "ws", 1).replace("/#", "/stream?"), max_msg_size=0) as socket,
        asyncio.timeout(20),
    ):
        while not kinds <= got.keys():
            during()
            message = await socket.receive()
            got.setdefault(message.data.split(b"/")[0].decode(), message.data)
    return got


def end(process: subprocess.Popen[str]) -> None:
    begin_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert time.monotonic() - begin_s < 5


def test_masks_over_zeromq(tmp_path: Path) -> None:
    with Publisher(PublishConfig(address="tcp://127.0.0.1:*"), "eye") as publisher:
        process, url = serve(f"{publisher.address}#eye", "--view.port", "0")
        got = asyncio.run(
            watch(url, {"latest", "status"}, lambda: publisher.publish(make_result(stream="eye")))
        )
        end(process)
    result = wire.decode(wire.from_packed(got["latest"]))
    assert result.stream == "eye"
    assert np.array_equal(result.mask, make_result().mask)


def test_masks_over_the_pictures_of_a_capture_node() -> None:
    """Two processes publish, the page gets picture and mask of the same moment."""
    with (
        Publisher(PublishConfig(address="tcp://127.0.0.1:*"), "cam0") as publisher,
        MediaSender(LinkConfig(address="tcp://127.0.0.1:*"), "cam0") as sender,
    ):
        process, url = serve(publisher.address, "--pictures", sender.address, "--view.port", "0")

        def both() -> None:
            stamp_ns = time.monotonic_ns()
            sender.frame(np.full((48, 64, 3), 90, np.uint8), stamp_ns, stamp_ns)
            time.sleep(0.05)
            publisher.publish(make_result(stamp_ns=stamp_ns))

        got = asyncio.run(watch(url, {"latest", "picture", "status"}, both))
        end(process)
    assert b"\xff\xd8" in got["picture"]


def test_a_recording_with_picture_sound_and_masks(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "record"))
    from recordings import INFO, play, recorder

    path = tmp_path / "a.mcap"
    with recorder(path) as out:
        sink = out.tap(NoSink(), INFO)
        for k in range(20):
            play(sink, 1, first=k)
            out.publish(make_result(stamp_ns=10_000_000_000 + k * 40_000_000 + 7, seq=k, window_seq=k))
            time.sleep(0.02)
    process, url = serve(str(path), "--view.port", "0")
    got = asyncio.run(watch(url, {"latest", "picture", "sound", "status"}))
    end(process)
    result = wire.decode(wire.from_packed(got["latest"]))
    assert np.array_equal(result.mask, make_result().mask)
    assert b"\xff\xd8" in got["picture"]


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to view"):
        view.run([])
    with pytest.raises(ConfigError, match="no address and no recording"):
        view.run(["cam0"])
    with pytest.raises(SourceError, match="does not exist"):
        view.run([str(tmp_path / "none.mcap")])
    with pytest.raises(PublishError, match="neither tcp"):
        view.run(["http://127.0.0.1:5557"])
    with pytest.raises(PublishError, match="other machines"):
        view.run(["tcp://127.0.0.1:5557", "--view.host", "0.0.0.0"])
