"""Micro-batches add up to the batch; bad losses teach nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_runs import ALONE, NETWORK

from stream_avs.audio.front_end import VGGISH, AudioInput
from stream_avs.datasets.scenes import ProceduralSource, SceneConfig, SceneDataset
from stream_avs.errors import StepError
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import preset
from stream_avs.models.loss_config import LossConfig
from stream_avs.training.batch import Batch, Collate
from stream_avs.training.config import Precision
from stream_avs.training.objective import Objective, segment
from stream_avs.training.step import Stepper

DICE = LossConfig(contrast=0.0, cross_entropy=0.5)


def network(**changes: object) -> CCFormer:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return CCFormer(preset("tiny", **{**NETWORK, "carry": False, "sounding": False, **changes}))


def batch_of(clips: range, frames: int = 2) -> Batch:
    """Clips of which the odd ones have a mask for their first frame alone, as in S4."""
    scenes = SceneDataset(ProceduralSource(), SceneConfig(frames=frames, size_px=32), length=99)
    collate = Collate(size_px=32, audio=AudioInput((VGGISH,)), binary=True)
    batch = collate([scenes[k] for k in clips])
    labelled = batch.labelled.clone()
    labelled[[k % 2 == 1 for k in clips], 1:] = False
    return replace(batch, labelled=labelled)


def stepper(model: CCFormer, loss: LossConfig, unroll: int = 1, **settings: object) -> Stepper:
    parameters = dict(model.named_parameters())
    # plain gradient descent: the step shows the gradient itself
    optimizer = torch.optim.SGD(parameters.values(), lr=1.0)
    step = Stepper(Objective(model, loss, unroll), optimizer, parameters, ALONE, **settings)  # type: ignore[arg-type]
    step.rewire()
    return step


def learned(batches: list[Batch]) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    model = network()
    terms = stepper(model, DICE).take(batches, 0.1)
    return dict(model.state_dict()), terms


def test_micro_batches_equal_one_batch_whatever_their_labels() -> None:
    whole, terms = learned([batch_of(range(4))])
    cut, cut_terms = learned([batch_of(range(1)), batch_of(range(1, 2)), batch_of(range(2, 4))])
    before = network().state_dict()
    moved = max(float((whole[key] - before[key]).abs().max()) for key in whole)
    apart = max(float((whole[key] - cut[key]).abs().max()) for key in whole)
    assert moved > 1e-3
    assert apart < 1e-5 * max(1.0, moved)
    assert cut_terms == pytest.approx(terms, rel=1e-4)


def test_terms_are_means_over_the_labelled_frames() -> None:
    _, terms = learned([batch_of(range(4))])
    assert terms["loss"] == pytest.approx(terms["dice"] + 0.5 * terms["cross_entropy"], rel=1e-5)
    assert 0 < terms["dice"] <= 1  # one decoder layer


def test_gradients_are_scaled_down_to_the_norm() -> None:
    model = network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    terms = stepper(model, DICE, clip_norm=0.01).take([batch_of(range(2))], 1.0)
    moved = torch.stack([(p.detach() - before[n]).norm() for n, p in model.named_parameters()]).norm()
    assert terms["gradient_norm"] > 0.01
    assert float(moved) == pytest.approx(0.01, rel=1e-2)


def test_a_loss_that_is_not_finite_teaches_nothing() -> None:
    model = network()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    batch = batch_of(range(2))
    poisoned = replace(batch, audio=torch.full_like(batch.audio, float("nan")))
    with pytest.raises(StepError, match=r"the loss is nan.*learning-rate"):
        stepper(model, DICE).take([poisoned], 0.1)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_bfloat16_is_near_float32() -> None:
    exact = stepper(network(), DICE).take([batch_of(range(2))], 0.0)["loss"]
    rough = stepper(network(), DICE, precision=Precision.BF16).take([batch_of(range(2))], 0.0)["loss"]
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.03)


def test_unrolled_windows_train_the_carry_gate() -> None:
    model = network(carry=True)
    stepper(model, DICE, unroll=2).take([batch_of(range(2), frames=3)], 0.1)
    gate = model.decoder.carry
    assert gate is not None
    assert float(gate.gate.weight.detach().abs().max()) > 0  # it starts at zero


def test_long_clips_are_segmented_as_a_stream_would_be() -> None:
    model = network(carry=True).eval()
    batch = batch_of(range(1), frames=4)
    whole = segment(model, batch)
    first = segment(model, replace(batch, **{k: getattr(batch, k)[:, :2] for k in FRAMEWISE}))
    assert whole.shape[1] == 4
    assert torch.allclose(whole[:, :2], first, atol=1e-5)


FRAMEWISE = ("frames", "audio", "masks", "labelled", "valid")
