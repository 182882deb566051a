"""The nano preset as a stream: equal to the network over the whole clip, and right on real talkers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from stream_avs.config import ModelConfig
from stream_avs.datasets.files import read_audio
from stream_avs.engine.session import check_decision
from stream_avs.errors import ConfigError, WeightsError
from stream_avs.models.base import Decision, Stages
from stream_avs.models.load import BUNDLED
from stream_avs.models.nano.checkpoint import Thresholds, load_nano, save_nano, size_of
from stream_avs.models.nano.network import Seen
from stream_avs.models.nano.senses import Movements, Sound, loudness, motion, movements
from stream_avs.models.nano.stream import APART_S, FILE, NanoState, NanoStream, Past, load, recent
from stream_avs.models.nano.synchrony import no_trace, synchrony
from stream_avs.models.nano.think import Thought
from stream_avs.models.registry import load_model
from stream_avs.types import Frame, Window

RATE_HZ = 32_000
SPACING_S = 0.12
PERSON = 15
MAX_BYTES = 25_000_000


@pytest.fixture(scope="module")
def model() -> NanoStream:
    torch.set_num_threads(1)
    return load(ModelConfig(preset="nano", threads=1))


@pytest.fixture(scope="module")
def windows(talkers: Path) -> list[Window]:
    """The bundled clip every 0.12 s: 0-3 s speech, 3-6 s the same lips without sound, 6-12 s speech."""
    sound = np.pad(read_audio(talkers, RATE_HZ), (2 * RATE_HZ, 0))
    result = []
    with av.open(str(talkers)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k % 3 == 0:
                end = round((k / 25 + 2) * RATE_HZ)
                result.append(window(frame.to_ndarray(format="rgb24"), sound[end - 2 * RATE_HZ : end], k))
    return result


def window(image: np.ndarray, samples: np.ndarray, number: int) -> Window:
    stamp_ns = round(number / 25 * 1e9)
    return Window(
        frames=(Frame(image=image, stamp_ns=stamp_ns, arrival_ns=stamp_ns, seq=number),),
        audio=samples[None],
        audio_coverage=np.ones(1, np.float32),
        sample_rate_hz=RATE_HZ,
        distinct=1,
    )


def run(model: NanoStream, windows: list[Window]) -> tuple[list[Decision], NanoState]:
    state, decisions = model.initial_state(), []
    for w in windows:
        decision, state = model.step(w, state, Stages())
        decisions.append(decision)
    return decisions, state


@torch.inference_mode()
def test_live_steps_equal_the_network_over_the_whole_clip(model: NanoStream, windows: list[Window]) -> None:
    clip = windows[2:9]
    sounds, seens = [], []
    live_residual, live_sounding = [], []
    state, trace = model.causal.initial_state(1), no_trace()
    past: tuple[Past, ...] = ()
    for w in clip:
        sound = model.listen(w.audio[-1], Stages())
        logits, grey = model.look(w.newest.image, Stages())
        now = Past(w.newest.stamp_ns, grey)
        past = recent(past, now.stamp_ns)
        trace = model.follow(trace, past, now, loudness(sound))
        before = past[0].grey if past else grey
        watched = movements(synchrony(trace))
        seen = Seen(motion=motion(grey, before), movements=watched, log_seen=logits.log_softmax(1))
        past = (*past, now)
        heard = model.network.hear(sound)
        residual, sounding, state = model.causal(
            model.network.maps(seen, heard),
            model.network.audio_tokens(sound, heard, watched),
            state,
            torch.tensor([not sounds]),
        )
        live_residual.append(model.network.combine(seen.log_seen, heard, residual))
        live_sounding.append(sounding)
        sounds.append(sound)
        seens.append(seen)
    together = Seen(
        motion=torch.cat([s.motion for s in seens]),
        movements=Movements(*(torch.cat(x) for x in zip(*(s.movements for s in seens), strict=True))),
        log_seen=torch.cat([s.log_seen for s in seens]),
    )
    heard_all = Sound(*(torch.cat(parts) for parts in zip(*sounds, strict=True)))
    offline = model.network(together, heard_all, (1, len(clip)))
    assert (torch.cat(live_residual) - offline.logits[0]).abs().max() <= 1e-4
    assert (torch.cat(live_sounding) - offline.sounding[0]).abs().max() <= 1e-4


def test_a_fresh_state_forgets_everything(model: NanoStream, windows: list[Window]) -> None:
    _, used = run(model, windows[4:8])
    fresh, _ = model.step(windows[20], model.initial_state(), Stages())
    carried, _ = model.step(windows[20], used, Stages())
    again, _ = model.step(windows[20], model.initial_state(), Stages())
    assert np.array_equal(fresh.confidence, again.confidence)
    assert fresh.sounding_score == again.sounding_score
    assert carried.sounding_score != fresh.sounding_score


def test_two_streams_of_one_model_do_not_meet(model: NanoStream, windows: list[Window]) -> None:
    alone, _ = run(model, windows[4:8])
    states = [model.initial_state(), model.initial_state()]
    for k in range(4):
        mixed, states[0] = model.step(windows[4 + k], states[0], Stages())
        _, states[1] = model.step(windows[60 + k], states[1], Stages())
        assert np.array_equal(mixed.confidence, alone[k].confidence)
        assert mixed.sounding_score == alone[k].sounding_score


def test_the_one_who_speaks_is_marked_and_silence_is_not(model: NanoStream, windows: list[Window]) -> None:
    decisions, _ = run(model, windows[:50])
    for decision in decisions:
        check_decision(decision, model)
    speaking = [d.mask for d in decisions[8:16]]  # 1 s to 2 s
    muted = [d.mask for d in decisions[28:50]]  # a second after the sound ended, lips moving
    people = np.mean([(m == PERSON).mean() for m in speaking])
    assert people > 0.25
    assert all(set(np.unique(m)) <= {0, PERSON} for m in speaking)
    assert np.mean([(m > 0).mean() for m in muted]) < 0.01


def test_silence_gives_an_empty_mask_whatever_is_seen(model: NanoStream, windows: list[Window]) -> None:
    image = windows[10].newest.image
    quiet = window(image, np.zeros(2 * RATE_HZ, np.float32), 0)
    decisions, _ = run(model, [quiet] * 3)
    assert not any(d.mask.any() for d in decisions)


def test_what_ships_is_small_enough() -> None:
    encoders = ("espnetv2_s2_voc384.safetensors", "mn04_as.safetensors")
    total = sum((BUNDLED / name).stat().st_size for name in (FILE, *encoders))
    assert size_of(BUNDLED / FILE) > 1_000_000
    assert total < MAX_BYTES


def test_weights_fit_strictly_and_tell_how_they_were_made(tmp_path: Path) -> None:
    file = load_nano(BUNDLED / FILE)
    assert file.about["seed"] >= 0
    path = tmp_path / "copy.safetensors"
    save_nano(path, file.network, file.thresholds, file.about)
    copy = load_nano(path)
    assert copy.thresholds == file.thresholds
    wider = dataclasses.replace(file.network.config, listener_hidden=file.network.config.listener_hidden + 1)
    file.network.config = wider
    save_nano(path, file.network, file.thresholds, {})
    with pytest.raises(WeightsError, match="of another shape"):
        load_nano(path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nano.safetensors"
    path.write_bytes((BUNDLED / "mn04_as.safetensors").read_bytes())
    with pytest.raises(WeightsError, match="not a nano file"):
        load_nano(path)


def test_the_registry_knows_it_and_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="input_px"):
        load_model(ModelConfig(preset="nano", input_px=224))
    with pytest.raises(ConfigError, match="audio_context_s"):
        load_model(ModelConfig(preset="nano", audio_context_s=1.0))


def test_masks_do_not_flicker_between_the_two_thresholds(model: NanoStream) -> None:
    limits = Thresholds(pixel=0.6, pixel_before=0.4, sounding=0.3, sounding_before=0.2)
    steady = dataclasses.replace(model, thresholds=limits)
    logits = torch.zeros(1 + len(model.network.ids), *model.mask_shape)
    logits[1:] = -20.0
    logits[1, :80] = 0.0  # probability 0.5: between the two
    every = torch.ones(len(model.network.ids), dtype=torch.bool)
    sounds, winner = model.mind.choose(logits, every)
    none = np.zeros(model.mask_shape, np.bool_)
    some, flat = ~none, torch.zeros(1, 1, 4, 4)

    def mask(residual: torch.Tensor, sounding: float, before: np.ndarray) -> np.ndarray:
        causal = model.causal.initial_state(1)
        thought = Thought(sounds, winner, sounds, residual, torch.tensor([sounding]), causal)
        return steady.decide(thought, before).mask

    assert not mask(flat, 0.25, none).any()
    assert not mask(flat, 0.9, none).any()
    assert mask(flat, 0.25, some)[:80].all()
    assert not mask(flat, 0.1, some).any()


def test_another_threshold_is_that_of_pixels_and_moves_the_hysteresis_along(model: NanoStream) -> None:
    limits = Thresholds(pixel=0.5, pixel_before=0.375, sounding=0.3, clear=0.1)
    assert limits.at(0.5) == limits
    assert limits.at(0.75) == dataclasses.replace(limits, pixel=0.75, pixel_before=0.625)
    assert (limits.at(0.1).pixel, limits.at(0.1).pixel_before) == (0.1, 0.0)
    steady = dataclasses.replace(model, thresholds=limits)
    for way in ([0.9], [0.1, 0.9], [0.1, 0.5]):  # by way of a number whose hysteresis hits the floor
        found = steady
        for value in way:
            found = found.with_threshold(value)
        assert (found.threshold, found.own_threshold) == (way[-1], 0.5)
        assert found.mind is model.mind
    configured = load(ModelConfig(preset="nano", threads=1, threshold=0.8))
    assert (configured.threshold, configured.own_threshold) == (0.8, model.threshold)


def test_only_audible_classes_are_chosen(model: NanoStream) -> None:
    logits = torch.randn(1 + len(model.network.ids), 6, 5, generator=torch.Generator().manual_seed(0))
    audible = torch.zeros(len(model.network.ids), dtype=torch.bool)
    sounds, _ = model.mind.choose(logits, audible)
    assert float(sounds.abs().max()) == 0.0
    audible[[2, 5]] = True
    sounds, winner = model.mind.choose(logits, audible)
    assert set(winner.unique().tolist()) == set(model.network.ids[[2, 5]].tolist())
    expected = logits[[0, 3, 6]].softmax(0)[1:].sum(0)
    torch.testing.assert_close(sounds, expected)


@pytest.mark.parametrize("period_ms", [25, 33, 66, 100, 125, 400])
def test_motion_is_since_a_tenth_of_a_second_at_any_rate(period_ms: int) -> None:
    past: tuple[Past, ...] = ()
    for k in range(12):
        stamp_ns = k * period_ms * 1_000_000
        past = recent(past, stamp_ns)
        if k * period_ms >= 200:
            since_s = (stamp_ns - past[0].stamp_ns) / 1e9
            assert APART_S <= since_s < APART_S + period_ms / 1e3
        past = (*past, Past(stamp_ns, torch.zeros(1, 2, 2)))
    assert len(past) <= 2 + APART_S * 1e3 / period_ms
