"""Mn04 with the bundled weights against values of the original network in float64."""

import numpy as np
import pytest
import torch

from stream_avs.audio import mn_mel
from stream_avs.models.backbones.mn04 import Heard, Mn04
from stream_avs.models.load import BUNDLED, load_weights

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def network() -> Mn04:
    torch.set_num_threads(1)
    module = Mn04().eval()
    load_weights(module, BUNDLED / "mn04_as.safetensors")
    return module


def grid(frames: int) -> torch.Tensor:
    f = np.arange(128)[:, None]
    t = np.arange(frames)[None, :]
    values = np.sin(0.05 * f + 0.11 * t) * np.cos(0.02 * f - 0.03 * t)
    return torch.from_numpy(values.astype(np.float32))[None, None]


def hear(network: Mn04, log_mel: torch.Tensor) -> Heard:
    with torch.inference_mode():
        return network(log_mel)


@pytest.mark.parametrize(
    ("frames", "mean", "std", "logits", "embedding"),
    [
        (
            96,
            -8.561152,
            2.010387,
            [-3.204044, -6.989319, -8.331147, -8.251888, -9.641247, -7.241618, -10.890554, -8.054021],
            [-0.248583, 0.854824, 0.227052, -0.123497, 0.071687, -0.142940, -0.247917, 0.043632],
        ),
        (
            200,
            -7.898806,
            1.754613,
            [-4.169490, -7.375197, -8.347580, -8.647015, -9.681959, -7.357669, -10.315828, -6.796161],
            [-0.286718, 0.389901, 0.127236, -0.173417, 0.102403, -0.144854, -0.232812, 0.078623],
        ),
    ],
)
def test_logits_and_embedding_match_the_original(
    network: Mn04, frames: int, mean: float, std: float, logits: list[float], embedding: list[float]
) -> None:
    heard = hear(network, grid(frames))
    assert heard.logits.shape == (1, 527)
    assert float(heard.logits.mean()) == pytest.approx(mean, abs=5e-5)
    assert float(heard.logits.std(unbiased=False)) == pytest.approx(std, abs=5e-5)
    np.testing.assert_allclose(heard.logits[0, :8], logits, atol=5e-5)
    np.testing.assert_allclose(heard.embedding[0, :8], embedding, atol=2e-5)


@pytest.mark.parametrize(
    ("module", "shape", "values"),
    [
        (1, (8, 64, 100), [0.324505, -0.326009, -1.224268, 0.468638, 2.055717, 2.426555, 0.758501, 2.378448]),
        (
            6,
            (16, 16, 25),
            [-1.632840, 3.536972, -0.971206, -1.333535, 3.263293, -1.951437, 2.590988, 2.205450],
        ),
        (
            12,
            (48, 8, 13),
            [-1.949663, -0.672943, -0.066446, -1.593422, 1.347014, 2.208115, -0.007336, 1.068512],
        ),
        (
            16,
            (384, 4, 7),
            [-0.322673, 1.760825, -0.364694, -0.118031, -0.164371, -0.345433, -0.172977, 0.024008],
        ),
    ],
)
def test_intermediate_maps_match_the_original(
    network: Mn04, module: int, shape: tuple[int, int, int], values: list[float]
) -> None:
    with torch.inference_mode():
        tap = network.features[: module + 1](grid(200))
    assert tap.shape[1:] == shape
    np.testing.assert_allclose(tap[0, :8, 1, 1], values, atol=2e-5)
    if module == 16:
        np.testing.assert_array_equal(hear(network, grid(200)).features, tap)


@pytest.mark.parametrize(
    ("samples", "logits", "top"),
    [
        (30_720, [-4.885521, -8.608828, -8.186880, -7.440862], {137: 0.393356, 239: 0.119340, 501: 0.061598}),
        (64_000, [-4.447149, -7.717813, -8.350445, -7.372489], {501: 0.171116, 137: 0.160212, 515: 0.098492}),
    ],
)
def test_from_samples_to_probabilities(
    network: Mn04, samples: int, logits: list[float], top: dict[int, float]
) -> None:
    n = np.arange(samples, dtype=np.int64)
    clip = (0.3 * np.sin(0.05 * n) + 0.4 * (((n**3) % 65521) / 65521 - 0.5)).astype(np.float32)
    heard = hear(network, torch.from_numpy(mn_mel.log_mel(clip))[None, None])
    np.testing.assert_allclose(heard.logits[0, :4], logits, atol=5e-5)
    probabilities = torch.sigmoid(heard.logits[0])
    assert torch.topk(probabilities, 3).indices.tolist() == list(top)
    np.testing.assert_allclose([float(probabilities[i]) for i in top], list(top.values()), atol=2e-5)


def test_size_is_the_published_one(network: Mn04) -> None:
    assert sum(p.numel() for p in network.parameters()) == 983_599
    assert len(network.state_dict()) == 312
