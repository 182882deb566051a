"""Where a mask is in the world: the camera's pose at capture time, and rays through mask pixels.

A mask is tens of milliseconds old when it arrives, and a head turns 10 degrees in that time. So an
AR client keeps a short history of its poses and asks for the one at `t_capture_ns`; projected with
the pose of now, the mask would trail behind. NumPy only; copy it into your project.

Conventions: a pose is camera to world; camera frames are optical (REP-103): x right, y down, z forward;
quaternions are (x, y, z, w); pixel coordinates have integers on pixel centres, as in ../WIRE.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Affine = tuple[float, float, float, float, float, float]

_UNDISTORT_STEPS = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """Camera to world: `p_world = rotate(rotation, p_camera) + position`."""

    position: Vector
    rotation: Vector
    """Unit quaternion (x, y, z, w)."""

    def to_world(self, points: Vector) -> Vector:
        """Points [..., 3] of the camera frame in the world frame."""
        return rotate(self.rotation, points) + self.position

    def to_camera(self, points: Vector) -> Vector:
        """Points [..., 3] of the world frame in the camera frame."""
        return rotate(self.rotation * (-1, -1, -1, 1), points - self.position)


class PoseHistory:
    """Poses of the last seconds, by time.

    Args:
        span_s: how far back it reaches; a few times the age of masks.
        reach_s: how far beyond the newest pose `at` still answers, with the newest.
    """

    def __init__(self, span_s: float = 2.0, reach_s: float = 0.02) -> None:
        self._span_ns = round(span_s * 1e9)
        self._reach_ns = round(reach_s * 1e9)
        self._stamps: deque[int] = deque()
        self._poses: deque[Pose] = deque()

    def add(self, stamp_ns: int, pose: Pose) -> None:
        """Remember the pose at `stamp_ns`, on the clock of `t_capture_ns`.

        Raises:
            ValueError: not later than the newest.
        """
        if self._stamps and stamp_ns <= self._stamps[-1]:
            raise ValueError(f"stamp {stamp_ns} is not later than {self._stamps[-1]}")
        self._stamps.append(stamp_ns)
        self._poses.append(pose)
        while self._stamps[0] < stamp_ns - self._span_ns:
            self._stamps.popleft()
            self._poses.popleft()

    def at(self, stamp_ns: int) -> Pose:
        """The pose at `stamp_ns`: position between its neighbours in a line, rotation along the arc.

        Raises:
            LookupError: older than the history, or too far beyond the newest pose.
        """
        if not self._stamps or not self._stamps[0] <= stamp_ns <= self._stamps[-1] + self._reach_ns:
            raise LookupError(f"no pose is known at {stamp_ns} ns")
        k = bisect_left(self._stamps, stamp_ns)
        if k == len(self._stamps):
            return self._poses[-1]
        if self._stamps[k] == stamp_ns:
            return self._poses[k]
        share = (stamp_ns - self._stamps[k - 1]) / (self._stamps[k] - self._stamps[k - 1])
        before, after = self._poses[k - 1], self._poses[k]
        return Pose(
            position=before.position + share * (after.position - before.position),
            rotation=slerp(before.rotation, after.rotation, share),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """Intrinsics of the source image, as in a ROS camera_info file with `plumb_bob` distortion.

    Attributes:
        matrix: K, float [3, 3].
        distortion: k1, k2, p1, p2, k3; all zero for a rectified image.
    """

    matrix: Vector
    distortion: Vector = field(default_factory=lambda: np.zeros(5))

    @classmethod
    def from_ros(cls, info: dict[str, Any]) -> Camera:
        """Read the mapping of a camera_info YAML file.

        Raises:
            ValueError: not calibrated, or of another distortion model.
        """
        matrix = np.array(info["camera_matrix"]["data"], np.float64).reshape(3, 3)
        if matrix[0, 0] == 0 or info["distortion_model"] != "plumb_bob":
            raise ValueError(f"camera is uncalibrated, or its model is {info['distortion_model']}")
        return cls(
            matrix=matrix, distortion=np.array(info["distortion_coefficients"]["data"], np.float64)[:5]
        )

    def rays(self, pixels: Vector) -> Vector:
        """Unit vectors [..., 3] in the camera frame through source pixels [..., 2]."""
        seen = (pixels - self.matrix[:2, 2]) / np.diag(self.matrix)[:2]
        plane = seen.copy()
        for _ in range(_UNDISTORT_STEPS):
            plane = plane + seen - self._distort(plane)
        rays = np.concatenate((plane, np.ones((*plane.shape[:-1], 1))), axis=-1)
        return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))

    def pixels(self, points: Vector) -> Vector:
        """Source pixels [..., 2] of points [..., 3] in the camera frame; NaN behind the camera."""
        depth = np.where(points[..., 2:] > 0, points[..., 2:], np.nan)
        plane = self._distort(points[..., :2] / depth)
        return np.asarray(plane * np.diag(self.matrix)[:2] + self.matrix[:2, 2])

    def _distort(self, plane: Vector) -> Vector:
        k1, k2, p1, p2, k3 = self.distortion
        x, y = plane[..., 0], plane[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        return np.stack((u, v), axis=-1)


def mask_to_source(transform: Affine, pixels: Vector) -> Vector:
    """Source pixels [..., 2] of mask pixels [..., 2]; `transform` as in the header."""
    matrix = np.array(transform, np.float64).reshape(2, 3)
    return np.asarray(pixels @ matrix[:, :2].T + matrix[:, 2])


def source_to_mask(transform: Affine, pixels: Vector) -> Vector:
    """Mask pixels [..., 2] of source pixels [..., 2]: the inverse of `mask_to_source`."""
    matrix = np.array(transform, np.float64).reshape(2, 3)
    return np.asarray((pixels - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)


def rotate(rotation: Vector, points: Vector) -> Vector:
    """Points [..., 3] turned by a unit quaternion (x, y, z, w)."""
    axis, w = rotation[:3], rotation[3]
    across = 2 * np.cross(axis, points)
    return np.asarray(points + w * across + np.cross(axis, across))


def slerp(a: Vector, b: Vector, share: float) -> Vector:
    """Unit quaternion a `share` of the shorter way from `a` to `b`."""
    cosine = float(a @ b)
    if cosine < 0:
        b, cosine = -b, -cosine
    if cosine > 1 - 1e-9:
        mixed = a + share * (b - a)
        return np.asarray(mixed / np.linalg.norm(mixed))
    angle = np.arccos(cosine)
    return np.asarray((np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle))
