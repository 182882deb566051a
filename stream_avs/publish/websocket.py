"""Serves the page and sends it pictures, masks and sound over WebSocket.

Its own thread and event loop. A page that cannot follow, or is asleep, gets the newest pair when it
is ready again; nothing piles up for it. Only pages served from here that have the token may connect.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from importlib.resources import files
from types import TracebackType
from typing import Any

from stream_avs.clock import monotonic_ns
from stream_avs.errors import PublishError, StreamAvsError, WireError, missing_package
from stream_avs.ledger import Ledger
from stream_avs.publish import wire
from stream_avs.publish.palette import PALETTE
from stream_avs.publish.sound_strip import SoundStrip
from stream_avs.publish.view_config import ViewConfig
from stream_avs.publish.view_feed import ViewFeed
from stream_avs.publish.view_guard import HEADERS, Guard, is_loopback
from stream_avs.publish.view_messages import (
    MAX_REQUEST_BYTES,
    decode_request,
    picture_message,
    sound_message,
    status_message,
)
from stream_avs.publish.view_token import make_token
from stream_avs.publish.viewer import Viewer
from stream_avs.types import Event, MaskResult, SourceState

try:
    from aiohttp import WSMsgType, web
except ImportError:
    raise missing_package("aiohttp, which serves the page,", "web") from None

PAGE = {
    "": ("index.html", "text/html"),
    "viewer.js": ("viewer.js", "text/javascript"),
    "tile.js": ("tile.js", "text/javascript"),
    "charts.js": ("charts.js", "text/javascript"),
    "wire.js": ("wire.js", "text/javascript"),
    "style.css": ("style.css", "text/css"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
STATUS_S = 1.0
PICTURE_ALONE_S = 0.5
"""A picture is sent without a mask if no mask has come for so long."""


class ViewServer:
    """Serves a feed; a context manager.

    Args:
        config: where, and how pictures travel.
        feed: what to show.
        ledger: counts what could not be shown and requests that were refused.

    Attributes:
        origin: address of the page's files, e.g. http://127.0.0.1:8765/.
        url: address of the page, with the token that opens its stream.
        stream_url: address of the stream, for clients of our own.

    Raises:
        PublishError: the address is in use, of no interface, or open to others without `insecure`;
            or the token file is no good.
        MissingPackageError: aiohttp is not installed.
    """

    def __init__(self, config: ViewConfig, feed: ViewFeed, ledger: Ledger | None = None) -> None:
        if not is_loopback(config.host) and not config.insecure:
            raise PublishError(
                f"address {config.host} can be reached from other machines, and the page shows the camera"
                " to whoever has its address or listens in",
                "Serve 127.0.0.1 and let others in through `ssh -L`, or accept the risk with --insecure"
                " (--view.insecure)",
            )
        self._config = config
        self._feed = feed
        self._ledger = ledger if ledger is not None else Ledger()
        self._viewers: set[Viewer] = set()
        self._strips: dict[str, SoundStrip] = {}
        self._shown_s: dict[str, float] = {}
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()
        self._stop = asyncio.Event()
        self._token = make_token(config.token_file)
        self._guard = Guard(config, self._token, self._refuse)
        self.origin = ""
        self._thread = threading.Thread(target=self._run, name="view", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise PublishError(
                f"address {config.host}:{config.port} cannot be served: {self._failure.strerror}",
                "Choose another --view.port, or 0 for one that is free",
            )

    @property
    def url(self) -> str:
        """Address of the page. What is behind # stays in the browser."""
        return f"{self.origin}#token={self._token}"

    @property
    def stream_url(self) -> str:
        """Address of the stream."""
        return f"{self.origin.replace('http', 'ws', 1)}stream?token={self._token}"

    @property
    def viewers(self) -> int:
        """Pages that watch now."""
        return len(self._viewers)

    def close(self) -> None:
        """Close all pages and free the address. May be called twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(5)

    def __enter__(self) -> ViewServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._feed.watched = False
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=1024)
        app.router.add_get("/stream", self._on_socket)
        app.router.add_get("/palette.js", self._on_palette)
        app.router.add_get("/{name:[a-z.]*}", self._on_file)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        assert runner.server is not None
        try:
            listener = await self._loop.create_server(
                self._guard.protocols(runner.server), self._config.host, self._config.port
            )
        except OSError as error:
            self._failure = error
            await runner.cleanup()
            return
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        self.origin = f"http://{host}:{listener.sockets[0].getsockname()[1]}/"
        self._feed.wake = self._wake
        self._started.set()
        show = asyncio.create_task(self._show())
        await self._stop.wait()
        # Not cancelled: `wait_for` of Python 3.11 swallows a cancellation that meets its event.
        self._news.set()
        await show
        listener.close()
        await asyncio.gather(*(viewer.part() for viewer in list(self._viewers)))
        await runner.cleanup()

    def _wake(self) -> None:
        """From any thread: something came."""
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            self._feed.watched = False  # the loop has ended

    async def _show(self) -> None:
        """Pack what comes, for all pages at once; tell the state every second."""
        status_s = 0.0
        while not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), 0.1)
            self._news.clear()
            if not self._viewers:
                continue
            self._pack()
            now_s = self._loop.time()
            if now_s - status_s >= STATUS_S:
                status_s = now_s
                self._tell_status()

    def _pack(self) -> None:
        now_s = self._loop.time()
        for stream, results, blocks in self._feed.take():
            for block in blocks:
                columns = self._strips.setdefault(stream, SoundStrip()).push(block)
                if columns is not None:
                    message = sound_message(stream, columns)
                    for viewer in self._viewers:
                        viewer.hear(message)
            if results:
                self._shown_s[stream] = now_s
                self._show_result(results[-1])
            elif now_s - self._shown_s.setdefault(stream, now_s) > PICTURE_ALONE_S:
                self._show_picture(stream)

    def _show_result(self, result: MaskResult) -> None:
        image = self._feed.take_picture(result.stream, result.stamp_ns)
        try:
            messages = [wire.to_packed(wire.encode(result))]
            if image is not None:
                messages.insert(0, self._picture(result.stream, image, result.stamp_ns))
        except (StreamAvsError, ValueError) as error:
            self._cannot_show(result.stream, result.stamp_ns, error)
            return
        self._send(result.stream, messages)

    def _show_picture(self, stream: str) -> None:
        newest = self._feed.newest_picture(stream)
        if newest is None:
            return
        stamp_ns, image = newest
        try:
            self._send(stream, [self._picture(stream, image, stamp_ns)])
        except (StreamAvsError, ValueError) as error:
            self._cannot_show(stream, stamp_ns, error)

    def _cannot_show(self, stream: str, stamp_ns: int, error: Exception) -> None:
        self._ledger.record(Event.PUBLISH_DROP, stamp_ns, f"view: {error}")
        self._feed.tell(stream, SourceState.FAILED, f"cannot be shown: {error}")

    def _picture(self, stream: str, image: Any, stamp_ns: int) -> bytes:
        config = self._config
        return picture_message(
            stream, image, stamp_ns, max_width_px=config.max_width_px, quality=config.jpeg_quality
        )

    def _send(self, stream: str, messages: list[bytes]) -> None:
        for viewer in self._viewers:
            viewer.show(stream, messages)

    def _tell_status(self) -> None:
        streams = self._feed.streams()
        for viewer in self._viewers:
            viewer.status = status_message(time.time_ns(), streams, viewer.skipped)
            viewer.ready.set()

    async def _on_file(self, request: web.Request) -> web.Response:
        self._guard.check_host(request)
        entry = PAGE.get(request.match_info["name"])
        if entry is None:
            raise web.HTTPNotFound(headers=HEADERS)
        name, kind = entry
        text = files("stream_avs.publish").joinpath("web", name).read_text("utf-8")
        return web.Response(text=text, content_type=kind, charset="utf-8", headers=HEADERS)

    async def _on_palette(self, request: web.Request) -> web.Response:
        self._guard.check_host(request)
        text = f"export const PALETTE = {PALETTE.tolist()};\n"
        return web.Response(text=text, content_type="text/javascript", charset="utf-8", headers=HEADERS)

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        self._guard.check_stream(request, len(self._viewers))
        socket = web.WebSocketResponse(
            max_msg_size=MAX_REQUEST_BYTES, heartbeat=15.0, timeout=0.5, compress=False
        )
        await socket.prepare(request)
        viewer = Viewer(socket=socket, transport=request.transport)
        self._viewers.add(viewer)
        self._guard.is_stream(request.transport, True)
        self._feed.watched = True
        sender = asyncio.create_task(self._sender(viewer))
        try:
            await self._listen(viewer)
        finally:
            sender.cancel()
            self._viewers.discard(viewer)
            self._guard.is_stream(viewer.transport, False)
            if not self._viewers:
                self._feed.watched = False
                self._feed.forget()
        return socket

    async def _sender(self, viewer: Viewer) -> None:
        try:
            await viewer.send(self._config.evict_s)
        except TimeoutError:
            self._refuse(f"a page that took nothing for {self._config.evict_s:g} s")
            viewer.cut_off()

    async def _listen(self, viewer: Viewer) -> None:
        """Read requests until the page goes; a page that sends anything else, or too much, is shown out."""
        allowed = self._guard.requests_of_one()
        async for message in viewer.socket:
            if not allowed():
                self._refuse("too many requests of a page")
                await viewer.socket.close(code=1008, message=b"too many requests")
                return
            try:
                if message.type is not WSMsgType.TEXT:
                    raise WireError("request of a page is binary")
                viewer.paused = decode_request(message.data).pause
            except WireError as error:
                self._refuse(str(error))
                await viewer.socket.close(code=1008, message=b"request not understood")

    def _refuse(self, what: str) -> None:
        self._ledger.record(Event.REFUSED, monotonic_ns(), f"view: {what}")
