"""A checkpoint cannot ask for a larger network than it holds."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from stream_avs.errors import WeightsError
from stream_avs.models.architectures import find_preset
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.checkpoint import describe, load_network, save_network

KEY = "stream_avs.network"
LABELS = ["background", "sounding"]


def asking_for(path: Path, **dimensions: Any) -> Path:
    """A file with one small tensor and the description of another network."""
    content = json.loads(describe(find_preset("tiny"), LABELS, {})[KEY])
    content["config"] |= dimensions
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata={KEY: json.dumps(content)})
    return path


@pytest.mark.parametrize(
    ("dimensions", "reason"),
    [
        ({"d": 32_768, "ffn": 65_536, "mask_hidden": 65_536}, "does not fit"),
        ({"d": 2**40}, "d 1099511627776, the limit is"),
        ({"encoder_layers": 10**9}, "encoder_layers 1000000000, the limit is"),
        ({"ici_layers": 33}, "ici_layers 33, the limit is"),
    ],
)
def test_a_network_larger_than_its_file_is_refused_unbuilt(
    tmp_path: Path, dimensions: dict[str, int], reason: str
) -> None:
    torch.set_num_threads(1)
    path = asking_for(tmp_path / "a.safetensors", **dimensions)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=reason):
        load_network(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "KiB grown"


def test_a_network_as_large_as_its_file_is_loaded(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    network = CCFormer(find_preset("tiny"))
    save_network(tmp_path / "a.safetensors", network, LABELS, {})
    found = load_network(tmp_path / "a.safetensors").network.state_dict()
    assert found.keys() == network.state_dict().keys()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())
