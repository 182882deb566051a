"""Plain CDR, little-endian: how ROS 2 lays out a message (OMG DDSI-RTPS 2.3, clause 10).

Every primitive lies at a multiple of its own size, counted from behind the four-byte head. Pure.
"""

from __future__ import annotations

import struct

HEAD = b"\x00\x01\x00\x00"

Bytes = bytes | memoryview


class CdrWriter:
    """Puts fields one behind the other; `done` gives the message."""

    def __init__(self) -> None:
        self._parts: list[Bytes] = [HEAD]
        self._length = 0

    def number(self, kind: str, value: float) -> None:
        """Add one primitive; `kind` is its `struct` letter, e.g. "I" for uint32.

        Raises:
            struct.error: the value does not fit.
        """
        data = struct.pack("<" + kind, value)
        self._align(len(data))
        self._add(data)

    def data(self, value: Bytes) -> None:
        """Add uint8[]: a length and the bytes, which are copied by `done` only."""
        self.number("I", len(value))
        self._add(value)

    def text(self, value: str) -> None:
        """Add a string: UTF-8 and a zero byte."""
        self.data(value.encode() + b"\0")

    def time(self, ns: int) -> None:
        """Add builtin_interfaces/Time from int nanoseconds.

        Raises:
            struct.error: before 1901 or after 2038.
        """
        seconds, rest = divmod(ns, 1_000_000_000)
        self.number("i", seconds)
        self.number("I", rest)

    def done(self) -> bytes:
        """Return the message."""
        return b"".join(self._parts)

    def _align(self, size: int) -> None:
        self._add(b"\0" * (-self._length % size))

    def _add(self, data: Bytes) -> None:
        self._parts.append(data)
        self._length += len(data)


class CdrReader:
    """Takes fields off a message in turn.

    Args:
        message: as read from a file.

    Raises:
        ValueError: not little-endian CDR. All methods: the message ends too early.
    """

    def __init__(self, message: Bytes) -> None:
        self._data = memoryview(message)
        if bytes(self._data[:4]) != HEAD:
            raise ValueError("message is not little-endian CDR")
        self._at = 4

    def number(self, kind: str) -> int:
        """Take one integer; `kind` as in `CdrWriter.number`."""
        return int(self._unpack(kind))

    def real(self, kind: str) -> float:
        """Take one floating-point number."""
        return float(self._unpack(kind))

    def data(self) -> memoryview:
        """Take uint8[] as a view into the message."""
        length = self.number("I")
        return self._take(length)

    def text(self) -> str:
        """Take a string."""
        return str(self.data()[:-1], "utf-8")

    def time(self) -> int:
        """Take builtin_interfaces/Time as int nanoseconds."""
        seconds = self.number("i")
        return seconds * 1_000_000_000 + self.number("I")

    def _unpack(self, kind: str) -> float:
        size = struct.calcsize("<" + kind)
        self._at += -(self._at - 4) % size
        value: float = struct.unpack("<" + kind, self._take(size))[0]
        return value

    def _take(self, length: int) -> memoryview:
        end = self._at + length
        if end > len(self._data):
            raise ValueError(f"message of {len(self._data)} bytes ends before byte {end}")
        taken = self._data[self._at : end]
        self._at = end
        return taken
