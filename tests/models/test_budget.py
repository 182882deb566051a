"""Every architecture: its parts are all counted, and the kept counts are those of today's code."""

from __future__ import annotations

import pytest
import torch

from stream_avs.models.architectures import ARCHITECTURES, preset_names
from stream_avs.models.budget import budget
from stream_avs.models.costs import count, kept_costs

SMALL = [name for name in preset_names() if name.endswith("tiny")]


@pytest.mark.parametrize("name", SMALL)
def test_parts_add_up_to_the_network(name: str) -> None:
    architecture, preset = preset_names()[name]
    counted = budget(architecture.presets[preset])
    with torch.device("meta"):
        network = architecture.build(architecture.presets[preset])
    assert counted.all_parameters == sum(p.numel() for p in network.parameters())
    assert counted.total.macs == sum(row.macs for row in counted.rows)
    assert counted.live_macs > 0


@pytest.mark.parametrize("name", SMALL)
def test_the_kept_counts_are_current(name: str) -> None:
    assert kept_costs()[name] == count(name), "run `stream-avs model list --recount`"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in preset_names() if name not in SMALL])
def test_the_kept_counts_of_large_networks_are_current(name: str) -> None:
    assert kept_costs()[name] == count(name), "run `stream-avs model list --recount`"


def test_tpavi_has_the_published_parameters() -> None:
    # AVSBench's code builds one more residual unit, two 3x3 convolutions of 256 channels, and never runs it
    unit = 2 * (9 * 256 * 256 + 256)
    assert kept_costs()["tpavi-pvt2"].parameters + unit == 101_320_577
    assert "101.32 M" in ARCHITECTURES["tpavi"].published["pvt2"]


def test_avsac_is_within_a_percent_of_what_is_published() -> None:
    vggish = 72_141_184
    assert kept_costs()["avsac-pvt2"].parameters + vggish == pytest.approx(181e6, rel=0.01)
