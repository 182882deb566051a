"""/metrics and /healthz over HTTP, for this machine only unless told otherwise."""

from __future__ import annotations

import errno
import ipaddress
import json
import re
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socket import AF_INET, AF_INET6, socket
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType

from stream_avs.errors import PublishError
from stream_avs.observe.config import MetricsConfig
from stream_avs.observe.exposition import OPEN_METRICS_TYPE, TEXT_TYPE, render
from stream_avs.observe.monitor import Monitor

_ADDRESS = re.compile(r"(?P<host>\[[^\]]+\]|[^:/\[\]]+):(?P<port>\d{1,5})")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_CONNECTION_S = 5.0
_CONNECTIONS = 8


class MetricsServer:
    """Answers GET /metrics and GET /healthz on threads of its own; a context manager.

    A connection lasts one request and at most some seconds, and few are served at a time, so that
    no reader can cost the session more than that.

    Args:
        config: address to bind; port 0 takes a free one.
        monitor: has the figures.

    Raises:
        PublishError: the address is malformed, in use, or open to others without `insecure`.
    """

    def __init__(self, config: MetricsConfig, monitor: Monitor) -> None:
        host, port = _parse(config.address)
        loopback = _is_loopback(host)
        if not loopback and not config.insecure:
            raise PublishError(
                f"metrics address {config.address} can be reached from other machines, unauthenticated",
                "Use 127.0.0.1:PORT and let others in through `ssh -L PORT:127.0.0.1:PORT`,"
                " or accept the risk with --metrics.insecure",
            )
        try:
            self._server = _Server(host, port, monitor, any_name=not loopback)
        except OSError as error:
            raise _bind_error(config.address, error) from None
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self._server.server_address[1]}"
        """HOST:PORT as bound."""
        # Asked to end, it looks so often.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Free the address. May be called twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingMixIn, TCPServer):
    """Few connections at a time; those beyond are hung up on."""

    allow_reuse_address = True
    request_queue_size = 32
    daemon_threads = True
    block_on_close = False  # a reader that hangs must not hold up the end of the session

    def __init__(self, host: str, port: int, monitor: Monitor, *, any_name: bool) -> None:
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self.monitor = monitor
        self.any_name = any_name
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that goes away in the middle concerns nobody."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _CONNECTION_S
    server: _Server

    def do_GET(self) -> None:
        # A page in a browser may be made to ask us under a name of its own (DNS rebinding).
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if not self.server.any_name and name not in _LOCAL_NAMES:
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", "not under this name\n")
        elif self.path == "/metrics":
            open_metrics = "application/openmetrics-text" in self.headers.get("Accept", "")
            text = render(self.server.monitor.samples(), open_metrics=open_metrics)
            self._answer(HTTPStatus.OK, OPEN_METRICS_TYPE if open_metrics else TEXT_TYPE, text)
        elif self.path == "/healthz":
            health = self.server.monitor.health()
            status = HTTPStatus.OK if health.live else HTTPStatus.SERVICE_UNAVAILABLE
            body = json.dumps({"live": health.live, "reason": health.reason}) + "\n"
            self._answer(status, "application/json", body)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "there is /metrics and /healthz\n")

    def _answer(self, status: HTTPStatus, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "stream-avs"

    def log_message(self, format: str, *args: object) -> None:
        """Being asked is nothing out of the ordinary."""


def _parse(address: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise PublishError(f"metrics address {address!r} is not HOST:PORT", "Expected e.g. 127.0.0.1:9108")
    host = match["host"].strip("[]")
    return ("127.0.0.1" if host == "localhost" else host), int(match["port"])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bind_error(address: str, error: OSError) -> PublishError:
    if error.errno == errno.EADDRINUSE:
        return PublishError(
            f"metrics address {address} is in use by another process",
            "Choose another port; `ss -ltnp` lists those in use",
        )
    return PublishError(
        f"metrics address {address} cannot be bound: {error.strerror}", "Choose another address"
    )
