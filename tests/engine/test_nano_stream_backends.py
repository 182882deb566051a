"""Nano with compiled parts decides what nano decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stream_avs.benchmarks.clip import Clip, read_clip
from stream_avs.config import BackendName, ModelConfig, Precision
from stream_avs.engine.nano_stream import accelerate
from stream_avs.errors import PoisonedError
from stream_avs.models.base import Stages
from stream_avs.models.consensus.table import read_table
from stream_avs.models.nano.checkpoint import Thresholds
from stream_avs.models.nano.config import NanoConfig, trunk_config
from stream_avs.models.nano.network import Nano
from stream_avs.models.nano.stream import NanoStream, assemble
from stream_avs.models.nano.stream import load as load_eager
from stream_avs.types import Frame, Window

PX = 96


@pytest.fixture(scope="module")
def nano() -> NanoStream:
    """Published senses, an untrained trunk that has something to say, low thresholds."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Nano(NanoConfig(trunk=trunk_config(input_px=PX)), read_table().ids.tolist()).eval()
    torch.nn.init.normal_(network.trunk.head.classify.weight, std=0.5)  # zero before training
    limits = Thresholds(pixel=0.1, pixel_before=0.05, sounding=0.0, sounding_before=0.0, smallest=0.0)
    return assemble(network, limits, "untrained")


def window(seq: int) -> Window:
    rng = np.random.default_rng(seq)
    image = rng.integers(0, 256, (PX, PX, 3), dtype=np.uint8)
    return Window(
        frames=(Frame(image=image, stamp_ns=seq, arrival_ns=0, seq=seq),),
        audio=rng.uniform(-0.3, 0.3, (1, 64_000)).astype(np.float32),
        audio_coverage=np.ones(1, np.float32),
        sample_rate_hz=32_000,
        distinct=1,
    )


def window_of(clip: Clip, k: int) -> Window:
    """Picture `k` and the 2 s of sound before it."""
    end = round(k / clip.fps * clip.sample_rate_hz)
    audio = np.pad(clip.sound, (2 * clip.sample_rate_hz, 0))[end : end + 2 * clip.sample_rate_hz]
    frame = Frame(image=clip.pictures[k], stamp_ns=round(k / clip.fps * 1e9), arrival_ns=0, seq=k)
    return replace(window(0), frames=(frame,), audio=audio[None])


each_backend = pytest.mark.parametrize(
    "backend",
    [
        BackendName.EAGER,
        pytest.param(BackendName.OPENVINO, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)


def compiled(nano: NanoStream, backend: BackendName) -> NanoStream:
    if backend is BackendName.OPENVINO:
        pytest.importorskip("openvino", reason="needs the extra openvino")
    return accelerate(nano, ModelConfig(backend=backend, precision=Precision.F32, threads=1))


@each_backend
def test_two_streams_on_one_compiled_nano_equal_nano(nano: NanoStream, backend: BackendName) -> None:
    fast = compiled(nano, backend)
    assert [note.split(":")[0] for note in fast.notes] == ["eye", "ear", "mind"]
    assert all(backend.value in note for note in fast.notes)
    assert (fast.labels, fast.mask_shape) == (nano.labels, nano.mask_shape)
    states = {first: (nano.initial_state(), fast.initial_state()) for first in (0, 100)}
    for i in range(7):
        for first, (slow_state, fast_state) in states.items():
            expected, slow_state = nano.step(window(first + i), slow_state, Stages())
            found, fast_state = fast.step(window(first + i), fast_state, Stages())
            states[first] = (slow_state, fast_state)
            assert found.sounding_score == pytest.approx(expected.sounding_score, abs=1e-4)
            for mine, theirs in zip(fast_state.causal.heard, slow_state.causal.heard, strict=True):
                torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)
            assert np.mean(found.mask != expected.mask) < 0.002


@each_backend
def test_a_compiled_nano_takes_another_threshold_in_the_middle_of_a_stream(
    nano: NanoStream, backend: BackendName, talkers: Path
) -> None:
    fast = compiled(nano, backend)
    clip = read_clip(talkers, sample_rate_hz=nano.sample_rate_hz)
    spoken = [window_of(clip, k) for k in range(51, 63, 3)]
    areas = []
    for before, after in ((0.1, 0.3), (0.3, 0.05)):
        state = nano.initial_state()
        for seen in spoken[:-1]:
            _, state = fast.with_threshold(before).step(seen, state, Stages())
        found, _ = fast.with_threshold(after).step(spoken[-1], state, Stages())
        loaded = assemble(nano.network, nano.thresholds, "untrained", threshold=after)
        expected, _ = loaded.step(spoken[-1], state, Stages())
        assert np.mean(found.mask != expected.mask) < 0.002
        assert found.sounding_score == pytest.approx(expected.sounding_score, abs=1e-4)
        areas.append(float((found.mask > 0).mean()))
    assert areas[0] < areas[1]
    assert (fast.threshold, fast.own_threshold) == (nano.thresholds.pixel, nano.thresholds.pixel)


def test_without_openvino_it_runs_in_eager_and_says_why(
    nano: NanoStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    plain = accelerate(nano, ModelConfig(precision=Precision.F32, threads=1))
    assert [note for note in plain.notes if "not openvino" in note] == [
        f"{part}: not openvino: openvino is not installed" for part in ("eye", "ear", "mind")
    ]
    assert plain.step(window(0), plain.initial_state(), Stages())[0].mask.shape == nano.mask_shape


@pytest.mark.parametrize(
    ("part", "weight"), [("eye", "network.base_net.level1.conv"), ("mind", "network.trunk.head.reduce")]
)
def test_a_part_that_gives_no_numbers_is_named(nano: NanoStream, part: str, weight: str) -> None:
    fast = accelerate(nano, ModelConfig(backend=BackendName.EAGER, precision=Precision.F32, threads=1))
    state, spoilt = fast.initial_state(), getattr(nano, part).get_submodule(weight).weight
    kept = spoilt.detach().clone()
    with torch.no_grad():
        spoilt[0, 0] = float("nan")
    try:
        with pytest.raises(PoisonedError, match=f"the {part} gives numbers that are none"):
            fast.step(window(0), state, Stages())
    finally:
        with torch.no_grad():
            spoilt.copy_(kept)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_masks_of_the_clip_are_those_of_eager_in_f32(talkers: Path) -> None:
    """In whatever precision this CPU is given: mean J of the masks at least 0.99, of each 0.95."""
    pytest.importorskip("openvino", reason="needs the extra openvino")
    eager = load_eager(ModelConfig(preset="nano", threads=2))
    fast = accelerate(eager, ModelConfig(preset="nano", threads=2))
    assert all("backend openvino" in note for note in fast.notes)
    clip = read_clip(talkers, sample_rate_hz=eager.sample_rate_hz)
    states, shared = [eager.initial_state(), fast.initial_state()], []
    for k in range(0, len(clip.pictures), 3):
        heard = window_of(clip, k)
        (slow_one, states[0]), (fast_one, states[1]) = (
            model.step(heard, state, Stages()) for model, state in zip((eager, fast), states, strict=True)
        )
        either = (slow_one.mask > 0) | (fast_one.mask > 0)
        both = (slow_one.mask == fast_one.mask) & either
        shared.append(both.sum() / either.sum() if either.any() else 1.0)
    assert np.mean(shared) >= 0.99
    assert min(shared) >= 0.95
