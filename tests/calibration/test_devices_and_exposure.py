from __future__ import annotations

from pathlib import Path

import pytest

from stream_avs.calibration.devices import (
    Inputs,
    both,
    camera_index,
    device_names,
    exposure_of,
    pictures_only,
    sound_only,
)
from stream_avs.calibration.exposure import read_exposure
from stream_avs.capture.camera import Camera
from stream_avs.capture.composite import Composite
from stream_avs.capture.media import Media
from stream_avs.capture.microphone import Microphone
from stream_avs.config import CameraConfig, MediaConfig, MicrophoneConfig
from stream_avs.errors import SourceError


def inputs(source: str) -> Inputs:
    return Inputs(source=source, camera=CameraConfig(), microphone=MicrophoneConfig(), media=MediaConfig())


@pytest.mark.parametrize(
    ("source", "index"),
    [
        ("webcam", 0), ("camera:3", 3), ("/dev/video12", 12),
        ("clip.mp4", None), ("camera:", None), ("synthetic", None),
    ],
)  # fmt: skip
def test_cameras_are_told_from_other_sources(source: str, index: int | None) -> None:
    assert camera_index(source) == index


def test_cameras_open_without_microphones_and_the_other_way_round(talkers: Path) -> None:
    assert isinstance(pictures_only(inputs("webcam")), Camera)
    assert isinstance(pictures_only(inputs(str(talkers))), Media)
    assert isinstance(sound_only(inputs("microphone")), Microphone)
    assert isinstance(sound_only(inputs(str(talkers))), Media)
    assert isinstance(both(inputs("camera:1")), Composite)
    with pytest.raises(SourceError, match="webcm"):
        both(inputs("webcm"))


def test_a_file_names_itself(talkers: Path) -> None:
    source = both(inputs(str(talkers)))
    info = source.open()
    source.stop()
    names = device_names(inputs(str(talkers)), info)
    assert names.camera == names.microphone == info.name
    assert names.audio_host_api == "none: one source"


def test_what_is_no_camera_has_no_exposure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "none", Path("/dev/null"), tmp_path):
        assert read_exposure(path) is None
    assert exposure_of(inputs("synthetic")) is None


@pytest.mark.hardware
def test_a_camera_tells_its_exposure() -> None:
    if not Path("/dev/video0").exists():
        pytest.skip("needs a camera at /dev/video0")
    found = read_exposure(Path("/dev/video0"))
    if found is None:
        pytest.skip("this camera has no exposure control")
    assert found.time_ms is None or 0 < found.time_ms < 10_000
