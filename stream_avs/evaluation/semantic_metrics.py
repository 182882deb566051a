"""mIoU and F of AVSBench-semantic, as the published code scores them.

IoU and F are taken per frame and class from the hard mask, averaged per class over the frames in
which the class is predicted or labelled, then over classes. There is no batch effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_avs.evaluation.metrics import f_measure

IOU_EPS = 2.22e-16


@dataclass(frozen=True, kw_only=True, slots=True)
class SemanticScores:
    """All in 0..1 but the counts.

    Attributes:
        miou: mean over all classes with the background; classes never seen count as 0, as published.
        f: the same of F.
        miou_no_background: without class 0. (The published variant of that name leaves out the last
            class instead.)
        f_no_background: the same of F.
        miou_seen: mean over the classes, without background, that were predicted or labelled.
        f_seen: the same of F.
        class_iou: one per class; NaN for classes never seen.
        class_f: one per class; NaN for classes never seen.
        silent_alarm_rate: share of frames without any labelled pixel on which a pixel is masked.
        silent_alarm_area: mean share of such a frame that is masked.
        clips: clips with at least one scored frame.
        frames: scored frames, padding included if it was scored.
        padded_frames: scored frames that are padding.
        silent_frames: scored real frames without any labelled pixel.
    """

    miou: float
    f: float
    miou_no_background: float
    f_no_background: float
    miou_seen: float
    f_seen: float
    class_iou: tuple[float, ...]
    class_f: tuple[float, ...]
    silent_alarm_rate: float
    silent_alarm_area: float
    clips: int
    frames: int
    padded_frames: int
    silent_frames: int


class SemanticMetrics:
    """Adds up scores batch by batch.

    Args:
        classes: number of classes with the background, 71 for AVSS.
        score_padding: score padded frames too, predicted and labelled background, as the published
            code does; this raises the background's score a little.
    """

    def __init__(self, classes: int = 71, *, score_padding: bool = False) -> None:
        self.classes = classes
        self.score_padding = score_padding
        self._iou = np.zeros(classes)
        self._f = np.zeros(classes)
        self._counted = np.zeros(classes)
        self._clips = self._frames = self._padded = self._silent = self._alarms = 0
        self._alarm_area = 0.0

    def update(
        self, predicted: ArrayLike, mask: ArrayLike, mask_valid: ArrayLike, frame_valid: ArrayLike
    ) -> None:
        """Add one batch.

        Args:
            predicted: int [B, T, H, W], class ids.
            mask: int [B, T, H, W], class ids.
            mask_valid: bool [B, T], frames with a label.
            frame_valid: bool [B, T], False for padding.

        Raises:
            ValueError: shapes differ, or an id is not a class.
        """
        p, m = np.asarray(predicted), np.asarray(mask)
        labelled, real = np.asarray(mask_valid, np.bool_), np.asarray(frame_valid, np.bool_)
        if p.ndim != 4 or p.shape != m.shape or labelled.shape != p.shape[:2] or real.shape != p.shape[:2]:
            raise ValueError(f"predicted {list(p.shape)} and mask {list(m.shape)} are not one [B, T, H, W]")
        for name, ids in (("predicted", p), ("mask", m)):
            if ids.size and not (ids.min() >= 0 and ids.max() < self.classes):
                raise ValueError(
                    f"{name} holds ids {ids.min()}..{ids.max()}, classes are 0..{self.classes - 1}"
                )
        self._clips += int((labelled & real).any(axis=1).sum())
        for b, t in np.argwhere(labelled & real):
            self._add(p[b, t], m[b, t])
            if not m[b, t].any():
                area = np.count_nonzero(p[b, t]) / p[b, t].size
                self._silent += 1
                self._alarms += area > 0
                self._alarm_area += area
        if self.score_padding:
            empty = np.zeros(p.shape[2:], np.int64)
            for _ in range(int((~real).sum())):
                self._add(empty, empty)
                self._padded += 1

    def merge(self, other: SemanticMetrics) -> None:
        """Add what another process has added up."""
        self._iou = self._iou + other._iou
        self._f = self._f + other._f
        self._counted = self._counted + other._counted
        self._clips += other._clips
        self._frames += other._frames
        self._padded += other._padded
        self._silent += other._silent
        self._alarms += other._alarms
        self._alarm_area += other._alarm_area

    def compute(self) -> SemanticScores:
        """Return the scores of everything added so far."""
        seen = self._counted > 0
        times = np.maximum(self._counted, 1)
        iou, f = self._iou / times, self._f / times  # 0 where never seen
        foreground = seen.copy()
        foreground[0] = False
        return SemanticScores(
            miou=float(iou.mean()),
            f=float(f.mean()),
            miou_no_background=float(iou[1:].mean()),
            f_no_background=float(f[1:].mean()),
            miou_seen=float(iou[foreground].mean()) if foreground.any() else float("nan"),
            f_seen=float(f[foreground].mean()) if foreground.any() else float("nan"),
            class_iou=tuple(np.where(seen, iou, np.nan).tolist()),
            class_f=tuple(np.where(seen, f, np.nan).tolist()),
            silent_alarm_rate=self._alarms / self._silent if self._silent else float("nan"),
            silent_alarm_area=self._alarm_area / self._silent if self._silent else float("nan"),
            clips=self._clips,
            frames=self._frames,
            padded_frames=self._padded,
            silent_frames=self._silent,
        )

    def _add(self, predicted: NDArray, mask: NDArray) -> None:
        """Add one frame [H, W]."""
        p, m = predicted.ravel(), mask.ravel()
        both = np.bincount(m[p == m], minlength=self.classes).astype(np.float64)
        area_p = np.bincount(p, minlength=self.classes)
        area_m = np.bincount(m, minlength=self.classes)
        union = area_p + area_m - both
        self._iou += both / (union + IOU_EPS)
        self._f += f_measure(both, area_p, area_m)
        self._counted += union > 0
        self._frames += 1
