"""What every settings dataclass checks its values with."""

from __future__ import annotations

from stream_avs.errors import ConfigError


def require(ok: bool, name: str, value: object, expected: str) -> None:
    """Raise `ConfigError` naming the setting, the value found and what was expected, unless `ok`."""
    if not ok:
        raise ConfigError(f"setting {name} is {value!r}", f"Expected {expected}")
