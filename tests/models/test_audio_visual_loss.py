"""The losses between sight and sound against their formulas, on any network that offers pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stream_avs.models.architectures import ARCHITECTURES, Architecture
from stream_avs.models.audio_visual_loss import matching_loss, synchrony_loss
from stream_avs.models.loss import Targets, dice_loss, total_loss
from stream_avs.models.loss_config import LossConfig
from stream_avs.models.network import NetworkOutput, Paired

NOTHING = LossConfig(dice=0.0, contrast=0.0)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def divergence(audio: np.ndarray, visual: np.ndarray) -> float:
    p, q = softmax(audio), softmax(visual)
    return float((p * np.log(p / q)).sum())


def pair(seed: int, side: int = 2) -> Paired:
    generator = torch.Generator().manual_seed(seed)
    return Paired(
        visual=torch.randn(2, 3, 5, side, side, generator=generator),
        audio=torch.randn(2, 3, 5, generator=generator),
    )


def test_synchrony_by_hand() -> None:
    pairs, valid = [pair(0), pair(1, side=1)], torch.tensor([[True, True, False], [True, False, False]])
    stages = []
    for one in pairs:
        v, a = one.visual.numpy(), one.audio.numpy()
        h, w = v.shape[-2:]
        stages.append(
            np.mean([
                divergence(a[b, t], v[b, t, :, y, x])
                for b, t in ((0, 0), (0, 1), (1, 0)) for y in range(h) for x in range(w)
            ])
        )  # fmt: skip
    assert synchrony_loss(pairs, valid).item() == pytest.approx(np.mean(stages), rel=1e-5)


def test_matching_by_hand() -> None:
    one, valid = pair(0), torch.ones(2, 3, dtype=torch.bool)
    logits = torch.randn(2, 3, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    probability = torch.sigmoid(logits)[:, :, 0].double().numpy()
    small = probability.reshape(2, 3, 2, 2, 2, 2).mean((3, 5))  # 4 x 4 averaged to 2 x 2
    pooled = (one.visual.numpy() * small[:, :, None]).mean((-2, -1))
    expected = np.mean(
        [divergence(one.audio[b, t].numpy(), pooled[b, t]) for b in range(2) for t in range(3)]
    )
    assert matching_loss([one], logits, valid).item() == pytest.approx(expected, rel=1e-4)


def test_sight_equal_to_sound_costs_nothing_and_padding_never_does() -> None:
    one = pair(3)
    same = replace(one, visual=one.audio[..., None, None].expand_as(one.visual))
    valid = torch.ones(2, 3, dtype=torch.bool)
    assert synchrony_loss([same], valid).item() == pytest.approx(0, abs=1e-6)
    assert synchrony_loss([one], valid).item() > 0.01
    nobody = torch.zeros_like(valid)
    assert synchrony_loss([one], nobody).item() == 0
    assert matching_loss([one], torch.zeros(2, 3, 1, 4, 4), nobody).item() == 0


def test_the_sound_is_the_target_and_stays() -> None:
    one = pair(4)
    visual, audio = one.visual.clone().requires_grad_(), one.audio.clone().requires_grad_()
    valid = torch.ones(2, 3, dtype=torch.bool)
    pairs = [Paired(visual=visual, audio=audio)]
    (synchrony_loss(pairs, valid) + matching_loss(pairs, torch.zeros(2, 3, 1, 4, 4), valid)).backward()
    assert visual.grad is not None
    assert bool(visual.grad.any())
    assert audio.grad is None


def test_mix_is_dice_on_the_channel_mean() -> None:
    mixed, masks = torch.randn(1, 2, 4, 4), torch.zeros(1, 2, 8, 8, dtype=torch.int64)
    masks[..., :3] = 1
    output = NetworkOutput(masks=[torch.zeros(1, 2, 1, 8, 8)], sounding=torch.zeros(1, 2), mixed=mixed)
    labelled = torch.tensor([[True, False]])
    targets = Targets(masks=masks, labelled=labelled, valid=torch.ones(1, 2, dtype=torch.bool))
    wide = torch.nn.functional.interpolate(mixed[:, :1], size=(8, 8), mode="bilinear")[:, 0]
    expected = dice_loss(wide.sigmoid(), masks[:, 0].float()).mean()
    losses = total_loss(output, targets, replace(NOTHING, mix=2.0))
    assert losses.mix.item() == pytest.approx(expected.item())
    assert losses.total.item() == pytest.approx(2 * expected.item())


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda a: a.name)
def test_any_network_can_switch_synchrony_on(architecture: Architecture) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = architecture.build(architecture.preset("tiny", input_px=32, frames=2))
    output = network(torch.rand(1, 2, 3, 32, 32), torch.randn(1, 2, *network.audio_shape))
    everywhere = torch.ones(1, 2, dtype=torch.bool)
    targets = Targets(
        masks=torch.zeros(1, 2, 32, 32, dtype=torch.int64), labelled=everywhere, valid=everywhere
    )
    losses = total_loss(output, targets, replace(NOTHING, avfs=1.0, match=1.0))
    assert losses.avfs.item() > 0
    assert losses.match.item() > 0
    losses.avfs.backward()
    assert moves(network.image_encoder)


def moves(module: torch.nn.Module) -> bool:
    gradients: list[Tensor | None] = [p.grad for p in module.parameters()]
    return any(g is not None and bool(g.any()) for g in gradients)
