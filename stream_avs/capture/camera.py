"""Cameras of this machine, through OpenCV.

A thread of its own drains the camera always: whoever reads late from a driver's queue gets old
pictures. On Linux the driver's own stamp is used, taken when the picture was, not when it reached us.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.camera_list import CameraInfo, describe, list_cameras
from stream_avs.capture.reconnect import Reconnect
from stream_avs.capture.worker import Worker
from stream_avs.clock import MonotonicClock, monotonic_ns
from stream_avs.config import CameraConfig, ReconnectConfig
from stream_avs.errors import SourceError, missing_package
from stream_avs.types import NS_PER_MS, NS_PER_S, Event, Image, StampSource

__all__ = ["Camera", "CameraInfo", "choose_stamp", "list_cameras"]

TRIAL_FRAMES = 5
"""So many frames are read to see that pictures come, and which clock their stamps are on."""

OLDEST_STAMP_NS = NS_PER_S
"""A stamp older than this when its frame arrives is on another clock than ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One picture as OpenCV gave it.

    Attributes:
        image: uint8 [H, W, 3] BGR; reused for the next one.
        driver_ns: the driver's stamp on whatever clock it uses.
        arrival_ns: when it was there for us, monotonic.
    """

    image: Image
    driver_ns: int
    arrival_ns: int


def plausible(driver_ns: int, arrival_ns: int) -> bool:
    """Whether a driver's stamp can be a monotonic time: less than a second before its arrival."""
    return 0 <= arrival_ns - driver_ns < OLDEST_STAMP_NS


def choose_stamp(stamps_ns: Sequence[tuple[int, int]]) -> StampSource:
    """Decide from the first frames whether the driver's stamps are to be believed.

    Args:
        stamps_ns: (driver's stamp, arrival) per frame, in order.

    Returns:
        DRIVER if all stamps are `plausible` and grow from frame to frame; ARRIVAL otherwise.
    """
    in_reach = all(plausible(driver, arrival) for driver, arrival in stamps_ns)
    growing = all(a < b for (a, _), (b, _) in itertools.pairwise(stamps_ns))
    return StampSource.DRIVER if stamps_ns and in_reach and growing else StampSource.ARRIVAL


def differences(
    asked: CameraConfig, width_px: int, height_px: int, fps: float, fourcc: str
) -> tuple[str, ...]:
    """Say, one line each, what the camera gives instead of what it was asked for; 0 and "" are unknown."""
    notes = []
    if (width_px, height_px) != (asked.width_px, asked.height_px):
        notes.append(f"asked for {asked.width_px}x{asked.height_px}, the camera gives {width_px}x{height_px}")
    if fps and abs(fps - asked.fps) > 0.5:
        notes.append(f"asked for {asked.fps:g} Hz, the camera gives {fps:g} Hz")
    if asked.fourcc and fourcc and fourcc.upper() != asked.fourcc.upper():
        notes.append(f"asked for {asked.fourcc}, the camera gives {fourcc}")
    return tuple(notes)


def import_cv2() -> Any:
    """Return the `cv2` module; raises MissingPackageError when OpenCV is not installed."""
    try:
        import cv2
    except ImportError:
        raise missing_package("cv2 (OpenCV)", "live") from None
    return cv2


class Camera:
    """A source that reads a camera; lost, it is looked for and opened again.

    A camera that comes back under another number, as they do when replugged, is known by its name.

    Args:
        device: index, or path such as "/dev/video2".
        config: what to ask the camera for.
        reconnect: delays between attempts to open it again.
        clock: the monotonic clock.
        api: OpenCV's number of the capture API; None for V4L2 on Linux and OpenCV's choice elsewhere.
    """

    def __init__(
        self,
        device: int | str,
        config: CameraConfig | None = None,
        reconnect: ReconnectConfig | None = None,
        *,
        clock: MonotonicClock = monotonic_ns,
        api: int | None = None,
    ) -> None:
        self._device = device
        self._config = config or CameraConfig()
        self._reconnect_config = reconnect or ReconnectConfig()
        self._clock = clock
        self._api = api
        self._capture: Any = None
        self._stamp_source = StampSource.ARRIVAL
        self._worker: Worker | None = None
        self._name = f"camera {device}"
        self._identity = ""

    def open(self) -> SourceInfo:
        """Open the camera and read a few frames; see `Source.open`.

        Raises:
            SourceError: there is no such camera (the message lists those there are), it is in use,
                or no picture comes.
            MissingPackageError: OpenCV is not installed.
        """
        cameras = list_cameras()
        mine = [c for c in cameras if self._device in (c.index, c.path)]
        if mine:
            self._identity = mine[0].name
            self._name = f"camera {self._device} ({self._identity})"
        self._capture = self._open_capture()
        if self._capture is None:
            raise SourceError(f"cannot open {self._name}", self._next_step(cameras))
        shots = [self._shoot() for _ in range(TRIAL_FRAMES)]
        trial = [(shot.driver_ns, shot.arrival_ns) for shot in shots if shot is not None]
        if len(trial) < TRIAL_FRAMES:
            self._release()
            raise SourceError(
                f"{self._name} opens but delivers no pictures",
                "Close other programs that use it, or replug it",
            )
        self._stamp_source = choose_stamp(trial)
        last = shots[-1]
        assert last is not None
        return self._describe(last.image)

    def start(self, sink: Sink) -> None:
        """Begin to capture; see `Source.start`."""
        if self._capture is None:
            raise RuntimeError("start() before open()")
        self._worker = Worker(self._name, lambda stop: self._run(sink, stop), sink)
        self._worker.start()

    def stop(self) -> None:
        """End capture; see `Source.stop`. A driver that hangs is let go of when its call returns."""
        if self._worker is not None:
            self._worker.stop()
        else:
            self._release()

    def _run(self, sink: Sink, stop: threading.Event) -> None:
        cv2 = import_cv2()
        rgb: Image | None = None
        reconnect = Reconnect(self._name, self._reconnect_config, sink, self._clock)
        try:
            while not stop.is_set():
                shot = self._shoot()
                if stop.is_set():
                    return
                if shot is None:
                    self._reopen(reconnect, sink, stop)
                    continue
                rgb = cv2.cvtColor(shot.image, cv2.COLOR_BGR2RGB, dst=rgb)
                stamp_ns, stamp_source = self._stamp(shot, sink)
                sink.frame(
                    rgb,
                    stamp_ns,
                    shot.arrival_ns,
                    frame_id=self._config.frame_id,
                    stamp_source=stamp_source,
                )
        finally:
            self._release()

    def _stamp(self, shot: Shot, sink: Sink) -> tuple[int, StampSource]:
        if self._stamp_source is StampSource.ARRIVAL:
            return shot.arrival_ns, StampSource.ARRIVAL
        if not plausible(shot.driver_ns, shot.arrival_ns):
            off_ms = (shot.arrival_ns - shot.driver_ns) / NS_PER_MS
            sink.event(Event.CLOCK_OUTLIER, shot.arrival_ns, f"driver stamp {off_ms:.0f} ms before arrival")
            return shot.arrival_ns, StampSource.ARRIVAL
        return shot.driver_ns, StampSource.DRIVER

    def _shoot(self) -> Shot | None:
        """Wait for the next picture; None if the camera is lost."""
        cv2 = import_cv2()
        if not self._capture.grab():
            return None
        arrival_ns = self._clock()
        # After grab() V4L2 reports the stamp of the driver's buffer here, on CLOCK_MONOTONIC as a rule.
        driver_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * NS_PER_MS)
        there, image = self._capture.retrieve()
        if not there or image is None or image.ndim != 3:
            return None
        return Shot(image=image, driver_ns=driver_ns, arrival_ns=arrival_ns)

    def _reopen(self, reconnect: Reconnect, sink: Sink, stop: threading.Event) -> None:
        """Open the camera again, until it delivers a picture or `stop` is set."""
        self._release()
        here = _Appearance(self._whereabouts)
        for _ in reconnect.attempts(f"lost {self._name}; opening it again", stop, here.changed):
            device = self._whereabouts()
            if device is None:
                continue
            self._device = device
            self._capture = self._open_capture()
            if self._capture is None:
                continue
            if self._shoot() is None:
                self._release()
            elif not stop.is_set():
                sink.discontinuity("reconnect", reconnect.back())

    def _whereabouts(self) -> int | str | None:
        """Where the camera is to be opened now; None while the system does not list it.

        Two cameras of one name cannot be told apart: then only the known number will do.
        """
        if not self._identity or sys.platform != "linux":
            return self._device
        same = [c for c in list_cameras() if c.name == self._identity]
        if any(self._device in (c.index, c.path) for c in same):
            return self._device
        if len(same) != 1:
            return None
        return same[0].path if isinstance(self._device, str) else same[0].index

    def _open_capture(self) -> Any:
        """Open the device and ask for the settings; None if it cannot be opened."""
        cv2 = import_cv2()
        default = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        # OpenCV would print several warnings for each camera that is not there.
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        capture = cv2.VideoCapture(self._device, default if self._api is None else self._api)
        cv2.utils.logging.setLogLevel(level)
        if not capture.isOpened():
            capture.release()
            return None
        if self._config.fourcc:
            # Before the size: most cameras offer large sizes only in MJPG.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self._config.fourcc))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._config.width_px)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._config.height_px)
        capture.set(cv2.CAP_PROP_FPS, self._config.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _describe(self, image: Image) -> SourceInfo:
        cv2 = import_cv2()
        height_px, width_px = image.shape[:2]
        fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        fourcc = code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace").strip("\0 ")
        notes = differences(self._config, width_px, height_px, fps, fourcc)
        if self._stamp_source is StampSource.ARRIVAL:
            notes += ("the driver gives no usable time stamps: frames are stamped when they arrive",)
        return SourceInfo(name=self._name, width_px=width_px, height_px=height_px, fps=fps, notes=notes)

    def _next_step(self, cameras: list[CameraInfo]) -> str:
        mine = [c for c in cameras if self._device in (c.index, c.path)]
        if mine:
            return f"It is there but {mine[0].note or 'in use or broken'}: close other programs that use it"
        return describe(cameras)


class _Appearance:
    """Notices when a camera that was not there appears.

    Args:
        where: says where it is, None while it is nowhere.
    """

    def __init__(self, where: Callable[[], int | str | None]) -> None:
        self._where = where
        self._was = where()

    def changed(self) -> bool:
        """True once, when it is there and was not, or is elsewhere."""
        before, self._was = self._was, self._where()
        return self._was is not None and self._was != before
