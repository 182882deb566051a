"""Losses against values worked by hand."""

import math

import pytest
import torch
from torch import Tensor

from stream_avs.errors import ConfigError
from stream_avs.models.ccformer.ccformer import CCFormerOutput
from stream_avs.models.ccformer.contrastive import contrastive_loss
from stream_avs.models.loss import Targets, dice_loss, total_loss
from stream_avs.models.loss_config import OBJECT_LOSS, SEMANTIC_LOSS, LossConfig
from stream_avs.models.network import sounding_probability


def test_dice_by_hand() -> None:
    p = torch.tensor([[[1.0, 0.5], [0.0, 0.0]]])
    g = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    # overlap 1.5, squares 1.25 and 2
    assert dice_loss(p, g).item() == pytest.approx(1 - 2 * 1.5 / (1.25 + 2 + 0.002))


def test_dice_ends() -> None:
    mask, empty = torch.ones(1, 8, 8), torch.zeros(1, 8, 8)
    assert dice_loss(mask, mask).item() == pytest.approx(0.0, abs=1e-4)
    assert dice_loss(mask, empty).item() == 1.0
    assert dice_loss(empty, empty).item() == 1.0


def unit(*angles_deg: float) -> Tensor:
    """Unit vectors [1 row per sample, frames, 2]."""
    radians = torch.tensor([math.radians(a) for a in angles_deg], dtype=torch.float64)
    return torch.stack([radians.cos(), radians.sin()], dim=-1)


def test_contrast_by_hand() -> None:
    # two samples of one frame; the similarities are cosines of the angles between
    original, partner = unit(0, 90)[:, None], unit(30, 60)[:, None]
    tau = 0.5
    c30, c60 = math.cos(math.radians(30)), math.cos(math.radians(60))
    one_direction = -math.log(math.exp(c30 / tau) / (math.exp(c30 / tau) + math.exp(c60 / tau)))
    assert contrastive_loss(original, partner, temperature=tau).item() == pytest.approx(2 * one_direction)


def test_negatives_come_from_other_samples_alone() -> None:
    # both frames of a sample are the same vector: were they negatives, the loss could not vanish
    original = partner = unit(0, 0, 180, 180).view(2, 2, 2)
    assert contrastive_loss(original, partner).item() == pytest.approx(0.0, abs=1e-9)
    # two negatives at right angles for each anchor
    original = partner = unit(0, 0, 90, 90).view(2, 2, 2)
    expected = 2 * math.log(1 + 2 * math.exp(-1 / 0.5))
    assert contrastive_loss(original, partner, temperature=0.5).item() == pytest.approx(expected)


def test_one_sample_has_no_negatives() -> None:
    original, partner = unit(0, 50, 100)[None], unit(90, 10, 200)[None]
    assert contrastive_loss(original, partner).item() == 0.0


def test_padded_frames_are_neither_anchors_nor_negatives() -> None:
    torch.manual_seed(0)
    original, partner = (torch.nn.functional.normalize(torch.randn(2, 3, 4), dim=-1) for _ in range(2))
    valid = torch.tensor([[True, True, False], [True, True, False]])
    padded = contrastive_loss(original, partner, valid)
    assert padded.item() == pytest.approx(contrastive_loss(original[:, :2], partner[:, :2]).item(), rel=1e-5)


def output(masks: list[Tensor], sounding: Tensor | None = None) -> CCFormerOutput:
    B, T = masks[0].shape[:2]
    features = torch.nn.functional.normalize(torch.ones(B, T, 4) + torch.arange(B)[:, None, None], dim=-1)
    return CCFormerOutput(
        masks=masks,
        sounding=torch.zeros(B, T) if sounding is None else sounding,
        queries=torch.zeros(B, 5, 4),
        contrast=(features, features),
    )


def targets(masks: Tensor, labelled: Tensor | None = None, valid: Tensor | None = None) -> Targets:
    every = torch.ones(masks.shape[:2], dtype=torch.bool)
    return Targets(
        masks=masks,
        labelled=every if labelled is None else labelled,
        valid=every if valid is None else valid,
    )


def test_the_total_is_eq_13() -> None:
    torch.manual_seed(0)
    layers = [torch.randn(2, 3, 1, 8, 8) for _ in range(3)]
    truth = targets(torch.randint(0, 2, (2, 3, 8, 8)))
    losses = total_loss(output(layers), truth, OBJECT_LOSS)
    dice = sum(
        dice_loss(layer.flatten(0, 1)[:, 0].sigmoid(), truth.masks.flatten(0, 1).float()).mean()
        for layer in layers
    )
    contrast = contrastive_loss(*output(layers).contrast)
    assert losses.dice.item() == pytest.approx(float(dice), rel=1e-5)
    assert losses.total.item() == pytest.approx(float(dice) + 0.1 * float(contrast), rel=1e-5)
    assert losses.cross_entropy.item() == losses.sounding.item() == 0.0


def test_s4_learns_from_the_first_frame_alone() -> None:
    masks = torch.zeros(2, 5, 1, 8, 8, requires_grad=True)
    labelled = torch.zeros(2, 5, dtype=torch.bool)
    labelled[:, 0] = True
    truth = torch.full((2, 5, 8, 8), 7)
    truth[:, 0] = 1
    total_loss(output([masks]), targets(truth, labelled), LossConfig(cross_entropy=1.0)).total.backward()
    assert masks.grad is not None
    assert masks.grad[:, 0].abs().min() > 0
    assert torch.equal(masks.grad[:, 1:], torch.zeros_like(masks.grad[:, 1:]))


def test_padded_frames_do_not_count() -> None:
    torch.manual_seed(0)
    masks, truth = torch.randn(1, 4, 3, 8, 8), torch.randint(0, 3, (1, 4, 8, 8))
    valid = torch.tensor([[True, True, False, False]])
    padded = total_loss(output([masks]), targets(truth, valid=valid), SEMANTIC_LOSS)
    cut = total_loss(output([masks[:, :2]]), targets(truth[:, :2]), SEMANTIC_LOSS)
    assert padded.total.item() == pytest.approx(cut.total.item())


def test_cross_entropy_by_hand() -> None:
    # class 2 of 3 wanted everywhere, its logit 1 above the others
    masks = torch.zeros(1, 1, 3, 4, 4)
    masks[:, :, 2] = 1.0
    losses = total_loss(output([masks, masks]), targets(torch.full((1, 1, 4, 4), 2)), SEMANTIC_LOSS)
    each = -math.log(math.e / (math.e + 2))
    assert losses.cross_entropy.item() == pytest.approx(2 * each)
    assert losses.total.item() == pytest.approx(2 * each)


def test_the_sounding_target_is_whether_the_mask_holds_anything() -> None:
    truth = torch.zeros(1, 2, 4, 4, dtype=torch.int64)
    truth[0, 1, 0, 0] = 1
    config = LossConfig(dice=0.0, contrast=0.0, sounding=1.0)
    masks = [torch.zeros(1, 2, 1, 4, 4)]
    right = total_loss(output(masks, torch.tensor([[-2.0, 2.0]])), targets(truth), config)
    wrong = total_loss(output(masks, torch.tensor([[2.0, -2.0]])), targets(truth), config)
    assert right.total.item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert wrong.total.item() == pytest.approx(math.log(1 + math.exp(2)))


def test_masks_smaller_than_the_labels_are_enlarged() -> None:
    masks = torch.full((1, 1, 1, 4, 4), 20.0)
    losses = total_loss(output([masks]), targets(torch.ones(1, 1, 16, 16, dtype=torch.int64)), OBJECT_LOSS)
    assert losses.dice.item() == pytest.approx(0.0, abs=1e-4)


def test_without_any_label_only_contrast_is_left_and_gradients_stay_finite() -> None:
    masks = torch.zeros(2, 2, 1, 4, 4, requires_grad=True)
    nothing = torch.zeros(2, 2, dtype=torch.bool)
    losses = total_loss(output([masks]), targets(torch.zeros(2, 2, 4, 4).long(), nothing), OBJECT_LOSS)
    assert losses.dice.item() == 0.0
    assert losses.total.item() == pytest.approx(0.1 * losses.contrast.item())


def test_probability_that_a_pixel_sounds() -> None:
    assert sounding_probability(torch.zeros(1, 1, 1, 1)).item() == 0.5
    assert sounding_probability(torch.zeros(1, 4, 1, 1)).item() == pytest.approx(0.75)


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss\.contrast"):
        LossConfig(contrast=-1.0)
