"""Who may have the page's stream, how many, and how fast.

Three things keep strangers out: the token, for other users of this machine and other machines; the
origin, for other pages in the same browser; the host name, for pages that gave their name our address
(DNS rebinding). The page's own files hold no secrets and need no token.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from stream_avs.errors import missing_package
from stream_avs.publish.rate_limit import RateLimit
from stream_avs.publish.view_config import ViewConfig
from stream_avs.publish.view_token import is_token

try:
    from aiohttp import web
except ImportError:
    raise missing_package("aiohttp, which serves the page,", "web") from None

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
REQUESTS_PER_S, REQUESTS_AT_ONCE = 5.0, 20.0
"""What one page may ask for; a person pauses less often."""
ALL_REQUESTS_PER_S, ALL_REQUESTS_AT_ONCE = 20.0, 60.0
"""What all pages together may ask for."""
OPENINGS_PER_S, OPENINGS_AT_ONCE = 20.0, 60.0
"""How often a stream may be asked for, by whomever."""
CONNECTIONS_BESIDE_VIEWERS = 32
"""For pages that load, and for those who only knock."""
REQUEST_S = 10.0
"""A connection that is no stream by then is closed."""


class Guard:
    """Checks of one page's server. Used on its event loop only.

    Args:
        config: host, limits.
        token: in the page's address.
        refused: told of everything that is turned away.
    """

    def __init__(self, config: ViewConfig, token: str, refused: Callable[[str], None]) -> None:
        now_s = time.monotonic()
        self._config = config
        self._token = token
        self._refused = refused
        self._openings = RateLimit(OPENINGS_PER_S, OPENINGS_AT_ONCE, now_s)
        self._requests = RateLimit(ALL_REQUESTS_PER_S, ALL_REQUESTS_AT_ONCE, now_s)
        self._streams: set[asyncio.BaseTransport] = set()

    def check_host(self, request: web.Request) -> None:
        """Refuse names that lead here but are not ours: a foreign page's way around its origin."""
        name = host_of(request.host)
        if not self._config.insecure and not is_loopback(name):
            raise self._forbid(f"host {name[:60]!r}", "this host is not served")

    def check_stream(self, request: web.Request, watching: int) -> None:
        """Refuse the stream to foreign pages, to who lacks the token, and to too many.

        Raises:
            web.HTTPException: refused.
        """
        if not self._openings.take(time.monotonic()):
            self._refused("too many requests for the stream")
            raise web.HTTPTooManyRequests(text="too many requests", headers=HEADERS)
        self.check_host(request)
        origin = request.headers.get("Origin")
        if origin is not None and authority_of(origin) != request.host:
            raise self._forbid(f"page of origin {origin[:60]!r}", "only the page served here may connect")
        if not is_token(self._token, request.query.get("token", "")):
            raise self._forbid("a page without the token", "open the address with the token")
        if watching >= self._config.max_viewers:
            raise web.HTTPServiceUnavailable(text="too many pages watch", headers=HEADERS)

    def requests_of_one(self) -> Callable[[], bool]:
        """A question to ask for each request of one page: is it allowed?"""
        own = RateLimit(REQUESTS_PER_S, REQUESTS_AT_ONCE, time.monotonic())

        def allowed() -> bool:
            now_s = time.monotonic()
            return own.take(now_s) and self._requests.take(now_s)

        return allowed

    def protocols(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        """A factory of connections for `loop.create_server` that has an upper bound."""

        def connect() -> asyncio.Protocol:
            if len(server.connections) >= self._config.max_viewers + CONNECTIONS_BESIDE_VIEWERS:
                self._refused("too many connections")
                return _Turned()
            handler = server()
            asyncio.get_running_loop().call_later(REQUEST_S, self._close_unless_stream, handler)
            return handler

        return connect

    def is_stream(self, transport: asyncio.BaseTransport | None, yes: bool) -> None:
        """Note that a connection has become a stream, or has ended."""
        if transport is not None:
            (self._streams.add if yes else self._streams.discard)(transport)

    def _close_unless_stream(self, handler: web.RequestHandler) -> None:
        transport = handler.transport
        if transport is not None and transport not in self._streams:
            transport.abort()

    def _forbid(self, what: str, text: str) -> web.HTTPForbidden:
        self._refused(what)
        return web.HTTPForbidden(text=text, headers=HEADERS)


class _Turned(asyncio.Protocol):
    """Hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


def host_of(authority: str) -> str:
    """Name or address in "host:port", "" if there is none."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:  # brackets that enclose no address
        return ""


def authority_of(origin: str) -> str:
    """The "host:port" of a page's origin, "" if there is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback addresses, with or without brackets."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
