from __future__ import annotations

from pathlib import Path

import pytest
from clips import make_clip
from recording_sink import RecordingSink

from stream_avs.capture.composite import Composite
from stream_avs.capture.media import Media
from stream_avs.capture.open_source import make_source
from stream_avs.capture.synthetic import Synthetic
from stream_avs.config import CameraConfig, MediaConfig, MicrophoneConfig, Pace, RunConfig, SyntheticConfig
from stream_avs.errors import MissingPackageError, SourceError


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("webcam", Composite),
        ("camera:3", Composite),
        ("/dev/video0", Composite),
        ("synthetic", Synthetic),
        ("rtsp://cam/live", Media),
        ("RTSPS://cam/live", Media),
        ("udp://0.0.0.0:5000", Media),
        ("tcp://10.0.0.1:5000", Media),
        ("http://cam/video.mjpg", Media),
        ("https://cam/video.mjpg", Media),
    ],
)
def test_forms(source: str, kind: type) -> None:
    assert type(make_source(RunConfig(source=source))) is kind


def test_a_camera_number_is_that_camera() -> None:
    microphone = MicrophoneConfig(device="no such microphone")
    for source, named in (
        ("webcam", "camera 0"),
        ("camera:41", "camera 41"),
        ("/dev/video42", "/dev/video42"),
    ):
        with pytest.raises((SourceError, MissingPackageError), match=f"{named}|microphone"):
            make_source(RunConfig(source=source, microphone=microphone)).open()


def test_settings_reach_the_source(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", 0.4)
    config = RunConfig(
        source=str(path), media=MediaConfig(pace=Pace.FAST), camera=CameraConfig(frame_id="head_optical")
    )
    source = make_source(config)
    source.open()
    sink = RecordingSink()
    source.start(sink)
    assert sink.over.wait(10)
    source.stop()
    assert {f.frame_id for f in sink.frames} == {"head_optical"}

    info = make_source(RunConfig(source="synthetic", synthetic=SyntheticConfig(width_px=48))).open()
    assert info.width_px == 48


def test_a_path_without_slash_is_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "webcamera.mp4", 0.4)
    monkeypatch.chdir(tmp_path)
    assert isinstance(make_source(RunConfig(source="webcamera.mp4")), Media)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("webcm", "Did you mean 'webcam'?"),
        ("sinthetic", "Did you mean 'synthetic'?"),
        ("0", "Did you mean 'camera:0'?"),
        ("camera0", "Did you mean 'camera:0'?"),
        ("talk.mp3", "Did you mean the file 'talk.mp4'?"),
        ("clips/talk.mp4", "Give one of: webcam"),
        ("rtps://cam/live", "Did you mean 'rtsp"),
        ("srt://cam/live", "unknown scheme 'srt'"),
    ],
)
def test_anything_else_is_refused_with_a_hint(
    source: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talk.mp4").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        make_source(RunConfig(source=source))
    assert says in str(caught.value)


def test_a_wrong_scheme_does_not_show_the_password() -> None:
    with pytest.raises(SourceError) as caught:
        make_source(RunConfig(source="srt://joe:s3cret@cam/live"))
    assert "s3cret" not in str(caught.value)
