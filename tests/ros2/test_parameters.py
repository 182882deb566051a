"""Parameters are the dataclasses: same names, defaults, docs, and ranges that the code agrees with."""

from __future__ import annotations

import math

import pytest

from stream_avs.errors import ConfigError
from stream_avs.ros2.parameters import (
    AT_START,
    LIVE,
    RANGES,
    Change,
    Parameter,
    config_from,
    describe,
    parameters_of,
    refusal,
)
from stream_avs.ros2.settings import CaptureSettings, OverlaySettings, SegmenterSettings

ALL = [
    (config, parameter)
    for config in (SegmenterSettings, CaptureSettings, OverlaySettings)
    for parameter in parameters_of(config)
]


@pytest.mark.parametrize("config", [SegmenterSettings, CaptureSettings, OverlaySettings])
def test_the_defaults_build_the_default_config(config: type) -> None:
    values = {p.name: p.default for p in parameters_of(config)}
    assert config_from(config, values) == config()


def test_every_parameter_is_described() -> None:
    for _, parameter in ALL:
        assert len(parameter.description) > 8, parameter.name
        assert "\n" not in describe(parameter)


@pytest.mark.parametrize(("config", "parameter"), [c for c in ALL if c[1].low is not None])
def test_both_ends_of_a_range_are_accepted(config: type, parameter: Parameter) -> None:
    for end in (parameter.low, parameter.high):
        assert end is not None
        changes = {parameter.name: parameter.kind(end)}
        if parameter.name == "window.audio_buffer_s":
            changes["model.audio_context_s"] = 0.1
        config_from(config, changes)


CAPPED = {
    "camera.width_px",
    "camera.height_px",
    "synthetic.width_px",
    "synthetic.height_px",
    "model.threshold",
}
"""Ranges that end sooner than the code, so that a slider is of use."""
OPEN = {"window.frames", "window.frame_slots"}
"""Bounds that depend on one another."""


EXACT = [c for c in ALL if c[1].low is not None and c[1].name not in OPEN | CAPPED]


@pytest.mark.parametrize(("config", "parameter"), EXACT)
def test_beyond_a_range_is_refused(config: type, parameter: Parameter) -> None:
    assert parameter.low is not None
    assert parameter.high is not None
    step = 1 if parameter.kind is int else 2e-3
    for beyond in (parameter.low - step, parameter.high + step):
        with pytest.raises(ConfigError):
            config_from(config, {parameter.name: parameter.kind(beyond)})


def test_numbers_have_ranges() -> None:
    unbounded = {p.name for _, p in ALL if p.kind in (int, float) and p.low is None}
    assert not {name for name in unbounded if name.split(".")[0] in ("camera", "microphone", "window", "ros")}


def test_names_in_the_tables_exist() -> None:
    names = {p.name for _, p in ALL}
    assert set(RANGES) | LIVE | AT_START <= names
    assert all(math.isfinite(low) and low < high for low, high in RANGES.values())


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="frames"):
        config_from(SegmenterSettings, {"window.framse": 5})


def test_choices_are_told() -> None:
    by_name = {p.name: p for _, p in ALL}
    assert by_name["ros.mask_size"].choices == ("source", "network")
    assert "One of: source, network." in describe(by_name["ros.mask_size"])


def test_when_a_parameter_may_change() -> None:
    by_name = {p.name: p for p in parameters_of(SegmenterSettings)}
    assert refusal(by_name["ros.overlay_opacity"], active=True) == ""
    assert "deactivate" in refusal(by_name["window.frames"], active=True)
    assert refusal(by_name["window.frames"], active=False) == ""
    assert by_name["name"].change is Change.START
    assert refusal(by_name["name"], active=False)
