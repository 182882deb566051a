"""The cameras of this machine. On Linux from the kernel, without opening any stream."""

from __future__ import annotations

import os
import re
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSFS = Path("/sys/class/video4linux")
DEVICES = Path("/dev")
PROBED_INDEXES = 6
"""Where the system does not list cameras, so many indexes are tried."""

# linux/videodev2.h: VIDIOC_QUERYCAP = _IOR('V', 0, 104 bytes), VIDIOC_G_FMT = _IOWR('V', 4, 208 bytes)
VIDIOC_QUERYCAP = 0x80685600
VIDIOC_G_FMT = 0xC0D05604
CAPABILITY = struct.Struct("16s32s32s3I12x")
FORMAT = struct.Struct("I4x2I4s188x")
CAP_VIDEO_CAPTURE = 0x00000001
CAP_VIDEO_CAPTURE_MPLANE = 0x00001000
CAP_DEVICE_CAPS = 0x80000000
BUF_TYPE_VIDEO_CAPTURE = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraInfo:
    """One camera.

    Attributes:
        index: number for `--source camera:N`.
        path: device file, "" where there is none.
        name: what its driver calls it.
        width_px, height_px: its present picture size; 0 when not known without opening it.
        note: why it may not work, e.g. "permission denied"; "" when nothing is known.
    """

    index: int
    path: str
    name: str
    width_px: int = 0
    height_px: int = 0
    note: str = ""


def list_cameras(*, sysfs: Path = SYSFS, devices: Path = DEVICES) -> list[CameraInfo]:
    """Return the cameras, lowest index first; empty when there are none.

    Nodes that only carry metadata, output or encoders are left out.

    Args:
        sysfs: where the kernel lists video devices (Linux).
        devices: where their device files are (Linux).
    """
    if sys.platform != "linux":
        return _probe()
    found = []
    for entry in sysfs.glob("video*"):
        match = re.fullmatch(r"video(\d+)", entry.name)
        if match is None:
            continue
        try:
            name = (entry / "name").read_text().strip()
        except OSError:
            name = entry.name
        camera = _query(int(match.group(1)), devices / entry.name, name)
        if camera is not None:
            found.append(camera)
    return sorted(found, key=lambda camera: camera.index)


def describe(cameras: list[CameraInfo]) -> str:
    """One line for errors: what there is to choose from."""
    if not cameras:
        return "No camera was found; plug one in (on Linux, /dev/video* must be readable: group video)"
    return "Cameras here: " + ", ".join(f"camera:{c.index} ({c.name})" for c in cameras)


def captures_video(capability: bytes) -> bool:
    """Whether a v4l2_capability says that this node delivers pictures."""
    *_, everything, node = CAPABILITY.unpack(capability)
    flags = node if everything & CAP_DEVICE_CAPS else everything
    return bool(flags & (CAP_VIDEO_CAPTURE | CAP_VIDEO_CAPTURE_MPLANE))


def _query(index: int, path: Path, name: str) -> CameraInfo | None:
    """Ask the driver what a node is; None for one that delivers no pictures."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        return CameraInfo(index=index, path=str(path), name=name, note=(error.strerror or str(error)).lower())
    try:
        capability = bytearray(CAPABILITY.size)
        fcntl.ioctl(handle, VIDIOC_QUERYCAP, capability)
        if not captures_video(bytes(capability)):
            return None
        picture = bytearray(FORMAT.pack(BUF_TYPE_VIDEO_CAPTURE, 0, 0, b""))
        fcntl.ioctl(handle, VIDIOC_G_FMT, picture)
        _, width_px, height_px, _ = FORMAT.unpack(bytes(picture))
    except OSError:
        # Not every driver answers; the camera is listed all the same.
        width_px = height_px = 0
    finally:
        os.close(handle)
    return CameraInfo(index=index, path=str(path), name=name, width_px=width_px, height_px=height_px)


def _probe() -> list[CameraInfo]:
    from stream_avs.capture.camera import import_cv2

    cv2: Any = import_cv2()
    found = []
    for index in range(PROBED_INDEXES):
        capture = cv2.VideoCapture(index)
        if capture.isOpened():
            found.append(
                CameraInfo(
                    index=index,
                    path="",
                    name=f"camera {index}",
                    width_px=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
                    height_px=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
                )
            )
        capture.release()
    return found
