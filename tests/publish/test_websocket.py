"""The page's server: who may connect, what is sent, what is kept."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pytest
from wire_results import make_result

aiohttp = pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")

from stream_avs.errors import PublishError  # noqa: E402
from stream_avs.ledger import Ledger  # noqa: E402
from stream_avs.publish import wire  # noqa: E402
from stream_avs.publish.sound_strip import BANDS, SoundStrip  # noqa: E402
from stream_avs.publish.view_config import ViewConfig  # noqa: E402
from stream_avs.publish.view_feed import ViewFeed  # noqa: E402
from stream_avs.publish.viewer import Viewer  # noqa: E402
from stream_avs.publish.websocket import PAGE, ViewServer  # noqa: E402
from stream_avs.types import AudioBlock, Event, SourceState  # noqa: E402


@pytest.fixture
def served() -> Iterator[tuple[ViewServer, ViewFeed, Ledger]]:
    feed, ledger = ViewFeed(), Ledger()
    with ViewServer(ViewConfig(port=0), feed, ledger) as server:
        yield server, feed, ledger


def wait_until(true, timeout_s: float = 5.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def split(message: bytes) -> tuple[str, dict, bytes]:
    end = message.index(0)
    (length,) = struct.unpack_from("<I", message, end + 1)
    header = msgspec.msgpack.decode(message[end + 5 : end + 5 + length], strict=False)
    return message[:end].decode(), header, message[end + 5 + length :]


def picture(value: int = 90) -> np.ndarray:
    return np.full((48, 64, 3), value, np.uint8)


async def talk(
    url: str, *, headers=None, send=(), until=1, during=lambda: None
) -> tuple[list[bytes], int | None]:
    """Messages received, up to `until`, and the code the connection was closed with."""
    got: list[bytes] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers=headers or {}, max_msg_size=0) as socket,
    ):
        for data in send:
            await (socket.send_bytes(data) if isinstance(data, bytes) else socket.send_str(data))
        await asyncio.sleep(0.1)
        during()
        async with asyncio.timeout(10):
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    got.append(message.data)
                if len(got) >= until:
                    break
        return got, socket.close_code


def test_picture_and_mask_come_together(served) -> None:
    server, feed, _ = served

    def give() -> None:
        for k in range(3):
            feed.picture("cam0", picture(k), 5_000 + k)
        feed.publish(make_result(stamp_ns=5_001))

    got, _ = asyncio.run(talk(server.stream_url, until=3, during=give))
    topics = [split(m)[0] for m in got]
    assert topics.index("picture/cam0") + 1 == topics.index("latest/cam0")
    _, header, jpeg = split(got[topics.index("picture/cam0")])
    assert header["t_capture_ns"] == 5_001
    assert jpeg[:2] == b"\xff\xd8"
    result = wire.decode(wire.from_packed(got[topics.index("latest/cam0")]))
    assert np.array_equal(result.mask, make_result().mask)


def test_nothing_is_kept_while_nobody_looks(served) -> None:
    server, feed, _ = served
    for k in range(50):
        feed.picture("cam0", picture(), k)
        feed.publish(make_result(stamp_ns=k))
    assert feed.take() == []
    asyncio.run(talk(server.stream_url, until=1))
    wait_until(lambda: not feed.watched)
    feed.publish(make_result())
    assert all(not results for _, results, _ in feed.take())


def test_cost_to_the_worker(served) -> None:
    """Watched or not, handing a result and a picture over takes well under 2 ms."""
    server, feed, _ = served
    image = np.zeros((480, 640, 3), np.uint8)
    result = make_result(np.zeros((384, 384), np.uint8))
    spent: list[float] = []

    def give() -> None:
        for k in range(60):
            begin_s = time.thread_time()
            feed.picture("cam0", image, k)
            feed.publish(result)
            spent.append(time.thread_time() - begin_s)

    asyncio.run(talk(server.stream_url, until=1, during=give))
    assert feed.take_picture("cam0", 10**9) is None
    assert np.percentile(spent, 90) < 0.002


def test_pictures_without_masks_come_alone(served) -> None:
    server, feed, _ = served

    def give() -> None:
        feed.tell("cam0", SourceState.LIVE)
        for k in range(10):
            feed.picture("cam0", picture(), k)

    got, _ = asyncio.run(talk(server.stream_url, until=3, during=give))
    assert ("picture/cam0", 9) in [(t, h.get("t_capture_ns")) for t, h, _ in map(split, got)]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8765", "Origin": "http://evil.example:8765"},
    ],
)
def test_foreign_pages_are_refused(served, headers: dict[str, str]) -> None:
    server, _, ledger = served
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(talk(server.stream_url, headers=headers))
    assert refused.value.status == 403
    assert ledger.counts()[Event.REFUSED] == 1
    assert server.viewers == 0


def test_own_page_may_connect(served) -> None:
    server, _, _ = served
    got, _ = asyncio.run(talk(server.stream_url, headers={"Origin": server.origin.rstrip("/")}))
    topic, header, _ = split(got[0])
    assert topic == "status/"
    assert abs(header["t_unix_ns"] - time.time_ns()) < 5e9


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        ("{", {1008}),
        ('{"pause": 3}', {1008}),
        ('{"pause": true, "x": 1}', {1008}),
        ("[" * 200, {1008}),
        (b"\x00\x01", {1008}),
        ("x" * 10_000, {1009, 1006}),
    ],
)
def test_hostile_requests_are_shown_out(served, data: str | bytes, codes: set[int]) -> None:
    server, _, _ = served
    _, closed = asyncio.run(talk(server.stream_url, send=[data], until=100))
    assert closed in codes
    wait_until(lambda: server.viewers == 0)


def test_a_paused_page_gets_no_pictures(served) -> None:
    server, feed, _ = served

    def give() -> None:
        feed.picture("cam0", picture(), 1)
        feed.publish(make_result(stamp_ns=1))

    got, _ = asyncio.run(talk(server.stream_url, send=[json.dumps({"pause": True})], until=3, during=give))
    assert {split(m)[0] for m in got} == {"status/"}


def test_a_page_that_sleeps_costs_nothing_more() -> None:
    """Newest wins: what waits for a page does not grow."""
    viewer = Viewer(socket=None)  # type: ignore[arg-type]
    for k in range(10_000):
        viewer.show("cam0", [b"picture %d" % k, b"mask %d" % k])
        viewer.hear(b"sound %d" % k)
    waiting = viewer.take()
    assert waiting[-2:] == [b"picture 9999", b"mask 9999"]
    assert len(waiting) == 102
    assert viewer.skipped == 9_999
    assert viewer.take() == []


def test_pictures_that_wait_are_bounded() -> None:
    feed = ViewFeed()
    feed.watched = True
    for k in range(300):
        feed.picture("cam0", np.zeros((480, 640, 3), np.uint8), k)
    assert feed.take_picture("cam0", 0) is None
    assert feed.take_picture("cam0", 299) is not None


def test_files_and_headers(served) -> None:
    server, _, _ = served
    for name, (_, kind) in PAGE.items():
        with urllib.request.urlopen(server.origin + name) as answer:
            assert answer.headers["Content-Type"].startswith(kind)
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            text = answer.read().decode()
            assert "http://" not in text.replace("http://www.w3.org", "")
            assert "https://" not in text
    for name in ("../websocket.py", "nothing.js", "wire.d.ts", "%2e%2e/limits.py"):
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(server.origin + name)
        assert missing.value.code == 404


def test_addresses() -> None:
    feed = ViewFeed()
    with pytest.raises(PublishError, match="other machines"):
        ViewServer(ViewConfig(host="0.0.0.0", port=0), feed)
    with ViewServer(ViewConfig(port=0), feed) as server:
        port = urlsplit(server.origin).port
        with pytest.raises(PublishError, match="cannot be served"):
            ViewServer(ViewConfig(port=port), feed)
    with ViewServer(ViewConfig(port=port), feed):
        pass  # free again at once


def test_a_tone_stands_out_in_its_band() -> None:
    strip = SoundStrip()
    rate_hz = 16_000
    t = np.arange(rate_hz) / rate_hz
    samples = (0.5 * np.sin(2 * np.pi * 1000 * t)).astype(np.float32)[:, None]
    got = []
    for k in range(0, rate_hz, 371):
        stamp_ns = 10**9 + round(k / rate_hz * 1e9)
        columns = strip.push(
            AudioBlock(samples=samples[k : k + 371], stamp_ns=stamp_ns, sample_rate_hz=rate_hz)
        )
        if columns is not None:
            got.append(columns)
    bands = np.concatenate([c.bands for c in got])
    assert len(bands) == 50
    assert abs(got[-1].end_ns - 2 * 10**9) <= 20_000_000
    edges_hz = np.geomspace(60, 8000, BANDS + 1)
    loudest = int(np.bincount(bands[5:-5].argmax(axis=1)).argmax())
    assert edges_hz[loudest] * 0.93 <= 1000 <= edges_hz[loudest + 1] * 1.07
    levels = np.concatenate([c.levels_dbfs for c in got])[5:]
    assert np.allclose(levels, 20 * np.log10(0.5 / np.sqrt(2)), atol=0.3)


def test_a_suspended_page_holds_up_nobody_and_nothing_grows(served) -> None:
    """A page whose machine sleeps reads nothing; another one beside it goes on as before."""
    import base64
    import os
    import resource
    import socket

    server, feed, _ = served
    port = urlsplit(server.origin).port
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)  # 250 KB as JPEG
    with socket.create_connection(("127.0.0.1", port)) as asleep:
        key = base64.b64encode(os.urandom(16)).decode()
        asleep.sendall(
            f"GET /{server.stream_url.rpartition('/')[2]} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        wait_until(lambda: feed.watched)

        async def watch() -> tuple[int, int]:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(server.stream_url, max_msg_size=0) as page,
            ):
                seen, grown = 0, 0
                for k in range(200):
                    feed.picture("cam0", noise, k)
                    feed.publish(make_result(stamp_ns=k))
                    while split((await page.receive()).data)[0] != "latest/cam0":
                        pass
                    seen += 1
                    if k == 60:
                        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                return seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown

        seen, grown_kb = asyncio.run(watch())
        assert seen == 200
        assert grown_kb < 15_000  # 140 pictures would be 35 MB
        # Awake again, it hears what was on the way, and then the newest.
        asleep.settimeout(5)
        read = newest = b""
        total = 0
        while b"awake" not in newest:
            feed.picture("cam0", noise, 10**6)
            feed.publish(make_result(stamp_ns=10**6, model_id="awake"))
            read = asleep.recv(1 << 20)
            newest = newest[-100_000:] + read
            total += len(read)
        assert total < 60 * 250_000
        begin_s = time.monotonic()
        server.close()
        assert time.monotonic() - begin_s < 4
