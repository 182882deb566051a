"""Who is let in to one CURVE socket, and whether one of them has lost that right since.

ZeroMQ asks about a key once, at the handshake (ZAP, RFC 27). A key taken out of the folder later must
end the connection too, so the keys let in are looked up again, off the threads that carry frames.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import zmq
from zmq.auth.thread import ThreadAuthenticator

from stream_avs.publish.allowed_keys import AllowedKeys

DOMAIN = "stream-avs"
LOOK_S = 0.5
"""How often the keys let in are looked up again. One counts as taken out when it is missing twice in a
row: a file that is just being copied anew is not missed, and a reader once refused does not return by
itself."""


class Doorman:
    """Answers for one socket, from two threads of its own, until `stop`.

    Args:
        context: of the socket; has no other authenticator.
        allowed: the keys that may connect.
        refused: told of each client that is not let in, on a thread of the doorman's.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        allowed: AllowedKeys,
        refused: Callable[[str], None],
    ) -> None:
        self._allowed = allowed
        self._refused = refused
        self._let_in: dict[bytes, str] = {}
        self._missed: set[bytes] = set()
        self._stopping = threading.Event()
        self.revoked = ""
        """NAMEs of keys that were let in and are listed no more; then the socket must begin anew."""
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.configure_curve_callback(DOMAIN, self)
        self._authenticator.start()
        self._thread = threading.Thread(target=self._watch, name="client keys", daemon=True)
        self._thread.start()

    def callback(self, domain: str, key: bytes) -> bool:
        """True if the owner of this key, Z85, may connect. Must not raise, or nobody gets in."""
        name = self._allowed.name_of(key)
        if name is None:
            self._refused(f"a client of unknown key {key[:8].decode()}…")
            return False
        self._let_in[key] = name
        return True

    def stop(self) -> None:
        """Answer no more, so that nobody gets in; call after the socket is closed."""
        self._stopping.set()
        self._authenticator.stop()
        self._thread.join(1.0)

    def look(self) -> None:
        """Look the keys let in up again. Called by the doorman's own thread."""
        let_in = self._let_in.copy()
        missing = {key for key in let_in if key not in self._allowed}
        if gone := missing & self._missed:
            self.revoked = ", ".join(sorted(let_in[key] for key in gone))
        self._missed = missing

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self.look()
