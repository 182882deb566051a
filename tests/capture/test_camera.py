from __future__ import annotations

import os
import struct
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import FPS, make_clip
from hypothesis import given
from hypothesis import strategies as st
from recording_sink import RecordingSink

from stream_avs.capture.camera import Camera, choose_stamp, differences, list_cameras, plausible
from stream_avs.capture.camera_list import CAPABILITY, FORMAT, captures_video, describe
from stream_avs.config import CameraConfig, ReconnectConfig
from stream_avs.errors import SourceError, SourceLostError
from stream_avs.types import NS_PER_S, Event, SourceState, StampSource

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, where the kernel lists cameras")


@given(
    now_ns=st.integers(10**10, 10**15),
    delays_ns=st.lists(st.integers(0, 30_000_000), min_size=1, max_size=10),
)
def test_driver_stamps_shortly_before_arrival_are_believed(now_ns: int, delays_ns: list[int]) -> None:
    arrivals = [now_ns + k * 40_000_000 for k in range(len(delays_ns))]
    stamps = [(arrival - delay, arrival) for arrival, delay in zip(arrivals, delays_ns, strict=True)]
    assert choose_stamp(stamps) is StampSource.DRIVER


@pytest.mark.parametrize(
    ("what", "shift_ns"),
    [
        ("file position", lambda k, now: k * 40_000_000),
        ("wall clock", lambda k, now: now + 1_700_000_000 * NS_PER_S),
        ("a second old", lambda k, now: now - NS_PER_S),
        ("from the future", lambda k, now: now + 1),
        ("stuck", lambda k, now: 10**12),
        ("nothing", lambda k, now: 0),
    ],
)
def test_other_stamps_are_not(what: str, shift_ns: object) -> None:
    arrivals = [10**12 + k * 40_000_000 for k in range(5)]
    assert (
        choose_stamp([(shift_ns(k, now), now) for k, now in enumerate(arrivals)])  # type: ignore[operator]
        is StampSource.ARRIVAL
    )


def test_one_bad_stamp_is_enough_and_none_at_all_too() -> None:
    good = [(k * 40_000_000, k * 40_000_000 + 5) for k in range(1, 6)]
    assert choose_stamp([*good, (0, 10**10)]) is StampSource.ARRIVAL
    assert choose_stamp([]) is StampSource.ARRIVAL
    assert plausible(5, 5)
    assert not plausible(6, 5)


def test_what_the_camera_did_not_grant_is_named() -> None:
    asked = CameraConfig(width_px=1280, height_px=720, fps=30, fourcc="MJPG")
    assert differences(asked, 1280, 720, 30.0, "MJPG") == ()
    assert differences(asked, 1280, 720, 29.97, "mjpg") == ()
    assert differences(asked, 1280, 720, 0.0, "") == (), "unknown is no difference"
    assert differences(asked, 640, 480, 10.0, "YUYV") == (
        "asked for 1280x720, the camera gives 640x480",
        "asked for 30 Hz, the camera gives 10 Hz",
        "asked for MJPG, the camera gives YUYV",
    )


@linux
def test_cameras_are_listed_from_the_kernel(tmp_path: Path) -> None:
    sysfs, devices = tmp_path / "sys", tmp_path / "dev"
    devices.mkdir()
    for index, name in ((10, "Second Cam"), (2, "HD Webcam")):
        (sysfs / f"video{index}").mkdir(parents=True)
        (sysfs / f"video{index}" / "name").write_text(f"{name}\n")
    (sysfs / "vbi0").mkdir()
    (devices / "video2").write_bytes(b"")  # not a V4L2 driver: it cannot be asked, but is there
    cameras = list_cameras(sysfs=sysfs, devices=devices)
    assert [(c.index, c.name) for c in cameras] == [(2, "HD Webcam"), (10, "Second Cam")]
    assert cameras[0].path == str(devices / "video2")
    assert cameras[1].note == "no such file or directory"
    assert "camera:2 (HD Webcam), camera:10 (Second Cam)" in describe(cameras)


@linux
def test_no_cameras(tmp_path: Path) -> None:
    assert list_cameras(sysfs=tmp_path / "none", devices=tmp_path) == []
    assert "No camera was found" in describe([])


@pytest.mark.parametrize(
    ("capabilities", "node", "captures"),
    [
        (0x84A00001, 0x04200001, True),  # the picture node of a UVC camera
        (0x84A00001, 0x04A00000, False),  # its metadata node
        (0x00000001, 0, True),  # an old driver without capabilities per node
        (0x84001000, 0x04001000, True),  # multi-planar capture
        (0x84000002, 0x04000002, False),  # output
    ],
)
def test_capabilities(capabilities: int, node: int, captures: bool) -> None:
    raw = struct.pack("16s32s32sIII12x", b"uvcvideo", b"HD Webcam", b"usb-1", 0x060000, capabilities, node)
    assert captures_video(raw) is captures


def test_layouts_are_those_of_the_kernel() -> None:
    assert CAPABILITY.size == 104
    assert FORMAT.size == 208
    if sys.platform == "linux" and struct.calcsize("P") == 8:
        # _IOC(direction, type, number, size)
        assert (2 << 30) | (104 << 16) | (ord("V") << 8) | 0 == 0x80685600
        assert (3 << 30) | (208 << 16) | (ord("V") << 8) | 4 == 0xC0D05604


def test_a_camera_that_is_not_there_says_which_are() -> None:
    with pytest.raises(SourceError) as caught:
        Camera(63).open()
    assert "cannot open camera 63" in str(caught.value)
    assert describe(list_cameras()) in str(caught.value)


class _Stand:
    """A file behind OpenCV stands in for a camera: it delivers frames, then is lost."""

    def __init__(self, path: Path) -> None:
        self.config = CameraConfig(width_px=96, height_px=64, fps=FPS, frame_id="head_optical")
        self.camera = Camera(str(path), self.config, api=cv2.CAP_FFMPEG)


@pytest.fixture
def stand(tmp_path: Path) -> _Stand:
    return _Stand(make_clip(tmp_path / "camera.mp4", 1.0, audio=""))


def test_frames_are_rgb_and_stamped_on_arrival_when_the_driver_is_no_help(stand: _Stand) -> None:
    info = stand.camera.open()
    assert (info.width_px, info.height_px, info.fps) == (96, 64, FPS)
    assert info.live
    assert any("stamped when they arrive" in note for note in info.notes)
    sink = RecordingSink()
    before_ns = time.monotonic_ns()
    stand.camera.start(sink)
    sink.wait_for(frames=10)
    stand.camera.stop()
    frame = sink.frames[0]
    assert frame.image.shape == (64, 96, 3)
    red = frame.image[16, 24].astype(int)
    assert red[0] > 150 > 80 > red[2]
    assert before_ns < frame.stamp_ns == frame.arrival_ns <= frame.handed_ns
    assert frame.frame_id == "head_optical"
    assert frame.stamp_source is StampSource.ARRIVAL


def test_a_lost_camera_is_opened_again(stand: _Stand) -> None:
    stand.camera.open()
    sink = RecordingSink()
    stand.camera.start(sink)
    sink.wait_for(frames=2 * FPS, timeout_s=20)  # more than the stand-in has: it was opened twice
    begun_s = time.monotonic()
    stand.camera.stop()
    assert time.monotonic() - begun_s < 1
    assert sink.counts()[Event.RECONNECT] >= 1
    assert sink.discontinuities[0][0] == "reconnect"
    assert "lost camera" in sink.events[0][2]
    assert sink.ends == 0
    assert [state for state, _ in sink.states[:2]] == [SourceState.RECONNECTING, SourceState.LIVE]
    count = len(sink.frames)
    time.sleep(0.1)
    assert len(sink.frames) == count


def test_a_camera_that_stays_away_is_waited_for(stand: _Stand, tmp_path: Path) -> None:
    stand.camera.open()
    path = tmp_path / "camera.mp4"
    path.rename(tmp_path / "unplugged.mp4")
    sink = RecordingSink()
    stand.camera.start(sink)
    returned_s: list[float] = []

    def plug_in() -> None:
        (tmp_path / "unplugged.mp4").rename(path)
        returned_s.append(time.monotonic())

    threading.Timer(1.6, plug_in).start()  # by then the delay has reached its limit
    while not returned_s:
        before = len(sink.frames)
        time.sleep(0.01)
    sink.wait_for(frames=before + 1, timeout_s=20)
    recovery_s = sink.frames[before].handed_ns / NS_PER_S - returned_s[0]
    stand.camera.stop()
    assert recovery_s < 2.0
    gaps_s = np.diff([f.stamp_ns for f in sink.frames]) / NS_PER_S
    assert gaps_s.max() > 1.0
    assert sink.counts()[Event.RECONNECT] >= 1


def test_a_camera_that_stays_away_for_good_is_given_up_as_configured(stand: _Stand, tmp_path: Path) -> None:
    reconnect = ReconnectConfig(give_up_after_s=0.5)
    camera = Camera(str(tmp_path / "camera.mp4"), stand.config, reconnect, api=cv2.CAP_FFMPEG)
    camera.open()
    (tmp_path / "camera.mp4").unlink()
    sink = RecordingSink()
    camera.start(sink)
    assert sink.over.wait(10)
    assert isinstance(sink.error, SourceLostError)
    assert "camera.mp4 has not come back for 0.5 s" in str(sink.error)


@linux
def test_a_camera_that_comes_back_under_another_number_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's list is a folder here, and two files stand in for one camera before and after."""
    sysfs, devices = tmp_path / "sys", tmp_path / "dev"
    devices.mkdir()

    def plug(index: int, name: str) -> None:
        (sysfs / f"video{index}").mkdir(parents=True)
        (sysfs / f"video{index}" / "name").write_text(name)
        make_clip(tmp_path / "film.mp4", 1.0, audio="").rename(devices / f"video{index}")

    def unplug(index: int) -> None:
        (devices / f"video{index}").unlink()
        (sysfs / f"video{index}" / "name").unlink()
        (sysfs / f"video{index}").rmdir()

    monkeypatch.setattr(
        "stream_avs.capture.camera.list_cameras", lambda: list_cameras(sysfs=sysfs, devices=devices)
    )
    plug(0, "HD Webcam")
    camera = Camera(str(devices / "video0"), CameraConfig(), api=cv2.CAP_FFMPEG)
    assert camera.open().name == f"camera {devices}/video0 (HD Webcam)"
    unplug(0)
    plug(0, "Another Cam")  # whoever takes the old number is not mistaken for it
    sink = RecordingSink()
    camera.start(sink)
    sink.wait_for(frames=FPS // 2)  # to the end of what it had
    time.sleep(1.0)
    assert sink.states[-1][0] is SourceState.RECONNECTING
    before = len(sink.frames)
    plug(4, "HD Webcam")
    sink.wait_for(frames=before + 1)
    camera.stop()
    assert sink.counts()[Event.RECONNECT] == 1
    assert sink.discontinuities[0][0] == "reconnect"


def open_files() -> set[str]:
    """Paths this process holds open (Linux); a descriptor may vanish while it is looked at."""
    links = (str(link) for link in Path("/proc/self/fd").iterdir())
    return {os.readlink(link) for link in links if os.path.lexists(link)}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc to see open files")
def test_stop_before_start_frees_the_device_and_may_come_twice(stand: _Stand) -> None:
    def held() -> bool:
        return any(path.endswith("camera.mp4") for path in open_files())

    stand.camera.open()
    assert held()
    stand.camera.stop()
    assert not held()
    stand.camera.stop()
    assert stand.camera.open().width_px == 96
    stand.camera.stop()


def test_settings_that_were_not_granted_are_noted(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "camera.mp4", 1.0, audio="")
    camera = Camera(str(path), CameraConfig(width_px=640, height_px=480), api=cv2.CAP_FFMPEG)
    notes = camera.open().notes
    camera.stop()
    assert "asked for 640x480, the camera gives 96x64" in notes
    assert "asked for 30 Hz, the camera gives 25 Hz" in notes
