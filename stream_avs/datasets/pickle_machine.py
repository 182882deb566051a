"""A machine for the few pickle instructions that hold data, with no access to anything else.

It has no import, no attribute access and no class instances: the only calls are to `Call` objects
from the table it is given, and the only objects it may change are `Buildable` ones.
"""

from __future__ import annotations

import io
import pickletools
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

MAX_INSTRUCTIONS = 4096
"""Of one pickle. A tensor takes under 100; each can make an object that is larger than itself."""
MAX_CALLS = 16
"""A tensor that wants gradients takes 5; each may copy all its values."""

_shorten = reprlib.Repr()
_shorten.maxlevel = 2


class RefusedError(Exception):
    """The pickle asks for something that is not allowed."""


class Call:
    """Something the pickle may call, in the place of a function of the same name."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function


class Name:
    """Something the pickle may mention but not call."""

    def __init__(self, name: str) -> None:
        self.name = name


@runtime_checkable
class Buildable(Protocol):
    """Something the pickle may finish with a state (the BUILD instruction)."""

    def build(self, state: object) -> None: ...


_MARK = object()
_CONSTANTS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_LITERALS = frozenset(
    (
        "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
        "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    )
)  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def run(
    file: io.BytesIO,
    names: Mapping[str, Call | Name],
    storage: Callable[[object], object] | None = None,
) -> Any:
    """Run one pickle from the current position up to its STOP.

    Args:
        file: read up to the byte after STOP.
        names: "module name" -> what stands for it.
        storage: answers persistent ids (how torch refers to its storages); None refuses them.

    Returns:
        None, bool, int, float, str, bytes, tuple, list, dict, or what a `Call` returned.

    Raises:
        RefusedError: an instruction or a name that is not allowed.
        ValueError, IndexError, KeyError, TypeError: damaged.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        at = max(k for k, value in enumerate(stack) if value is _MARK)
        values = stack[at + 1 :]
        del stack[at:]
        return values

    calls = 0
    for count, (opcode, arg, position) in enumerate(pickletools.genops(file), start=1):
        name = opcode.name
        if count > MAX_INSTRUCTIONS:
            raise RefusedError(f"more than {MAX_INSTRUCTIONS} instructions")
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            stack.append(arg)
        elif name in _TUPLES:
            size = _TUPLES[name]
            if len(stack) < size:
                raise IndexError("stack is empty")
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "TUPLE":
            stack.append(tuple(since_mark()))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[int(arg or 0)] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[int(arg or 0)])
        elif name == "APPEND":
            value = stack.pop()
            _expect(stack[-1], list).append(value)
        elif name == "APPENDS":
            values = since_mark()
            _expect(stack[-1], list).extend(values)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _expect(stack[-1], dict)[_expect(key, str)] = value
        elif name == "SETITEMS":
            values = since_mark()
            target = _expect(stack[-1], dict)
            for key, value in zip(values[::2], values[1::2], strict=True):
                target[_expect(key, str)] = value
        elif name == "GLOBAL":
            stack.append(_look_up(names, str(arg)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_look_up(names, f"{_expect(module, str)} {_expect(attribute, str)}"))
        elif name == "REDUCE":
            calls += 1
            if calls > MAX_CALLS:
                raise RefusedError(f"more than {MAX_CALLS} calls")
            arguments, call = stack.pop(), stack.pop()
            stack.append(_expect(call, Call).function(*_expect(arguments, tuple)))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], Buildable):
                raise RefusedError(f"it sets the state of a {type(stack[-1]).__name__}")
            stack[-1].build(state)
        elif name == "BINPERSID" and storage is not None:
            stack.append(storage(stack.pop()))
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise RefusedError(f"instruction {name} at byte {position}")
    raise ValueError("no STOP")


def short(value: object) -> str:
    """Write a value for a message; what a pickle nests may be endless when written out."""
    return _shorten.repr(value)[:80]


def _look_up(names: Mapping[str, Call | Name], name: str) -> Call | Name:
    if name not in names:
        raise RefusedError(f"it asks for {name.replace(' ', '.')!r:.80}")
    return names[name]


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise RefusedError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value
