"""YAML of unknown origin to plain Python values, at a cost that is known before it is paid.

What YAML itself allows: aliases that stand for a billion values in a kilobyte, nesting that overruns
the stack of the C library, numbers of a million digits, and texts such as `0x_` or `2001-99-99` on
which PyYAML fails by accident. So the events are counted first, and only what is small enough is built.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
"""Settings and calibrations are a few kilobytes."""
MAX_DEPTH = 32
MAX_NODES = 10_000
"""Values, with aliases written out."""
MAX_CHARACTERS = 2 * MAX_BYTES
"""Of all scalars, with aliases written out."""
MAX_DIGITS = 64
"""Of one number; PyYAML takes time that grows with the square, and Python prints none of over 4300."""

_NUMBER = re.compile(r"[-+.]?[0-9][-+0-9a-zA-Z_:.]*")

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# What PyYAML's constructors let through: a number or date that cannot be one, a key that is a list.
_ACCIDENTS = (ValueError, AttributeError, LookupError, TypeError, OverflowError, RecursionError)


class YamlError(ValueError):
    """The bytes are not YAML, or more of it than is read here; says why on one line."""


def decode_yaml(data: bytes) -> Any:
    """Decode one YAML document: dict, list, str, int, float, bool, None, date and the like.

    Allocates at most 16 times the length of `data`, plus 8 MiB.

    Raises:
        YamlError: not YAML, or beyond one of the limits above.
    """
    if len(data) > MAX_BYTES:
        raise YamlError(f"it has {len(data)} bytes, the limit is {MAX_BYTES}")
    try:
        _check_size(data)
        return yaml.load(data, _Loader)
    except YamlError:
        raise
    except (yaml.YAMLError, *_ACCIDENTS) as error:
        raise YamlError(" ".join(f"{error}".split())[:500]) from None


def _check_size(data: bytes) -> None:
    """Refuse what is nested too deeply, or too much with aliases written out."""
    nodes = characters = 0
    anchored: dict[str, tuple[int, int]] = {}
    open_: list[tuple[str | None, int, int]] = []
    for event in yaml.parse(data, Loader=_Loader):
        before = nodes, characters
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchored:
                raise YamlError(f"alias *{event.anchor:.40} stands for nothing before it")
            more_nodes, more_characters = anchored[event.anchor]
            nodes, characters = nodes + more_nodes, characters + more_characters
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event)
            nodes, characters = nodes + 1, characters + len(event.value)
            if event.anchor is not None:
                anchored[event.anchor] = 1, len(event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            _check_tag(event)
            nodes += 1
            open_.append((event.anchor, *before))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, *start = open_.pop()
            if anchor is not None:
                anchored[anchor] = nodes - start[0], characters - start[1]
        if len(open_) > MAX_DEPTH:
            raise YamlError(f"it is nested more than {MAX_DEPTH} deep")
        if nodes > MAX_NODES or characters > MAX_CHARACTERS:
            raise YamlError(f"it holds more than {MAX_NODES} values or {MAX_CHARACTERS} characters")


def _check_scalar(event: yaml.ScalarEvent) -> None:
    _check_tag(event)
    if not event.style and len(event.value) > MAX_DIGITS and _NUMBER.fullmatch(event.value):
        raise YamlError(f"number {event.value[:20]}... has over {MAX_DIGITS} digits")


def _check_tag(event: yaml.NodeEvent) -> None:
    if event.tag is not None:
        raise YamlError(f"it has the tag {event.tag:.60}, and tags are not read")
