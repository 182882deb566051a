"""Reading and writing the YAML of calibration files: every mistake named with file, key and value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream_avs.calibration.errors import CalibrationFileError
from stream_avs.errors import ConfigError, nearest
from stream_avs.yaml_input import MAX_BYTES, YamlError, decode_yaml

UNPRINTABLE = re.compile(
    r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What a double-quoted YAML text must not hold as it stands (YAML 1.1, 5.1 and 5.4)."""


class Keys:
    """A mapping of a file, read key by key.

    Args:
        path: the file, for messages.
        values: the mapping.
        where: dotted path of the mapping inside the file, with a final dot; "" at the top.
    """

    def __init__(self, path: Path, values: dict[str, Any], where: str = "") -> None:
        self.path = path
        self.where = where
        self._values = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def names(self) -> tuple[str, ...]:
        """The keys there are."""
        return tuple(self._values)

    def wrong(self, key: str, found: object, expected: str) -> CalibrationFileError:
        """Build the error for a value that is not as expected."""
        shown = repr(found)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return CalibrationFileError(f"{self.path}: {self.where}{key} is {shown}", f"Expected {expected}")

    def raw(self, key: str) -> Any:
        """Return a value as it stands; raises CalibrationFileError if the key is missing."""
        if key not in self._values:
            hint = nearest(key, self._values) if self._values else "The file is empty"
            raise CalibrationFileError(f"{self.path}: {self.where}{key} is missing", hint)
        return self._values[key]

    def mapping(self, key: str) -> Keys:
        """Return a nested mapping."""
        value = self.raw(key)
        if not isinstance(value, dict):
            raise self.wrong(key, value, "keys and values below it")
        return Keys(self.path, value, f"{self.where}{key}.")

    def text(self, key: str) -> str:
        """Return a text."""
        value = self.raw(key)
        if not isinstance(value, str):
            raise self.wrong(key, value, "a text")
        return value

    def whole(self, key: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, value, f"a whole number in {low}..{high}")
        return value

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number from `low` to `high`."""
        value = self.raw(key)
        number = as_number(value)
        if number is None or not low <= number <= high:
            span = "" if math.isinf(low) and math.isinf(high) else f" in {low:g}..{high:g}"
            raise self.wrong(key, value, f"a finite number{span}")
        return number

    def numbers(self, key: str, count: int | Sequence[int]) -> tuple[float, ...]:
        """Return a list of finite numbers of a given length, or of one of several."""
        value = self.raw(key)
        counts = (count,) if isinstance(count, int) else tuple(count)
        expected = f"a list of {' or '.join(map(str, counts))} finite numbers"
        if not isinstance(value, list) or len(value) not in counts:
            raise self.wrong(key, value, expected)
        numbers = [as_number(v) for v in value]
        if any(n is None for n in numbers):
            raise self.wrong(key, value, expected)
        return tuple(n for n in numbers if n is not None)


def as_number(value: object) -> float | None:
    """Return a finite number, or None if it is none.

    YAML 1.1 readers take "1e-05", which other writers emit, for a text: it counts as a number here.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def read_keys(path: Path, what: str) -> Keys:
    """Read a YAML file whose top level is a mapping.

    Args:
        path: the file.
        what: what it should be, for messages, e.g. "camera_info file".

    Raises:
        CalibrationFileError: no such file, unreadable, too large, not YAML, or no mapping.
    """
    try:
        if path.is_dir():
            raise CalibrationFileError(f"{what} {path} is a directory", "Give a file inside it")
        if path.stat().st_size > MAX_BYTES:
            raise CalibrationFileError(f"{what} {path} is larger than {MAX_BYTES} bytes", "Check the path")
        raw = decode_yaml(path.read_bytes())
    except FileNotFoundError:
        raise CalibrationFileError(f"{what} {path} does not exist", "Check the path") from None
    except OSError as error:
        raise CalibrationFileError(f"{what} {path} cannot be read: {error.strerror}", "Check it") from None
    except YamlError as error:
        raise CalibrationFileError(f"{what} {path} is not YAML: {error}", "Correct the file") from None
    return keys_of(raw, path, what)


def keys_of(raw: object, path: Path, what: str) -> Keys:
    """The keys of what was read from a file; see `read_keys`."""
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise CalibrationFileError(f"{what} {path} does not hold keys and values", "Check the path")
    return Keys(path, raw)


def number_text(value: float) -> str:
    """Write a number so that every YAML reader takes it for a number, without loss."""
    text = repr(float(value))
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}{exponent}{power}"


def text_of(value: object) -> str:
    """Write a scalar, None, or a list of them as one line that every YAML reader takes for the same."""
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(text_of, value))}]"
    # JSON's scalars are YAML's, but for characters YAML calls unprintable and folds or refuses.
    quoted = json.dumps(value, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda match: f"\\U{ord(match.group()):08X}", quoted)


def write_text(path: Path, text: str) -> None:
    """Write a file in one step, so that a reader never sees half of it.

    Raises:
        ConfigError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Choose another place") from None
