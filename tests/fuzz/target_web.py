"""What a browser sends to the page's server."""

from __future__ import annotations

from fuzzing import Target

from stream_avs.publish.view_guard import authority_of, host_of, is_loopback
from stream_avs.publish.view_messages import decode_request


def _address(data: bytes) -> object:
    text = data.decode("latin-1")
    return is_loopback(host_of(text)), authority_of(text)


TARGETS = (
    Target(
        name="page-request", decode=decode_request, form="json", max_bytes=512,
        seeds=lambda: [b'{"pause": true}', b'{"pause":false}', b'{"pause":1}', b"[" * 300],
    ),
    Target(
        name="page-address", decode=_address, max_bytes=256,
        seeds=lambda: [b"127.0.0.1:8765", b"[::1]:8765", b"http://localhost:1", b"https://[", b"a.example"],
    ),
)  # fmt: skip
