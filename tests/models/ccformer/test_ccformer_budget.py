"""Parameters and multiply-accumulates against the paper's tables and the arithmetic behind them."""

import functools
from typing import Any

import pytest
import torch

from stream_avs.models.ccformer.budget import PARTS, budget
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import PRESETS, ContrastPartner, Controllers, Mode, preset
from stream_avs.models.flops import Budget, count_macs, count_parameters


@functools.cache
def counted(name: str, **changes: Any) -> Budget:
    config = preset(name, **changes)
    return budget(config, config.input_px)


@functools.cache
def parameters(name: str = "pvt2", **changes: Any) -> dict[str, int]:
    with torch.device("meta"):
        named = list(CCFormer(preset(name, **changes)).named_parameters())
    return {part: sum(p.numel() for n, p in named if owner(n)) for part, owner in PARTS.items()}


def total(name: str = "pvt2", **changes: Any) -> int:
    """As the paper counts: without VGGish."""
    return sum(n for part, n in parameters(name, **changes).items() if part != "audio encoder")


def gmacs(name: str = "pvt2", **changes: Any) -> dict[str, float]:
    return {row.name: row.macs / 1e9 for row in counted(name, **changes).rows}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("EIM", 2_630_144),
        ("ICI", 4_563_552),
        ("ITI", 26_044_416),
        ("BCL", 394_752),
        ("image encoder", 81_443_008),
        ("audio encoder", 72_141_184),
        ("projections", 33_024 + 265_216),
        ("cross-modal FPN", 9_530_624),
        ("mask MLP", 4_733_184),
        ("final layers", 331_968),
        ("dynamic kernels", 3 * 684_905),
        ("Transformer encoder", 3 * 1_257_504 + 3 * 256),
        ("query generator", 6 * 1_051_392 + 2 * 5 * 256),
        ("decoder queries", 3 * 5 * 256 + 514),
    ],
)
def test_parameters_of_each_part(part: str, expected: int) -> None:
    assert parameters()[part] == expected


def test_the_total_is_the_papers_within_two_percent() -> None:
    assert total() == counted("pvt2").total.parameters == pytest.approx(143.4e6, rel=0.02)
    # the reading that fits every row of Table IV
    assert total(extra_level=True) == pytest.approx(143.4e6, rel=0.002)


@pytest.mark.parametrize(
    ("changes", "saved"),
    [
        ({"ave": False, "vae": False}, 2.6e6),
        ({"ici": False}, 4.6e6),
        ({"iti": False}, 26.1e6),
        ({"contrast": ContrastPartner.NONE}, 0.4e6),
    ],
)
def test_leaving_out_a_module_saves_what_table_iv_says(changes: dict[str, Any], saved: float) -> None:
    difference = total() - total(**changes)
    assert difference == pytest.approx(saved, abs=0.11e6)


def test_options_cost_what_the_arithmetic_says() -> None:
    base = total()
    four_levels = parameters(extra_level=True)
    assert four_levels["ICI"] == 4_637_568
    assert four_levels["projections"] - parameters()["projections"] == 1_180_416
    assert base - total(controllers=Controllers.SHARED) == 2 * 684_905
    no_coordinates = parameters(relative_coordinates=False)
    assert no_coordinates["dynamic kernels"] == 3 * 680_793
    for layers in (1, 2, 4):
        assert parameters(ici_layers=layers)["ICI"] == layers * 1_521_184
        assert parameters(iti_layers=layers)["ITI"] == 3 * layers * 2_893_824


def test_resnet_variant() -> None:
    base = total("r50")
    assert parameters("r50")["image encoder"] == 23_508_032
    assert base == pytest.approx(86.2e6 - 0.65e6, rel=0.02)


@pytest.mark.parametrize(
    ("part", "expected", "tolerance"),
    [
        ("image encoder", 11.72, 0.01),
        ("audio encoder", 0.86, 0.01),
        ("EIM", 5.47, 0.01),
        ("Transformer encoder", 3.91, 0.02),
        ("ICI", 0.22, 0.05),
        ("ITI", 0.13, 0.05),
        ("mask MLP", 44.49, 0.001),
        ("final layers", 8.33, 0.001),
        ("dynamic kernels", 0.11, 0.05),
        ("cross-modal FPN", 9.55, 0.08),
    ],
)
def test_macs_of_each_part_at_224(part: str, expected: float, tolerance: float) -> None:
    assert gmacs()[part] == pytest.approx(expected, rel=tolerance)


def test_total_macs_are_the_papers_within_two_percent() -> None:
    assert counted("pvt2").total.macs == pytest.approx(86.3e9, rel=0.02)


def test_the_newest_mask_alone_costs_less() -> None:
    # one frame, last decoder output only
    alone = counted("pvt2", frames=1).live_macs
    assert alone == pytest.approx(49.6e9, rel=0.03)
    window, causal = counted("nano").live_macs, counted("nano", mode=Mode.CAUSAL).live_macs
    assert causal < 0.7 * window


@pytest.mark.parametrize("name", ["pvt2", "nano", "tiny"])
def test_every_parameter_and_mac_belongs_to_exactly_one_part(name: str) -> None:
    with torch.device("meta"):
        network = CCFormer(PRESETS[name]).eval()
        px = network.config.input_px
        frames, audio = torch.empty(1, 1, 3, px, px), torch.empty(1, 1, *network.audio_shape)
        macs = count_macs(network, frames, audio)
    for where in {n for n, _ in network.named_parameters()} | set(macs):
        assert sum(owner(where) for owner in PARTS.values()) == 1, where
    rows = counted(name).rows
    assert sum(row.parameters for row in rows) == count_parameters(network)
    assert sum(row.macs for row in rows) == macs.total()
