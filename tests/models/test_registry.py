"""registry: presets by name, torch only when one is loaded."""

import subprocess
import sys

import pytest

from stream_avs.config import ModelConfig
from stream_avs.errors import ConfigError
from stream_avs.models.architectures import ARCHITECTURES
from stream_avs.models.registry import PRESETS, load_model


@pytest.mark.parametrize("name", sorted(PRESETS.keys() - ARCHITECTURES.keys()))  # those need a checkpoint
def test_every_preset_can_be_loaded_and_keeps_its_promises(name: str) -> None:
    model = load_model(ModelConfig(preset=name, threads=1))
    assert model.id.startswith(f"{name}-")
    assert len(model.id) == len(name) + 9
    assert all(1 <= i <= 254 and label for i, label in model.labels.items())
    assert model.sample_rate_hz >= 16_000
    assert model.context_s > 0
    assert model.frames >= 1
    assert model.input_px % 16 == 0
    assert len(model.mask_shape) == 2


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'consensus'") as caught:
        load_model(ModelConfig(preset="consensu"))
    assert "'consensu'" in caught.value.what


def test_names_can_be_listed_without_torch() -> None:
    code = (
        "import sys, stream_avs.models.registry, stream_avs.engine.session; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
