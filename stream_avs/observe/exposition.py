"""Figures as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0.0. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Kind(enum.StrEnum):
    """What may happen to a figure."""

    COUNTER = "counter"  # only grows
    GAUGE = "gauge"  # goes up and down
    HISTOGRAM = "histogram"  # counts per range of values; all only grow


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One documented figure.

    Attributes:
        name: with unit, without the `_total` that the samples of a counter end with.
        kind: see `Kind`.
        help: one line for a person.
        labels: names of the labels that tell its samples apart.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def sample_name(self) -> str:
        """The name of its samples; of a histogram, what theirs begin with."""
        return f"{self.name}_total" if self.kind is Kind.COUNTER else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The value of a counter or gauge."""

    metric: Metric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """The value of a histogram.

    Attributes:
        bounds: upper ends of the ranges, growing, without infinity.
        counts: per range, one more than `bounds`.
        total: sum of all values.
    """

    metric: Metric
    bounds: Sequence[float]
    counts: Sequence[int]
    total: float
    labels: Mapping[str, str] = field(default_factory=dict)


def render(samples: Iterable[Sample | Distribution], *, open_metrics: bool = False) -> str:
    """Write the samples, those of one metric together and in the order given."""
    lines: list[str] = []
    for metric, group in groupby(samples, key=lambda sample: sample.metric):
        name = metric.name if open_metrics else metric.sample_name
        lines += [f"# HELP {name} {_escape(metric.help)}", f"# TYPE {name} {metric.kind}"]
        for sample in group:
            lines += [_line(sample)] if isinstance(sample, Sample) else _histogram(sample)
    return "\n".join([*lines, "# EOF"] if open_metrics else lines) + "\n"


def _line(sample: Sample) -> str:
    return f"{sample.metric.sample_name}{_labels(sample.labels)} {_number(sample.value)}"


def _histogram(sample: Distribution) -> list[str]:
    name = sample.metric.name
    reached = list(accumulate(sample.counts))
    lines = [
        f"{name}_bucket{_labels({**sample.labels, 'le': _number(float(bound))})} {count}"
        for bound, count in zip((*sample.bounds, math.inf), reached, strict=True)
    ]
    labels = _labels(sample.labels)
    return [*lines, f"{name}_sum{labels} {_number(sample.total)}", f"{name}_count{labels} {reached[-1]}"]


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{_escape(value, quote=True)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escape(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
