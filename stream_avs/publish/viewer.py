"""One page that looks on: what it has not been sent yet, and when it is given up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from stream_avs.errors import missing_package

try:
    from aiohttp import web
except ImportError:
    raise missing_package("aiohttp, which serves the page,", "web") from None

GOODBYE_S = 1.0
MAX_SOUND_MESSAGES = 100


@dataclass(eq=False)
class Viewer:
    """Newest wins for pictures, sound waits in line."""

    socket: web.WebSocketResponse
    transport: asyncio.BaseTransport | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    pairs: dict[str, list[bytes]] = field(default_factory=dict)
    sounds: list[bytes] = field(default_factory=list)
    status: bytes = b""
    paused: bool = False
    skipped: int = 0

    def show(self, stream: str, messages: list[bytes]) -> None:
        """Replace what waits of a stream."""
        if self.paused:
            return
        self.skipped += stream in self.pairs
        self.pairs[stream] = messages
        self.ready.set()

    def hear(self, message: bytes) -> None:
        """Add sound; what is too old is dropped."""
        if not self.paused:
            self.sounds.append(message)
            del self.sounds[:-MAX_SOUND_MESSAGES]

    async def send(self, evict_s: float) -> None:
        """Send what comes until the page goes.

        Raises:
            TimeoutError: the page took nothing for `evict_s`.
        """
        with suppress(ConnectionError):  # who listens to it sees the end too
            while True:
                await self.ready.wait()
                for message in self.take():
                    async with asyncio.timeout(evict_s):
                        await self.socket.send_bytes(message)

    async def part(self) -> None:
        """Say goodbye; a page that sleeps cannot hear it and is cut off."""
        with suppress(TimeoutError, ConnectionError):
            goodbye = self.socket.close(code=1001, message=b"the session has ended")
            await asyncio.wait_for(goodbye, GOODBYE_S)
        self.cut_off()

    def cut_off(self) -> None:
        """End the connection at once."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    def take(self) -> list[bytes]:
        """Take all that waits."""
        waiting = [*self.sounds, *(m for pair in self.pairs.values() for m in pair)]
        if self.status:
            waiting.append(self.status)
        self.sounds, self.pairs, self.status = [], {}, b""
        self.ready.clear()
        return waiting
