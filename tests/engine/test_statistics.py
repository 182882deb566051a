"""Statistics: rates and quantiles follow the last seconds; counts and newest result are passed on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_avs.engine.statistics import Statistics
from stream_avs.types import NS_PER_S, Event, MaskResult, ResultState, Sounding


def result(**changes: object) -> MaskResult:
    fields: dict[str, object] = {
        "mask": np.zeros((4, 4), np.uint8),
        "stream": "cam0",
        "seq": 0,
        "window_seq": 0,
        "stamp_ns": 0,
        "arrival_ns": 0,
        "publish_ns": 0,
        "unix_offset_ns": 0,
        "frame_id": "camera",
        "source_size": (4, 4),
        "transform": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "labels": {},
        "sounding": (),
        "sounding_score": 0.0,
        "audio_level_dbfs": -20.0,
        "state": ResultState.OK,
        "latency_ms": {"see": 5.0},
    }
    return MaskResult(**{**fields, **changes})  # type: ignore[arg-type]


def test_nothing_observed() -> None:
    snapshot = Statistics().snapshot(0, {})
    assert (snapshot.masks, snapshot.masks_per_s, snapshot.state) == (0, 0.0, None)
    assert math.isnan(snapshot.age_p50_ms)


def test_rate_and_quantiles_of_a_steady_stream() -> None:
    statistics = Statistics(span_s=5)
    for i in range(100):  # 10 per second, ages 0..99 ms, of which the last 5 s hold 49..99
        statistics.observe(result(), age_ms=float(i), now_ns=i * NS_PER_S // 10)
    snapshot = statistics.snapshot(99 * NS_PER_S // 10, {Event.STALE: 2})
    assert snapshot.masks == 100
    assert snapshot.masks_per_s == pytest.approx(10.0)
    assert snapshot.age_p50_ms == pytest.approx(74.0)
    assert snapshot.age_p95_ms == pytest.approx(96.5)
    assert snapshot.counts == {Event.STALE: 2}


def test_rate_falls_when_the_stream_stalls() -> None:
    statistics = Statistics(span_s=5)
    for i in range(20):
        statistics.observe(result(), age_ms=1.0, now_ns=i * NS_PER_S // 10)
    assert statistics.snapshot(4 * NS_PER_S, {}).masks_per_s < 6
    assert statistics.snapshot(60 * NS_PER_S, {}).masks_per_s == 0


def test_stages_and_newest_result() -> None:
    statistics = Statistics()
    voice = Sounding(class_id=15, name="person", score=0.9, area=0.25)
    for see_ms in (4.0, 6.0, 100.0):
        statistics.observe(result(latency_ms={"see": see_ms}), 1.0, 0)
    statistics.observe(result(latency_ms={"see": 5.0, "hear": 2.0}, sounding=(voice,)), 1.0, 1)
    snapshot = statistics.snapshot(1, {})
    assert snapshot.stages_p50_ms == {"see": 5.5, "hear": 2.0}
    assert snapshot.sounding == (voice,)
    assert snapshot.audio_level_dbfs == -20.0
