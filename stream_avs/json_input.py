"""JSON of unknown origin to plain Python values, with one error for all that can be wrong with it."""

from __future__ import annotations

import json
from typing import Any


class JsonError(ValueError):
    """The text is not JSON, or nested without end."""


def decode_json(data: bytes | str) -> Any:
    """Decode one JSON document; NaN and infinities are read, as Python writes them.

    Allocates at most 48 times the length of `data`, plus 64 KiB.

    Raises:
        JsonError: not JSON, not text, nested deeper than Python's stack, or a number of over 4300 digits.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise JsonError(f"{error}") from None
