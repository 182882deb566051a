"""A report that never leaves out what its numbers depend on."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream_avs.errors import DatasetError
from stream_avs.json_input import decode_json

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class EvalReport:
    """The scores of one model on one split.

    Attributes:
        dataset: s4, ms3, avss or scenes.
        split: train, val or test.
        model: preset and weight hash.
        width_px: width the masks were scored at.
        height_px: height the masks were scored at.
        batch_clips: clips per batch.
        protocol: how scores were averaged, e.g. "per clip" or "tpavi, per batch".
        clips: clips scored.
        frames: frames scored.
        scores: name -> value.
        notes: anything a reader must know.
    """

    dataset: str
    split: str
    model: str
    width_px: int
    height_px: int
    batch_clips: int
    protocol: str
    clips: int
    frames: int
    scores: dict[str, float]
    notes: tuple[str, ...] = field(default=())

    @property
    def title(self) -> str:
        """One line with everything the numbers depend on."""
        return (
            f"{self.dataset} {self.split} · {self.model} · {self.width_px} x {self.height_px} px · "
            f"batch {self.batch_clips} · {self.protocol} · {self.clips} clips, {self.frames} frames"
        )

    def to_text(self) -> str:
        """Return a table for the terminal: title, one score per line, notes."""
        width = max(map(len, self.scores), default=0)
        lines = [f"  {name:<{width}}  {_number(value)}" for name, value in self.scores.items()]
        return "\n".join([self.title, *lines, *(f"  note: {note}" for note in self.notes)])

    def to_json(self) -> str:
        """Return JSON; a score that is not a number (no frame counts for it) is null."""
        content: dict[str, Any] = {"version": VERSION, **dataclasses.asdict(self)}
        content["scores"] = {k: None if math.isnan(v) else v for k, v in self.scores.items()}
        return json.dumps(content, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> EvalReport:
        """Read what `to_json` wrote.

        Raises:
            DatasetError: not such a report, or of another version.
        """
        try:
            content = decode_json(text)
            if content.pop("version") != VERSION:
                raise ValueError("another version")
            content["scores"] = {k: math.nan if v is None else v for k, v in content["scores"].items()}
            if any(value is not None and math.isinf(value) for value in content["scores"].values()):
                raise ValueError("a score is infinite")
            return msgspec.convert(content, cls)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"not an evaluation report ({error})", "Write it again") from None


def scores_of(scores: object) -> dict[str, float]:
    """Take the plain numbers out of a score dataclass such as `BinaryScores`, by field name."""
    if not dataclasses.is_dataclass(scores) or isinstance(scores, type):
        raise TypeError(f"{type(scores).__name__} is not a score dataclass")
    return {
        f.name: value
        for f in dataclasses.fields(scores)
        if isinstance(value := getattr(scores, f.name), int | float)
    }


def _number(value: float) -> str:
    if isinstance(value, int):  # a count
        return str(value)
    return "-" if math.isnan(value) else f"{value:.4f}"
