"""The exposure a V4L2 camera is set to: a calibrated shift holds for one exposure only.

Read with the control ioctl on a second handle, which the kernel allows while the camera streams.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

VIDIOC_G_CTRL = 0xC008561B
"""_IOWR('V', 27, struct v4l2_control): two 32-bit numbers, control and value (linux/videodev2.h)."""

V4L2_CID_EXPOSURE_AUTO = 0x009A0901
V4L2_CID_EXPOSURE_ABSOLUTE = 0x009A0902
"""In units of 0.1 ms (linux/v4l2-controls.h)."""

MANUAL_MODES = (1, 2)
"""V4L2_EXPOSURE_MANUAL and V4L2_EXPOSURE_SHUTTER_PRIORITY; the others let the camera choose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """What a camera says of its exposure; None where it does not say.

    Attributes:
        time_ms: exposure time; under automatic exposure many drivers report the last manual one.
        automatic: whether the camera changes it by itself.
    """

    time_ms: float | None
    automatic: bool | None


def read_exposure(device: Path) -> Exposure | None:
    """Return what the camera at e.g. /dev/video0 says; None where V4L2 is not to be had."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        mode = _control(handle, V4L2_CID_EXPOSURE_AUTO)
        time_100us = _control(handle, V4L2_CID_EXPOSURE_ABSOLUTE)
    finally:
        os.close(handle)
    if mode is None and time_100us is None:
        return None
    return Exposure(
        time_ms=None if time_100us is None else time_100us / 10.0,
        automatic=None if mode is None else mode not in MANUAL_MODES,
    )


def _control(handle: int, control: int) -> int | None:
    import fcntl

    request = struct.pack("Ii", control, 0)
    try:
        answer = fcntl.ioctl(handle, VIDIOC_G_CTRL, request)
    except OSError as error:
        # No such control, or no camera at all behind this file.
        if error.errno in (errno.EINVAL, errno.ENOTTY, errno.EACCES, errno.EBUSY, errno.ENODEV):
            return None
        raise
    return int(struct.unpack("Ii", answer)[1])
