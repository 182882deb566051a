"""What we write is what Prometheus' own reader finds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.observe.exposition import Distribution, Kind, Metric, Sample, render

prometheus = pytest.importorskip("prometheus_client.parser")
open_metrics = pytest.importorskip("prometheus_client.openmetrics.parser")

COUNTER = Metric(name="a_frames", kind=Kind.COUNTER, help="Frames.")
GAUGE = Metric(name="a_level_dbfs", kind=Kind.GAUGE, help='With "quotes", \\ and\nlines.', labels=("name",))
AGES = Metric(name="a_age_seconds", kind=Kind.HISTOGRAM, help="Ages.")


def read(samples: list[Sample | Distribution], *, as_open_metrics: bool) -> dict[tuple[str, str], float]:
    parser = open_metrics if as_open_metrics else prometheus
    families = parser.text_string_to_metric_families(render(samples, open_metrics=as_open_metrics))
    return {(s.name, ",".join(s.labels.values())): s.value for family in families for s in family.samples}


@pytest.mark.parametrize("as_open_metrics", [True, False])
def test_a_counter_a_gauge_and_a_histogram(as_open_metrics: bool) -> None:
    samples: list[Sample | Distribution] = [
        Sample(metric=COUNTER, value=3),
        Sample(metric=GAUGE, value=-math.inf, labels={"name": "x"}),
        Distribution(metric=AGES, bounds=(0.1, 1.0), counts=(2, 0, 1), total=7.5),
    ]
    assert read(samples, as_open_metrics=as_open_metrics) == {
        ("a_frames_total", ""): 3,
        ("a_level_dbfs", "x"): -math.inf,
        ("a_age_seconds_bucket", "0.1"): 2,
        ("a_age_seconds_bucket", "1.0"): 2,
        ("a_age_seconds_bucket", "+Inf"): 3,
        ("a_age_seconds_sum", ""): 7.5,
        ("a_age_seconds_count", ""): 3,
    }


@given(name=st.text(min_size=1), value=st.floats(allow_nan=False), as_open_metrics=st.booleans())
def test_any_label_and_value_come_back(name: str, value: float, as_open_metrics: bool) -> None:
    name = "".join(c for c in name if c.isprintable() or c in '\n"\\')
    sample = Sample(metric=GAUGE, value=value, labels={"name": name})
    assert read([sample], as_open_metrics=as_open_metrics) == {("a_level_dbfs", name): value}
