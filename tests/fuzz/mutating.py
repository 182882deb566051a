"""Messages made worse: byte by byte, or value by value where the layout is known."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

Form = str
INTERESTING = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
WORDS = (b"\0", b"\xff" * 4, b"{", b"[", b"]", b"null", b"1e999", b"NaN", b"-1", b"\xed\xa0\x80", b"\xff\xfe")

HOSTILE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**64 - 1, -(2**63), 1e308, -1e308, 5e-324,
    float("nan"), float("inf"), -float("inf"),
    "", "a", "\0", "../../etc/passwd", "x" * 300, "\u202e\U0001f600",
    [], {}, [[]], [None] * 9, {"a": {}}, {"": ""}, "9" * 400, "1e5", "nan", b"", b"\xff",
)  # fmt: skip
"""What a field seldom expects."""


def mutate_bytes(data: bytes, rng: random.Random, seeds: list[bytes], max_bytes: int) -> bytes:
    """Make one to eight changes: bits, numbers, pieces left out, repeated or taken from another seed."""
    out = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        rng.choice(_CHANGES)(out, rng, seeds)
    return bytes(out[:max_bytes])


def mutate(data: bytes, rng: random.Random, seeds: list[bytes], form: Form, max_bytes: int) -> bytes:
    """Make a message worse; one of a known form in half of the cases value by value."""
    if form != "bytes" and rng.random() < 0.5:
        changed = mutate_values(data, rng, form)
        if changed is not None and len(changed) <= max_bytes:
            return changed
    return mutate_bytes(data, rng, seeds, max_bytes)


def mutate_values(data: bytes, rng: random.Random, form: Form) -> bytes | None:
    """Put a hostile value in the place of one to three others; None if `data` is not of the form."""
    read, write = FORMS[form]
    try:
        tree = read(data)
        for _ in range(rng.randint(1, 3)):
            tree = _with_change(tree, rng)
        return write(tree)
    except (ValueError, TypeError, RecursionError, OverflowError, msgspec.MsgspecError):
        return None


def _with_change(tree: Any, rng: random.Random) -> Any:
    """The same tree with one node changed, removed or added; containers are entered more often than not."""
    if isinstance(tree, dict) and tree and rng.random() < 0.85:
        out, key = dict(tree), rng.choice(list(tree))
        action = rng.random()
        if action < 0.1:
            del out[key]
        elif action < 0.2:
            out[rng.choice(("", "x", "v", "é" * 20, 7))] = rng.choice(HOSTILE)
        else:
            out[key] = _with_change(out[key], rng)
        return out
    if isinstance(tree, list) and tree and rng.random() < 0.85:
        out_list, at = list(tree), rng.randrange(len(tree))
        action = rng.random()
        if action < 0.1:
            del out_list[at]
        elif action < 0.2:
            out_list *= 2
        else:
            out_list[at] = _with_change(out_list[at], rng)
        return out_list
    if isinstance(tree, int) and not isinstance(tree, bool) and rng.random() < 0.4:
        return tree + rng.choice((-1, 1, 256, -(2**31), 2**32))
    return rng.choice(HOSTILE)


def _flip(out: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    if out:
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)


def _set(out: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    if out:
        out[rng.randrange(len(out))] = rng.randrange(256)


def _number(out: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(INTERESTING) % (1 << (8 * width))
    at = rng.randrange(len(out) + 1)
    out[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _cut(out: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    at = rng.randrange(len(out) + 1)
    del out[at : at + rng.choice((1, 2, 4, 16, 1 << 20))]


def _repeat(out: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    at = rng.randrange(len(out) + 1)
    out[at:at] = out[at : at + rng.choice((1, 4, 16, 64))] * rng.choice((1, 2, 16))


def _word(out: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    at = rng.randrange(len(out) + 1)
    out[at:at] = rng.choice(WORDS)


def _splice(out: bytearray, rng: random.Random, seeds: list[bytes]) -> None:
    other = rng.choice(seeds)
    out[rng.randrange(len(out) + 1) :] = other[rng.randrange(len(other) + 1) :]


_CHANGES = (_flip, _flip, _set, _number, _number, _cut, _repeat, _word, _splice)

FORMS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "msgpack": (msgspec.msgpack.decode, msgspec.msgpack.encode),
    "json": (
        json.loads,
        lambda tree: json.dumps(tree, ensure_ascii=False, default=str).encode("utf-8", "replace"),
    ),
}
