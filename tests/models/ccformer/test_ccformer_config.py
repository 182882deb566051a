"""The configuration refuses what cannot work, and says what would."""

import subprocess
import sys

import pytest
from small_network import small_config

from stream_avs.errors import ConfigError
from stream_avs.models.ccformer.config import PRESETS, Controllers, Mode, preset


def test_the_paper_presets_are_the_paper_and_nothing_else() -> None:
    for name in ("pvt2", "r50"):
        config = PRESETS[name]
        assert (config.d, config.heads, config.ffn, config.queries, config.frames) == (256, 8, 2048, 5, 5)
        assert (config.encoder_layers, config.ici_layers, config.iti_layers) == (3, 3, 3)
        assert config.mode is Mode.WINDOW
        assert not config.carry
        assert not config.sounding


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"d": 40}, "model.d"),
        ({"heads": 3}, "model.heads"),
        ({"input_px": 100}, "model.input_px"),
        ({"ici_layers": 0}, "model.ici_layers"),
        ({"classes": 0}, "model.classes"),
        ({"dropout": 1.0}, "model.dropout"),
        ({"upsample": 3}, "model.upsample"),
        ({"iti": False, "carry": True}, "model.carry"),
    ],
)
def test_a_bad_value_is_named(changes: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        preset("tiny", **changes)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'pvt2'"):
        preset("pvt")
    with pytest.raises(ConfigError, match="Did you mean 'iti_layers'"):
        preset("pvt2", iti_layer=2)


def test_receptive_frames_grow_with_the_layers_that_mix_frames() -> None:
    def frames(**changes: object) -> int:
        return small_config(mode=Mode.CAUSAL, carry=False, **changes).receptive_frames

    assert frames(frames=1) == 1
    # EIM, then one ITI layer, then the inter-frame queries, each 2 further back
    assert frames(frames=3, ici_layers=1, iti_layers=1) == 7
    assert frames(frames=3, iti=False) == 3
    assert frames(frames=3, iti=False, ave=False, vae=False) == 1


def test_the_configuration_imports_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from stream_avs.models import fetch\n"
        "from stream_avs.models import architectures, network_config, published\n"
        "from stream_avs.models.ccformer import config"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_controllers_can_be_shared() -> None:
    assert PRESETS["pvt2"].controllers is Controllers.PER_LAYER
