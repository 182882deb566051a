"""What a message may be at most (WIRE.md, "Limits"). Both ends keep to them."""

from __future__ import annotations

MAX_HEADER_BYTES = 64 * 1024
MAX_SIDE_PX = 4096
MAX_PIXELS = MAX_SIDE_PX * MAX_SIDE_PX
MAX_PAYLOAD_BYTES = MAX_PIXELS + 64 * 1024
"""One payload: every pixel as a byte, and what zlib adds to bytes it cannot shrink."""
MAX_PAYLOADS = 8
MAX_TOPIC_BYTES = 512
MAX_MESSAGE_BYTES = MAX_TOPIC_BYTES + 4 + MAX_HEADER_BYTES + 2 * MAX_PAYLOAD_BYTES
