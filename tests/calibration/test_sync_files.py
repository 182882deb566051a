"""The shift of encoded files, decoded as any source is: the drawn target, and filmed events."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av_film import write_film
from av_scene import Scene

from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.flash_beep import FlashBeepConfig, beeps, pictures, write_flash_beep
from stream_avs.calibration.record import Recorder, record
from stream_avs.calibration.sync import estimate_shift
from stream_avs.calibration.sync_result import Method, SyncEstimate
from stream_avs.capture.media import Media
from stream_avs.capture.synthetic import Synthetic
from stream_avs.config import MediaConfig, Pace, SyntheticConfig
from stream_avs.errors import ConfigError
from stream_avs.types import StampSource

SMALL = {"width_px": 160, "height_px": 90, "events": 12}


def analyse(path: Path, method: Method = Method.AUTO) -> SyncEstimate:
    recorder = Recorder()
    record(Media(path, MediaConfig(pace=Pace.FAST)), recorder, 100.0)
    assert not any("discontinuity" in remark for remark in recorder.remarks)
    return estimate_shift(recorder.pictures(), recorder.sound(), method=method)


@pytest.mark.parametrize("shift_s", [-0.3, 0.0, 0.237])
def test_target_as_drawn(tmp_path: Path, shift_s: float) -> None:
    path = tmp_path / "target.mp4"
    write_flash_beep(path, FlashBeepConfig(fps=30, shift_s=shift_s, **SMALL))
    found = analyse(path)
    assert found.frame_locked
    assert found.events == 12
    assert found.shift_s == pytest.approx(shift_s, abs=0.001)


def test_target_at_sixty_frames_begins_flash_and_beep_together(tmp_path: Path) -> None:
    path = tmp_path / "target.mp4"
    write_flash_beep(path, FlashBeepConfig(**SMALL))
    assert analyse(path, Method.FLASH).shift_s == pytest.approx(0.0, abs=0.001)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 60
        assert container.streams.audio[0].codec_context.name == "aac"
    # A player can begin before it has all of the file.
    assert path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")


@pytest.mark.parametrize(
    ("kind", "shift_s", "change"),
    [
        ("flash", -0.300, {}),
        ("flash", 0.0, {"exposure_s": 0.03}),
        ("flash", 0.300, {"false_sounds": 10, "false_sights": 4, "unseen": 0.1, "events": 20}),
        ("clap", -0.211, {}),
        ("clap", 0.300, {"false_sounds": 10, "unheard": 0.1, "events": 20}),
    ],
)
def test_filmed_events(tmp_path: Path, kind: str, shift_s: float, change: dict[str, float]) -> None:
    scene = Scene(kind=kind, shift_s=shift_s, seed=7, **change)  # type: ignore[arg-type]
    found = analyse(write_film(tmp_path / "film.mp4", scene))
    assert found.method is Method(kind)
    assert not found.frame_locked
    assert abs(found.shift_s - shift_s) <= 0.005


def test_filmed_in_another_container(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mkv", Scene(shift_s=0.08, seed=9), video="mpeg4", audio="flac")
    assert abs(analyse(path).shift_s - 0.08) <= 0.005


def test_talk_is_refused(talkers: Path) -> None:
    with pytest.raises(CalibrationError, match="no sure shift"):
        analyse(talkers)


@pytest.mark.slow
def test_synthetic_scene() -> None:
    # The scene plays in real time: 45 s for its 13 sudden sounds.
    source = Synthetic(SyntheticConfig(duration_s=45, camera_mic_shift_s=-0.123))
    recorder = Recorder()
    record(source, recorder, 60.0)
    assert recorder.pictures().stamp_source is StampSource.SYNTHETIC
    found = estimate_shift(recorder.pictures(), recorder.sound())
    assert abs(found.shift_s + 0.123) <= 0.005


def test_events_come_at_uneven_pace_and_below_flicker() -> None:
    frames = np.array(FlashBeepConfig(events=30).event_frames())
    pauses_s = np.diff(frames) / 60
    assert pauses_s.min() >= 1.1
    assert pauses_s.max() <= 2.2
    assert len(set(np.round(pauses_s, 4))) > 20
    assert FlashBeepConfig(seed=2).event_frames() != FlashBeepConfig(seed=3).event_frames()


def test_pictures_and_beeps_agree() -> None:
    config = FlashBeepConfig(fps=30, **SMALL)
    bright = np.array([int(image[0, 0, 0]) for image in pictures(config)]) > 200
    begins = np.flatnonzero(bright[1:] & ~bright[:-1]) + 1
    assert tuple(begins) == config.event_frames()
    sound = beeps(config)
    for frame in config.event_frames():
        first = round(frame / 30 * 48_000)
        assert not sound[first - 100 : first + 1].any()
        assert np.abs(sound[first : first + 40]).max() > 0.3


@pytest.mark.parametrize(
    "wrong", [{"width_px": 161}, {"fps": 5}, {"events": 0}, {"shift_s": 3.0}], ids=lambda w: next(iter(w))
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FlashBeepConfig(**wrong)  # type: ignore[arg-type]


def test_target_must_be_mp4_and_writable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not an MP4"):
        write_flash_beep(tmp_path / "target.avi", FlashBeepConfig())
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        write_flash_beep(tmp_path / "file" / "target.mp4", FlashBeepConfig(**SMALL))
