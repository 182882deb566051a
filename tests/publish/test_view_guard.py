"""The page's stream: the token, limits on what pages may ask, and how many may knock."""

from __future__ import annotations

import asyncio
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

aiohttp = pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")

from stream_avs.errors import PublishError  # noqa: E402
from stream_avs.ledger import Ledger  # noqa: E402
from stream_avs.publish import view_guard  # noqa: E402
from stream_avs.publish.view_config import ViewConfig  # noqa: E402
from stream_avs.publish.view_feed import ViewFeed  # noqa: E402
from stream_avs.publish.view_token import is_token, make_token  # noqa: E402
from stream_avs.publish.websocket import ViewServer  # noqa: E402
from stream_avs.types import Event, SourceState  # noqa: E402

Served = tuple[ViewServer, ViewFeed, Ledger]


@pytest.fixture
def served() -> Iterator[Served]:
    feed, ledger = ViewFeed(), Ledger()
    with ViewServer(ViewConfig(port=0, max_viewers=2, evict_s=0.5), feed, ledger) as server:
        yield server, feed, ledger


def refusals(ledger: Ledger) -> list[str]:
    return [entry.detail for entry in ledger.recent() if entry.event is Event.REFUSED]


async def status_of(session, url: str) -> int:
    """101 for a stream that opens, else the status it is refused with."""
    try:
        async with session.ws_connect(url):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


def test_only_the_token_opens_the_stream(served: Served) -> None:
    server, _, ledger = served
    right = server.stream_url
    wrong = [
        right.split("?")[0],
        right[:-1],
        right + "x",
        right.replace("token=", "token=%00"),
        right.split("=")[0] + "=" + "%ff" * 40,
        right.split("=")[0] + "=",
        right.replace("token=", "Token="),
    ]

    async def ask() -> list[int]:
        async with aiohttp.ClientSession() as session:
            return [await status_of(session, url) for url in (*wrong, right)]

    assert asyncio.run(ask()) == [*[403] * len(wrong), 101]
    assert refusals(ledger) == ["view: a page without the token"] * len(wrong)


def test_the_token_is_new_each_time_and_is_told_to_nobody(served: Served) -> None:
    server, _, ledger = served
    token = server.url.split("#token=")[1]
    assert len(token) == 43
    with ViewServer(ViewConfig(port=0), ViewFeed()) as other:
        assert token not in other.url
    assert server.url.split("#")[0] == server.origin  # behind # it stays in the browser

    async def read() -> str:
        async with aiohttp.ClientSession() as session:
            return "".join([await (await session.get(server.origin + f)).text() for f in ("", "viewer.js")])

    assert token not in asyncio.run(read())
    assert token not in repr(ledger.recent())


def test_too_many_pages_and_too_many_requests_are_shown_out(served: Served) -> None:
    server, _, ledger = served

    async def ask() -> tuple[list[int], int | None]:
        async with aiohttp.ClientSession() as session:
            first = await session.ws_connect(server.stream_url)
            async with session.ws_connect(server.stream_url):
                third = await status_of(session, server.stream_url)
            for _ in range(60):
                await first.send_str('{"pause": false}')
            async with asyncio.timeout(5):
                while not first.closed:
                    await first.receive()
            return [third], first.close_code

    assert asyncio.run(ask()) == ([503], 1008)
    assert "view: too many requests of a page" in refusals(ledger)


def test_knocking_is_limited(served: Served) -> None:
    server, _, ledger = served

    async def knock() -> list[int]:
        async with aiohttp.ClientSession() as session:
            return [await status_of(session, server.origin + "stream") for _ in range(90)]

    statuses = asyncio.run(knock())
    assert statuses.count(403) >= 60
    assert 429 in statuses
    assert "view: too many requests for the stream" in refusals(ledger)


def test_connections_are_counted_and_idle_ones_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_guard, "CONNECTIONS_BESIDE_VIEWERS", 3)
    monkeypatch.setattr(view_guard, "REQUEST_S", 0.5)
    ledger = Ledger()
    with ViewServer(ViewConfig(port=0, max_viewers=1), ViewFeed(), ledger) as server:
        place = ("127.0.0.1", urlsplit(server.origin).port)
        silent = [socket.create_connection(place) for _ in range(4)]
        time.sleep(0.1)
        with socket.create_connection(place) as fifth:
            fifth.settimeout(5)
            assert ended(fifth)
        for idle in silent:
            idle.settimeout(5)
            idle.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")  # and never the end of it
            assert ended(idle)
            idle.close()
        assert refusals(ledger) == ["view: too many connections"]

        async def still_serves() -> int:
            async with aiohttp.ClientSession() as session, session.ws_connect(server.stream_url) as stream:
                await asyncio.sleep(0.8)  # a stream is not idle
                async with asyncio.timeout(5):
                    return (await stream.receive()).type

        assert asyncio.run(still_serves()) is aiohttp.WSMsgType.BINARY


def ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_a_page_that_takes_nothing_is_cut_off(served: Served) -> None:
    server, feed, ledger = served
    place = urlsplit(server.stream_url)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    with socket.create_connection((place.hostname, place.port)) as asleep:
        asleep.sendall(
            f"GET /stream?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        end_s = time.monotonic() + 20
        feed.tell("cam0", SourceState.LIVE)
        stamp_ns = 0
        while "view: a page that took nothing for 0.5 s" not in refusals(ledger):
            assert time.monotonic() < end_s
            feed.picture("cam0", noise, stamp_ns := stamp_ns + 1)
            time.sleep(0.02)
        while server.viewers:
            assert time.monotonic() < end_s
            time.sleep(0.02)


def test_oversize_header_lines_and_bodies_are_refused(served: Served) -> None:
    server, _, _ = served

    async def ask() -> list[int]:
        async with aiohttp.ClientSession() as session:
            long_line = await session.get(server.origin, headers={"X": "a" * 9000})
            long_path = await session.get(server.origin + "a" * 9000)
            body = await session.post(server.origin + "stream", data=b"x" * 100_000)
            return [long_line.status, long_path.status, body.status]

    assert asyncio.run(ask()) == [400, 400, 405]


def test_a_token_file_keeps_the_token_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = make_token(str(path))
    assert make_token(str(path)) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(PublishError, match="chmod 600"):
        make_token(str(path))
    path.chmod(0o600)
    path.write_text("short")
    with pytest.raises(PublishError, match="no token"):
        make_token(str(path))
    with pytest.raises(PublishError, match="cannot be made"):
        make_token(str(tmp_path / "none" / "token"))


def test_tokens_are_compared_whole() -> None:
    token = make_token()
    assert is_token(token, token)
    for wrong in ("", token[:-1], token + "=", token.swapcase(), "\ud800", "é" * 43):
        assert not is_token(token, wrong)
