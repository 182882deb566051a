"""Composed scenes: exact masks, events as configured, the same clip for the same seed."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.datasets.log_mel import grid_examples, trailing_examples
from stream_avs.datasets.scenes import LogMelTiming, ProceduralSource, SceneConfig, SceneDataset, SceneStream
from stream_avs.datasets.scenes.dataset import compose
from stream_avs.datasets.scenes.plan import NOISE, SoundEvent, reflect
from stream_avs.datasets.scenes.procedural import PITCH_HZ
from stream_avs.datasets.scenes.render import mask_of, render_audio, render_frame
from stream_avs.errors import ConfigError

SOURCE = ProceduralSource()
SMALL = SceneConfig(size_px=48)
QUIET = {"p_silence": 0.0, "p_noise_only": 0.0, "p_off_screen": 0.0, "p_off_screen_mix": 0.0, "p_noise": 0.0}
CALM = replace(SMALL, **QUIET, p_several=0.0, p_switch=0.0)  # type: ignore[arg-type]
ALWAYS = {
    "p_silence": replace(CALM, p_silence=1.0),
    "p_noise_only": replace(CALM, p_noise_only=1.0),
    "p_off_screen": replace(CALM, p_off_screen=1.0),
}


def clips(config: SceneConfig, count: int = 12) -> list:
    dataset = SceneDataset(SOURCE, config)
    return [dataset[k] for k in range(count)]


def test_shapes_and_what_goes_with_them() -> None:
    clip = SceneDataset(SOURCE, replace(SMALL, frames=7))[0]
    assert clip.frames.shape == (7, 48, 48, 3)
    assert clip.masks.shape == (7, 48, 48)
    assert clip.log_mel is not None
    assert clip.log_mel.shape == (7, 1, 96, 64)
    assert clip.waveform is not None
    assert clip.waveform.size == round((1.0 + 6 * 0.2) * 16_000)
    assert clip.mask_valid.all()
    assert clip.frame_valid.all()
    np.testing.assert_allclose(clip.frame_times_s, 1.0 + 0.2 * np.arange(7))


def test_the_same_seed_gives_the_same_clip_and_another_another() -> None:
    first, again = SceneDataset(SOURCE, SMALL, seed=3)[5], SceneDataset(ProceduralSource(), SMALL, seed=3)[5]
    for name in ("frames", "masks", "waveform", "log_mel"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.tags, first.category) == (again.tags, again.category)
    others = [
        SceneDataset(SOURCE, SMALL, seed=4)[5],
        SceneDataset(SOURCE, SMALL, seed=3)[6],
        SceneDataset(SOURCE, SMALL, seed=3, split="val")[5],
    ]
    assert all((other.frames != first.frames).any() for other in others)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_masks_lie_on_the_objects_that_sound_and_nowhere_else(index: int) -> None:
    dataset = SceneDataset(SOURCE, SMALL)
    plan, clip = dataset.plan(index), dataset[index]
    for k, time_s in enumerate(plan.frame_times_s):
        _, owner = render_frame(plan, float(time_s))
        sounding = plan.sounding(float(time_s))
        expected = np.zeros_like(owner)
        for number, thing in enumerate(plan.objects):
            if number in sounding:
                expected[owner == number + 1] = thing.class_id
        np.testing.assert_array_equal(clip.masks[k], expected)
        heard = {e.source for e in plan.events if e.fills(float(time_s), plan.decision_s)} - {None}
        assert sounding == heard


def test_taking_the_source_away_changes_the_pixels_of_its_mask_alone() -> None:
    dataset = SceneDataset(SOURCE, CALM)
    for index in range(20):
        plan, clip = dataset.plan(index), dataset[index]
        (source,) = plan.sounding(1.0)
        rest = tuple(thing for k, thing in enumerate(plan.objects) if k != source)
        for k, time_s in enumerate(plan.frame_times_s):
            without, _ = render_frame(replace(plan, objects=rest), float(time_s))
            changed = (clip.frames[k] != without).any(axis=-1)
            np.testing.assert_array_equal(changed, clip.masks[k] > 0)


@pytest.mark.parametrize("name", list(ALWAYS))
def test_without_a_visible_source_every_mask_is_empty(name: str) -> None:
    for clip in clips(ALWAYS[name]):
        assert not clip.masks.any()
        assert name.removeprefix("p_") in clip.tags
        assert clip.category == ""
        assert clip.waveform is not None
        loud = np.sqrt(np.mean(clip.waveform**2))
        assert (loud == 0) == (name == "p_silence")


def test_the_silent_distractor_shows_only_in_the_sound() -> None:
    """Let the look-alike sound instead: not a pixel changes, but the sound and the mask do."""
    config = replace(CALM, p_distractor=1.0, objects_max=2, speed_max=0.1)
    dataset = SceneDataset(SOURCE, config)
    for index in range(12):
        plan = dataset.plan(index)
        assert "distractor" in plan.tags
        ((source, event),) = [(e.source, e) for e in plan.events]
        assert source is not None
        (other,) = {0, 1} - {source}
        assert plan.objects[other].class_id in SOURCE.lookalikes(plan.objects[source].class_id)
        swapped_event = replace(event, source=other, class_id=plan.objects[other].class_id)
        swapped = replace(plan, events=(swapped_event,))
        one, two = (
            compose(p, SOURCE, name="a", split="val", log_mel=LogMelTiming.TRAILING) for p in (plan, swapped)
        )
        np.testing.assert_array_equal(one.frames, two.frames)
        assert one.masks[0].any()
        assert two.masks[0].any()
        assert not (one.masks.astype(bool) & two.masks.astype(bool)).any()
        assert one.log_mel is not None
        assert two.log_mel is not None
        # Red and blue are two octaves apart: their loudest mel bands differ in every frame.
        bands = [clip.log_mel.mean(axis=(1, 2)).argmax(axis=-1) for clip in (one, two)]
        assert (bands[0] != bands[1]).all()


def test_the_pitch_is_that_of_the_colour() -> None:
    for class_id, name in enumerate(SOURCE.class_names[1:], start=1):
        tone = SOURCE.sound(class_id, 16_000, 16_000, np.random.default_rng(class_id))
        spectrum = np.abs(np.fft.rfft(tone))
        strongest = float(np.argmax(spectrum))  # 1 s: bin = Hz
        pitch_hz = PITCH_HZ[("red", "blue").index(name.split()[0])]
        harmonic = strongest / pitch_hz
        assert min(abs(harmonic - n) / n for n in (1, 2, 3)) < 0.045
        assert np.sqrt(np.mean(tone**2)) == pytest.approx(1.0, abs=1e-3)


def test_every_configured_event_happens_about_as_often_as_asked() -> None:
    config = replace(CALM, p_silence=0.2, p_off_screen=0.2, p_several=0.5, p_noise=0.5)
    tags = [SceneDataset(SOURCE, config).plan(k).tags for k in range(400)]
    share = {tag: sum(tag in t for t in tags) / 400 for tag in ("silence", "off_screen", "several", "noise")}
    assert share["silence"] == pytest.approx(0.2, abs=0.06)
    assert share["off_screen"] == pytest.approx(0.2, abs=0.06)
    assert share["several"] == pytest.approx(0.6 * 0.5, abs=0.07)
    assert share["noise"] == pytest.approx(0.8 * 0.5, abs=0.07)


def test_several_sources_are_masked_together() -> None:
    for clip in clips(replace(CALM, p_several=1.0, speed_max=0.0)):
        assert len(set(np.unique(clip.masks[0])) - {0}) == 2


def test_a_switch_changes_who_is_masked_once() -> None:
    dataset = SceneDataset(SOURCE, replace(CALM, p_switch=1.0))
    for index in range(20):
        plan = dataset.plan(index)
        sets = [plan.sounding(float(t)) for t in plan.frame_times_s]
        assert sum(a != b for a, b in itertools.pairwise(sets)) == 1
        assert all(len(s) == 1 for s in sets)  # at no frame none, at no frame both
        assert "switch" in plan.tags


def test_with_one_object_and_no_other_event_a_switch_is_to_silence() -> None:
    dataset = SceneDataset(SOURCE, replace(CALM, p_switch=1.0, objects_min=1, objects_max=1))
    for clip in (dataset[k] for k in range(5)):
        assert clip.masks[0].any()
        assert not clip.masks[-1].any()
        assert {"switch", "silence", "on_screen"} <= clip.tags


@pytest.mark.parametrize(("covered_s", "sounds"), [(0.049, False), (0.051, True), (0.3, True)])
def test_an_object_sounds_when_more_than_half_of_the_decision_time_is_filled(
    covered_s: float, sounds: bool
) -> None:
    event = SoundEvent(class_id=1, start_s=2 - covered_s, end_s=9.0, level_db=0.0, seed=0, source=0)
    assert event.fills(2.0, 0.1) is sounds
    assert SoundEvent(class_id=1, start_s=0.0, end_s=1.96, level_db=0.0, seed=0, source=0).fills(2.0, 0.1)
    assert not SoundEvent(class_id=1, start_s=0.0, end_s=1.94, level_db=0.0, seed=0, source=0).fills(2.0, 0.1)


def test_sound_has_the_level_of_its_event() -> None:
    dataset = SceneDataset(SOURCE, CALM)
    for index in range(8):
        plan = dataset.plan(index)
        rms = np.sqrt(np.mean(render_audio(plan, SOURCE) ** 2, dtype=np.float64))
        assert 20 * np.log10(rms) == pytest.approx(plan.events[0].level_db, abs=0.2)


def test_noise_lies_under_the_sound() -> None:
    dataset = SceneDataset(SOURCE, replace(CALM, p_noise=1.0))
    for index in range(8):
        plan = dataset.plan(index)
        (noise,) = [e for e in plan.events if e.class_id == NOISE]
        assert noise.level_db <= CALM.level_max_db - CALM.snr_min_db
        assert "noise" in plan.tags


def test_what_cannot_be_seen_is_another_class_than_what_can() -> None:
    dataset = SceneDataset(SOURCE, replace(CALM, p_off_screen=1.0))
    for index in range(20):
        plan = dataset.plan(index)
        (event,) = plan.events
        assert event.source is None
        assert event.class_id not in {thing.class_id for thing in plan.objects}


def test_objects_stay_inside_and_move_as_planned() -> None:
    dataset = SceneDataset(SOURCE, replace(SMALL, speed_max=2.0, frames=9))
    for index in range(10):
        plan = dataset.plan(index)
        for thing in plan.objects:
            assert thing.sprite is not None
            h, w = thing.sprite.alpha.shape
            for time_s in np.linspace(0, 60, 50):
                x, y = thing.position_px(float(time_s), 48)
                assert 0 <= x <= 48 - w
                assert 0 <= y <= 48 - h


@pytest.mark.parametrize(
    ("position", "expected"), [(0, 0), (3, 3), (10, 10), (11, 9), (20, 0), (23, 3), (-2, 2), (-12, 8)]
)
def test_reflection_at_walls(position: int, expected: int) -> None:
    assert reflect(position, 10) == expected
    assert reflect(position, 0) == 0


def test_examples_on_the_grid_and_trailing() -> None:
    grid = replace(CALM, frame_spacing_s=1.0, log_mel=LogMelTiming.GRID)
    clip = SceneDataset(SOURCE, grid)[0]
    assert clip.waveform is not None
    np.testing.assert_array_equal(clip.log_mel, grid_examples(clip.waveform)[:5])
    trailing = SceneDataset(SOURCE, CALM)[0]
    assert trailing.waveform is not None
    np.testing.assert_array_equal(
        trailing.log_mel, trailing_examples(trailing.waveform, trailing.frame_times_s)
    )
    assert SceneDataset(SOURCE, replace(CALM, log_mel=LogMelTiming.NONE))[0].log_mel is None
    with pytest.raises(ConfigError, match=r"at least 4\.81 s for 5 examples on the grid"):
        SceneDataset(SOURCE, replace(CALM, log_mel=LogMelTiming.GRID))[0]


def test_examples_come_at_another_rate_too() -> None:
    for timing, spacing_s in ((LogMelTiming.GRID, 1.0), (LogMelTiming.TRAILING, 0.2)):
        calm = replace(CALM, frame_spacing_s=spacing_s, log_mel=timing, p_noise=0.0)
        narrow, wide = (SceneDataset(SOURCE, replace(calm, sample_rate_hz=hz))[1] for hz in (16_000, 32_000))
        assert narrow.log_mel is not None
        assert wide.log_mel is not None
        # the sound's phases are drawn anew, and beats fall elsewhere: much the same, not the same
        assert np.abs(wide.log_mel - narrow.log_mel).mean() < 0.3


def test_another_rate_gives_the_same_picture_and_as_much_sound() -> None:
    wide = replace(CALM, sample_rate_hz=32_000, log_mel=LogMelTiming.NONE)
    clip, narrow = SceneDataset(SOURCE, wide)[0], SceneDataset(SOURCE, CALM)[0]
    np.testing.assert_array_equal(clip.frames, narrow.frames)
    assert clip.waveform is not None
    assert narrow.waveform is not None
    assert clip.waveform.size == 2 * narrow.waveform.size


def test_context_rows_end_at_their_frames() -> None:
    clip = SceneDataset(SOURCE, CALM)[0]
    assert clip.waveform is not None
    rows = clip.audio_context(0.5)
    assert rows.shape == (5, 8000)
    np.testing.assert_array_equal(rows[0], clip.waveform[8000:16000])
    np.testing.assert_array_equal(rows[1], clip.waveform[11200:19200])
    longer = clip.audio_context(1.5)  # half a second before the clip began: silence
    assert not longer[0, :8000].any()
    np.testing.assert_array_equal(longer[0, 8000:], clip.waveform[:16000])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_silence": 1.5}, r"scenes\.p_silence is 1\.5"),
        ({"p_silence": 0.6, "p_off_screen": 0.6}, "the rest has a visible source"),
        ({"objects_min": 3, "objects_max": 2}, "objects_max is 2"),
        ({"sample_rate_hz": 44_100}, "16000 Hz or a multiple with log_mel"),
        ({"size_px": 4}, "size_px is 4"),
        ({"decision_s": 2.0}, "decision_s is 2"),
    ],
)
def test_settings_that_make_no_sense_are_named(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SceneConfig(), **change)


def test_more_objects_than_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most the 2 classes that have pictures"):
        SceneDataset(ProceduralSource(shapes=1), SceneConfig(objects_max=3))
    with pytest.raises(ConfigError, match="shapes is 9"):
        ProceduralSource(shapes=9)
    with pytest.raises(IndexError):
        SceneDataset(SOURCE, SMALL)[-1]


STREAM = replace(SMALL, frame_spacing_s=0.1)


def test_a_stream_is_the_same_each_time_and_marks_its_changes() -> None:
    stream, same = (
        SceneStream(SOURCE, STREAM, duration_s=12.0, segment_s=(1.0, 2.0), seed=7) for _ in range(2)
    )
    frames = list(stream)
    assert len(stream) == len(frames) == 121
    for one, other in zip(frames, same, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.audio, other.audio)
    assert sum(f.switched for f in frames) >= 4
    for before, frame in itertools.pairwise(frames):
        assert frame.switched == (frame.sounding != before.sounding)
        assert frame.audio.size == 16_000
        if not frame.sounding:
            assert not frame.mask.any()


def test_a_frame_of_a_stream_is_its_plan_at_that_time() -> None:
    stream = SceneStream(SOURCE, STREAM, duration_s=3.0, seed=1)
    frame = list(stream)[17]
    image, owner = render_frame(stream.plan, frame.time_s)
    np.testing.assert_array_equal(frame.image, image)
    np.testing.assert_array_equal(frame.mask, mask_of(stream.plan, owner, frame.time_s))
    assert frame.time_s == pytest.approx(1.0 + 17 * 0.1)
    end = round(frame.time_s * 16_000)
    np.testing.assert_array_equal(frame.audio, stream.waveform[end - 16_000 : end])
