"""C3N with its tagger live: two log-mels of one sound, kept frames, sessions, and compiled steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from live_streams import Film, padded, stream_of
from torch.utils._pytree import tree_leaves

from stream_avs.config import BackendName
from stream_avs.engine.backends.export import export_flat
from stream_avs.engine.session import Session
from stream_avs.engine.window_engine import example_steps
from stream_avs.ledger import Ledger
from stream_avs.models.base import Stages
from stream_avs.models.c3n.config import PRESETS, Tagger
from stream_avs.models.c3n.network import C3N

torch.set_num_threads(1)
PX, T = 32, 3


@pytest.fixture(scope="module")
def network() -> C3N:
    """Every output depends on every input; the tagger is the real one."""
    torch.manual_seed(0)
    config = replace(
        PRESETS["tiny"], input_px=PX, frames=T, labels=("dog", "cat", "person"), tagger=Tagger.MN04
    )
    network = C3N(config)
    for parameter in network.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.5)
    network.begin()
    return network.eval()


@torch.no_grad()
def test_a_stream_with_drops_and_repeats_equals_its_windows_from_scratch(network: C3N) -> None:
    model = stream_of(network, PX)
    assert (model.sample_rate_hz, model.context_s) == (32_000, 2.0)
    film, state, stored = Film(model), model.initial_state(), list[int]()
    for seq in (0, 1, 2, 3, 5, 6, 6, 8):
        stored = [*stored, seq] if seq not in stored else stored
        live = model.output(film.window(padded(stored, model.frames)), state, Stages())
        whole = network(*film.inputs(padded(stored, T)), every_layer=False)
        torch.testing.assert_close(live.logits, whole.masks[-1][0, -1], rtol=0, atol=1e-4)
        assert live.sounding == pytest.approx(whole.sounding[0, -1].sigmoid().item(), abs=1e-4)


@torch.no_grad()
def test_a_session_gives_the_masks_of_the_whole_clip(network: C3N) -> None:
    model = stream_of(network, PX)
    film, session, different = Film(model), Session(model, stream="cam0", ledger=Ledger()), set()
    for last in range(2, 7):
        seqs = list(range(last - 2, last + 1))
        result = session.step(film.window(seqs))
        whole = network(*film.inputs(seqs), every_layer=False).masks[-1][0, -1, 0].numpy()
        sure = np.abs(whole) > 1e-3  # a pixel right at the threshold may fall to either side
        assert np.array_equal(result.mask[sure], whole[sure] > 0)
        different.add(result.mask.tobytes())
    assert len(different) > 1


def test_what_only_the_tagger_hears_changes_the_mask(network: C3N) -> None:
    model = stream_of(network, PX)
    film = Film(model)
    with torch.no_grad():
        frames, audio = film.inputs([0, 1, 2])
        heard = network.tag(audio, network.listen(audio).mean(1))
        label = network.consensus(torch.zeros(T, 3), heard).label
        other = audio.clone()
        for seed in range(20):
            noise = np.random.default_rng(seed).standard_normal(25_600).astype(np.float32)
            other[..., -25_600:] = torch.from_numpy(noise)
            again = network.consensus(torch.zeros(T, 3), network.tag(other, network.listen(other).mean(1)))
            if not torch.equal(again.label, label):
                break
        masks = [network(frames, sound).masks[-1] for sound in (audio, other)]
    assert torch.equal(network.listen(audio), network.listen(other))
    assert not torch.allclose(masks[0], masks[1], atol=1e-4)


def test_both_halves_of_a_step_export(network: C3N) -> None:
    for step in example_steps(network, PX, 1):
        program = export_flat(step).module()
        leaves = [x for x in tree_leaves(step.example) if isinstance(x, torch.Tensor)]
        with torch.no_grad():
            wanted = tree_leaves(step.module(*step.example))
            for ours, theirs in zip(wanted, tree_leaves(program(*leaves)), strict=True):
                torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.slow  # compiles
@torch.no_grad()
def test_openvino_gives_the_same_masks(network: C3N) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    eager, fast = stream_of(network, PX), stream_of(network, PX, backend=BackendName.OPENVINO, threads=1)
    film = Film(eager)
    window = film.window([0, 1, 2])
    logits = [model.output(window, model.initial_state(), Stages()).logits for model in (eager, fast)]
    torch.testing.assert_close(logits[1], logits[0], rtol=0, atol=1e-3)
