"""Profiles by name, and who hears whom."""

from __future__ import annotations

import pytest

from stream_avs.errors import ConfigError
from stream_avs.ros2.qos import PROFILES, Durability, Reliability, incompatible, parse_qos, remedy


def test_names_and_depths_are_read() -> None:
    assert parse_qos("sensor_data") == PROFILES["sensor_data"]
    assert parse_qos("reliable:17").depth == 17
    assert parse_qos("latched").durability is Durability.TRANSIENT_LOCAL


@pytest.mark.parametrize(
    "text", ["", "sensordata", "reliable:0", "reliable:x", "reliable:1001", "reliable:-1"]
)
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_qos(text)


def test_our_defaults_match_every_partner() -> None:
    for partner in PROFILES.values():
        if partner.durability is Durability.VOLATILE:
            assert incompatible(PROFILES["reliable"], partner) == ()
        assert incompatible(partner, PROFILES["sensor_data"]) == ()


def test_mismatches_are_named_with_a_remedy() -> None:
    assert PROFILES["sensor_data"].reliability is Reliability.BEST_EFFORT
    assert incompatible(PROFILES["sensor_data"], PROFILES["reliable"]) == ("RELIABILITY",)
    assert incompatible(PROFILES["best_effort"], PROFILES["latched"]) == ("RELIABILITY", "DURABILITY")
    assert "input_qos" in remedy("RELIABILITY")
    assert remedy("DURABILITY") != remedy("INVALID")
