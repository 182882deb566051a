"""How a reproduction differs from its recording: the regression test of a network or an engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from stream_avs.record.reproduce import Pair
from stream_avs.types import MaskResult

WORST = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Median and 95th percentile of an age, ms; NaN of nothing."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One result that differs.

    Attributes:
        window_seq: number of the recorded result.
        seconds: since the first result.
        iou: of the pixels that sound, class by class; 1 where masks are equal.
        changed: share of pixels with another class id.
        what: what differs, e.g. "mask, state ok -> no_audio".
    """

    window_seq: int
    seconds: float
    iou: float
    changed: float
    what: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All results of a recording against their reproduction.

    Attributes:
        results: recorded results.
        compared: those that could be made again.
        equal: those with equal mask, confidence, state, classes and scores.
        masks_equal: those with an equal mask.
        iou_mean, iou_min: see `Difference.iou`; 1 if all masks are equal.
        worst: the results that differ most, worst first.
        missing: why results could not be made again, with counts.
        age_recorded, age_now: capture to result.
        dropped_recorded, dropped_now: frames without a mask.
        model_recorded, model_now: ids of the networks.
        damage: what was wrong with the recording.
    """

    results: int
    compared: int
    equal: int
    masks_equal: int
    iou_mean: float
    iou_min: float
    worst: tuple[Difference, ...]
    missing: dict[str, int]
    age_recorded: Spread
    age_now: Spread
    dropped_recorded: int
    dropped_now: int
    model_recorded: str
    model_now: str
    damage: str = ""

    @property
    def same(self) -> bool:
        """True if every result was made again and is equal."""
        return self.equal == self.results and self.results > 0


@dataclass
class _Tally:
    differences: list[Difference] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    ages: list[tuple[float, float]] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    results: int = 0
    equal: int = 0
    masks_equal: int = 0
    dropped_recorded: int = 0
    dropped_now: int = 0
    models: tuple[str, str] = ("", "")
    first_ns: int | None = None


def compare(pairs: Iterable[Pair]) -> Comparison:
    """Compare all pairs; see `Comparison`."""
    tally = _Tally()
    for pair in pairs:
        _count(pair, tally)
    recorded, now = (np.array(ages) for ages in zip(*tally.ages, strict=True)) if tally.ages else ((), ())
    worst = sorted(tally.differences, key=lambda d: (d.iou, -d.changed))[:WORST]
    return Comparison(
        results=tally.results,
        compared=len(tally.ages),
        equal=tally.equal,
        masks_equal=tally.masks_equal,
        iou_mean=float(np.mean(tally.ious)) if tally.ious else float("nan"),
        iou_min=min(tally.ious, default=float("nan")),
        worst=tuple(worst),
        missing=dict(tally.missing),
        age_recorded=_spread(recorded),
        age_now=_spread(now),
        dropped_recorded=tally.dropped_recorded,
        dropped_now=tally.dropped_now,
        model_recorded=tally.models[0],
        model_now=tally.models[1],
    )


def mask_iou(a: MaskResult, b: MaskResult) -> float:
    """Intersection over union of two masks' sounding pixels; a pixel counts if the class agrees."""
    if a.mask.shape != b.mask.shape:
        return 0.0
    union = np.count_nonzero((a.mask > 0) | (b.mask > 0))
    same = np.count_nonzero((a.mask == b.mask) & (a.mask > 0))
    return same / union if union else 1.0


def report(found: Comparison) -> str:
    """Several lines for people."""
    lines = [
        f"network      {found.model_recorded or 'unknown'} -> {found.model_now or 'unknown'}",
        f"results      {found.results} recorded, {found.compared} made again, {found.equal} equal",
        f"masks        {found.masks_equal} equal; IoU mean {found.iou_mean:.4f}, least {found.iou_min:.4f}",
        f"age          recorded {_ages(found.age_recorded)}; now {_ages(found.age_now)}, as if live",
        f"drops        recorded {found.dropped_recorded}, now {found.dropped_now}",
    ]
    lines += [f"not made     {count}: {why}" for why, count in found.missing.items()]
    lines += [
        f"differs      result {d.window_seq} at {d.seconds:.2f} s: IoU {d.iou:.4f}, "
        f"{d.changed:.2%} of pixels; {d.what}"
        for d in found.worst
    ]
    if found.damage:
        lines.append(f"recording    {found.damage}")
    return "\n".join(lines)


def _count(pair: Pair, tally: _Tally) -> None:
    recorded, now = pair.recorded, pair.now
    tally.results += 1
    tally.dropped_recorded += recorded.dropped
    if tally.first_ns is None:
        tally.first_ns = recorded.stamp_ns
    if now is None:
        tally.missing[pair.why] += 1
        return
    tally.models = (recorded.model_id, now.model_id)
    tally.dropped_now += now.dropped
    tally.ages.append((recorded.age_ms, now.age_ms))
    iou = mask_iou(recorded, now)
    tally.ious.append(iou)
    what = _differences(recorded, now)
    tally.masks_equal += "mask" not in what
    if not what:
        tally.equal += 1
        return
    same_size = recorded.mask.shape == now.mask.shape
    tally.differences.append(
        Difference(
            window_seq=recorded.window_seq,
            seconds=(recorded.stamp_ns - tally.first_ns) / 1e9,
            iou=iou,
            changed=float(np.mean(recorded.mask != now.mask)) if same_size else 1.0,
            what=", ".join(what),
        )
    )


def _differences(a: MaskResult, b: MaskResult) -> list[str]:
    what = []
    if not np.array_equal(a.mask, b.mask):
        what.append("mask")
    if (a.confidence is None) != (b.confidence is None) or (
        a.confidence is not None
        and b.confidence is not None
        and not np.array_equal(a.confidence, b.confidence)
    ):
        what.append("confidence")
    if a.state is not b.state:
        what.append(f"state {a.state.value} -> {b.state.value}")
    if a.sounding != b.sounding or a.sounding_score != b.sounding_score:
        what.append("classes or scores")
    return what


def _spread(ages: object) -> Spread:
    values = np.asarray(ages, np.float64)
    if not values.size:
        return Spread(p50_ms=float("nan"), p95_ms=float("nan"))
    return Spread(p50_ms=float(np.percentile(values, 50)), p95_ms=float(np.percentile(values, 95)))


def _ages(spread: Spread) -> str:
    return f"p50 {spread.p50_ms:.0f} ms, p95 {spread.p95_ms:.0f} ms"
