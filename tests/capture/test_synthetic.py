from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_sink import RecordingSink

from stream_avs.capture.synthetic import Synthetic
from stream_avs.capture.synthetic_scene import FLASH_S, LABELS, RATE_HZ, TURN_S, TURNS, SyntheticScene
from stream_avs.config import SyntheticConfig
from stream_avs.types import NS_PER_S, StampSource

CYCLE_S = TURN_S * len(TURNS)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 50),
    begin=st.integers(-RATE_HZ, 20 * RATE_HZ),
    cuts=st.lists(st.integers(1, 4000), min_size=1, max_size=8),
)
def test_sound_does_not_depend_on_how_it_is_cut(seed: int, begin: int, cuts: list[int]) -> None:
    scene = SyntheticScene(SyntheticConfig(seed=seed))
    edges = np.cumsum([begin, *cuts])
    pieces = [scene.audio_between(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    whole = scene.audio_between(int(edges[0]), int(edges[-1]))
    assert whole.dtype == np.float32
    assert whole.shape == (sum(cuts), 1)
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.abs(whole).max() <= 1


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 50), t_s=st.floats(0, 3600), size=st.sampled_from([(320, 240), (64, 48), (33, 97)])
)
def test_the_mask_marks_what_sounds_and_nothing_else(seed: int, t_s: float, size: tuple[int, int]) -> None:
    scene = SyntheticScene(SyntheticConfig(seed=seed, width_px=size[0], height_px=size[1]))
    image, mask = scene.frame_at(t_s)
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == mask.dtype == np.uint8
    sounding = scene.sounding_at(t_s)
    assert set(np.unique(mask)) <= {0, *sounding}
    objects = scene.objects_at(t_s)
    assert np.array_equal(mask > 0, np.isin(objects, sounding))
    assert set(np.unique(objects)) <= {0, *LABELS}
    again, _ = SyntheticScene(SyntheticConfig(seed=seed, width_px=size[0], height_px=size[1])).frame_at(t_s)
    assert np.array_equal(image, again), "same seed, same scene"


def test_every_shape_is_seen_heard_and_silent_in_a_cycle() -> None:
    scene = SyntheticScene(SyntheticConfig())
    turns = [scene.sounding_at((k + 0.5) * TURN_S) for k in range(len(TURNS))]
    assert {c for turn in turns for c in turn} == set(LABELS)
    assert () in turns
    assert any(len(turn) > 1 for turn in turns)
    for k, turn in enumerate(turns):
        middle = round((k + 0.5) * TURN_S * RATE_HZ)
        level = np.abs(scene.audio_between(middle, middle + 1600)).max()
        assert (level > 0.05) == (turn != ())
        assert (scene.frame_at((k + 0.5) * TURN_S)[1] > 0).any() == (turn != ())
    assert scene.sounding_at(-0.1) == ()
    assert not scene.audio_between(-1000, 0).any()


def test_shapes_sound_different() -> None:
    scene = SyntheticScene(SyntheticConfig())
    loudest = {}
    for k in range(len(TURNS)):
        turn = scene.sounding_at((k + 0.5) * TURN_S)
        if len(turn) == 1:
            begin = round((k + 0.4) * TURN_S * RATE_HZ)
            spectrum = np.abs(np.fft.rfft(scene.audio_between(begin, begin + 4096)[:, 0]))
            loudest[turn[0]] = round(spectrum.argmax() * RATE_HZ / 4096)
    assert sorted(loudest) == [1, 2, 3]
    assert min(np.diff(sorted(loudest.values()))) > 100


def test_shapes_move() -> None:
    scene = SyntheticScene(SyntheticConfig())
    for class_id in LABELS:
        places = [np.argwhere(scene.objects_at(t) == class_id).mean(axis=0) for t in np.arange(0, 4, 0.25)]
        assert np.ptp(places, axis=0).max() > 20


@pytest.mark.parametrize("seed", range(5))
def test_the_flash_comes_with_the_sound_to_the_sample(seed: int) -> None:
    scene = SyntheticScene(SyntheticConfig(seed=seed))
    before: tuple[int, ...] = ()
    for k in range(2 * len(TURNS)):
        turn = scene.sounding_at((k + 0.5) * TURN_S)
        begun = set(turn) - set(before)
        first_white = {
            c
            for c in begun
            if (scene.frame_at(k * TURN_S + 1e-4)[0][scene.objects_at(k * TURN_S) == c] == 255).any()
        }
        assert first_white == {c for c in begun if (scene.objects_at(k * TURN_S) == c).any()}
        late = scene.frame_at(k * TURN_S + FLASH_S + 0.01)[0]
        assert not (late == 255).all(axis=2).any()
        if begun and not before:
            edge = round(k * TURN_S * RATE_HZ)
            assert not scene.audio_between(edge - 100, edge).any()
            assert np.abs(scene.audio_between(edge, edge + 100)).max() > 0.05
        before = turn


def test_no_clicks() -> None:
    samples = SyntheticScene(SyntheticConfig()).audio_between(0, round(CYCLE_S * RATE_HZ))[:, 0]
    assert np.abs(np.diff(samples)).max() < 0.45


@pytest.mark.parametrize("shift_s", [0.0, 0.3, -0.2])
def test_live_with_a_known_shift(shift_s: float) -> None:
    config = SyntheticConfig(duration_s=1.0, camera_mic_shift_s=shift_s, width_px=64, height_px=48)
    source = Synthetic(config, frame_id="head")
    info = source.open()
    assert (info.width_px, info.height_px, info.fps, info.sample_rate_hz, info.live) == (
        64, 48, 25, RATE_HZ, True,
    )  # fmt: skip
    sink = RecordingSink()
    source.start(sink)
    assert sink.over.wait(5)
    source.stop()
    start_ns = source.start_ns
    assert [f.stamp_ns - start_ns for f in sink.frames] == [round(k / 25 * NS_PER_S) for k in range(25)]
    assert {(f.frame_id, f.stamp_source) for f in sink.frames} == {("head", StampSource.SYNTHETIC)}
    # the microphone runs from the start to the end of the scene's sound, without a hole
    assert sink.blocks[0].block.stamp_ns == pytest.approx(start_ns, abs=1e5)
    assert sink.blocks[-1].end_ns == pytest.approx(start_ns + (1.0 + shift_s) * NS_PER_S, abs=1e5)
    first = round((sink.blocks[0].block.stamp_ns - start_ns - shift_s * NS_PER_S) * RATE_HZ / NS_PER_S)
    heard = sink.samples()
    assert np.array_equal(heard, source.scene.audio_between(first, first + len(heard))[:, 0])
    for seen in sink.frames:
        assert seen.handed_ns >= seen.stamp_ns
    for block in sink.blocks:
        assert block.handed_ns >= block.end_ns
    assert sink.ends == 1


def test_endless_until_stopped() -> None:
    source = Synthetic(SyntheticConfig(width_px=64, height_px=48))
    source.open()
    source.stop()
    sink = RecordingSink()
    source.start(sink)
    sink.wait_for(frames=5, blocks=5)
    begun_s = time.monotonic()
    source.stop()
    assert time.monotonic() - begun_s < 0.2
    assert sink.ends == 0
