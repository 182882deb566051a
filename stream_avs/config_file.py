"""Config dataclasses from YAML files; unknown keys are refused with the nearest valid name."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stream_avs.errors import ConfigError, nearest

T = TypeVar("T")


def load_yaml(path: Path, cls: type[T], **override: Any) -> T:
    """Read a config dataclass from a YAML file; keys the file leaves out keep their defaults.

    Args:
        path: the file.
        cls: the config dataclass.
        override: top-level fields that win over the file.

    Raises:
        ConfigError: no such file, not YAML, an unknown key (with the nearest valid one), a wrong
            type or a value out of range.
    """
    raw = read_yaml(path)
    try:
        return from_mapping({**raw, **override} if isinstance(raw, dict) else raw, cls)
    except ConfigError as error:
        raise ConfigError(f"config file {path}: {error.what}", error.next_step) from None


def read_yaml(path: Path) -> Any:
    """Read a settings file as plain values; {} if it is empty.

    Raises:
        ConfigError: no such file, not YAML, or more of it than `yaml_input` reads.
    """
    # Imported here: who only subscribes needs no YAML.
    from stream_avs.yaml_input import MAX_BYTES, YamlError, decode_yaml

    try:
        with path.open("rb") as file:
            raw = decode_yaml(file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        raise ConfigError(f"config file {path} does not exist", "Check the path") from None
    except (OSError, YamlError) as error:
        raise ConfigError(f"config file {path} cannot be read: {error}", "Correct the file") from None
    return {} if raw is None else raw


def from_mapping(raw: object, cls: type[T], where: str = "", *, types: Mapping[str, type] | None = None) -> T:
    """Build a config dataclass from plain YAML data; see `load_yaml` for the errors.

    `types` gives the dataclass of a field where it is a subclass of the annotated one.
    """
    if not isinstance(raw, dict):
        raise ConfigError(f"{where or 'the top level'} is {type(raw).__name__}", "Expected keys and values")
    hints = _hints(cls) | dict(types or {})  # type: ignore[arg-type]
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        name = f"{where}{key}"
        if key not in fields:
            raise ConfigError(f"unknown key {name!r}", nearest(str(key), fields))
        hint = _without_none(hints[key])
        if dataclasses.is_dataclass(hint):
            values[key] = from_mapping(value, hint, f"{name}.")  # type: ignore[arg-type]
            continue
        try:
            values[key] = msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            raise ConfigError(f"key {name!r} is {value!r}", _expected(hint, str(error))) from None
    missing = [
        f.name
        for f in fields.values()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if f.name not in values
    ]
    if missing:
        raise ConfigError(f"key {where}{missing[0]!s} is missing", "Add it")
    return cls(**values)


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next((a for a in typing.get_args(hint) if a is not type(None)), hint)
    return hint


def _expected(hint: Any, fallback: str) -> str:
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return f"Expected one of: {', '.join(str(m.value) for m in hint)}"
    return fallback
