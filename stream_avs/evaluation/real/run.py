"""Run a stream model up to each annotated frame, as it would have run live, and score the mask."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.files import read_audio
from stream_avs.errors import DatasetError
from stream_avs.evaluation.metrics import f_measure
from stream_avs.evaluation.real.annotations import RealFrame
from stream_avs.evaluation.windows import one_frame
from stream_avs.models.base import AnyModel, Decision, Stages
from stream_avs.types import Window

SCORED_SHAPE = (320, 320)
STEPS = 20
"""Frames that lead to the annotated one, itself included; fewer where the clip has just begun."""
SPACING_S = 0.12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Approach:
    """The frames that lead to an annotated one, and the audio up to each.

    Attributes:
        frame: the annotation.
        times_s: of the frames.
        images: uint8 [H, W, 3] each.
        audio: float32 [n], mono, from the start of the clip.
        sample_rate_hz: of `audio`.
    """

    frame: RealFrame
    times_s: tuple[float, ...]
    images: tuple[NDArray[np.uint8], ...]
    audio: NDArray[np.float32]
    sample_rate_hz: int

    def window(self, step: int, context_s: float) -> Window:
        """What a model of one frame per window sees at a step."""
        count = round(context_s * self.sample_rate_hz)
        end = round(self.times_s[step] * self.sample_rate_hz)
        heard = self.audio[max(0, end - count) : end]
        row = np.pad(heard, (count - len(heard), 0)).astype(np.float32)
        return one_frame(
            self.images[step], row,
            time_s=self.times_s[step], seq=step, sample_rate_hz=self.sample_rate_hz,
            coverage=len(heard) / count,
        )  # fmt: skip


def load_approaches(
    frames: Sequence[RealFrame], folder: Path, sample_rate_hz: int, steps: int = STEPS
) -> list[Approach]:
    """Decode what leads to each frame; clips that are not in the folder raise.

    Raises:
        DatasetError: a clip is missing or shorter than its annotation.
    """
    result = []
    for file in dict.fromkeys(f.file for f in frames):
        path = folder / file
        if not path.is_file():
            raise DatasetError(f"{path} does not exist", "Get the clip from the origin its annotation names")
        audio = read_audio(path, sample_rate_hz)
        wanted = [f for f in frames if f.file == file]
        times = {f.time_s: _times(f.time_s, steps) for f in wanted}
        images = _decode(path, sorted({t for ts in times.values() for t in ts}))
        for frame in wanted:
            chosen = tuple(images[t] for t in times[frame.time_s])
            result.append(
                Approach(
                    frame=frame,
                    times_s=times[frame.time_s],
                    images=chosen,
                    audio=audio,
                    sample_rate_hz=sample_rate_hz,
                )
            )
    return result


def run_model(model: AnyModel, approach: Approach) -> Decision:
    """Step a model through one approach; returns its last decision."""
    state = model.initial_state()
    decision = None
    for step in range(len(approach.times_s)):
        decision, state = model.step(approach.window(step, model.context_s), state, Stages())
    assert decision is not None
    return decision


def score(
    approaches: Sequence[Approach], folder: Path, decisions: Sequence[Decision]
) -> dict[str, dict[str, float]]:
    """Score the decision for each approach.

    Returns:
        By kind, and for kind "class" also by clip: j (class ids compared), j_any (what class
        does not matter), f, area (masked share of the frame), alarms (share of frames with more
        than 1 % masked), frames.
    """
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for approach, decision in zip(approaches, decisions, strict=True):
        mask = enlarged(decision.mask)
        truth = approach.frame.class_mask(SCORED_SHAPE, folder)
        row = frame_scores(mask, truth)
        rows[approach.frame.kind].append(row)
        if approach.frame.kind == "class":
            rows[f"class {approach.frame.clip}"].append(row)
    names = ("j", "j_any", "f", "area", "alarms")
    table = {}
    for kind, values in rows.items():
        means = np.mean(values, axis=0)
        table[kind] = {**{n: float(v) for n, v in zip(names, means, strict=True)}, "frames": len(values)}
    return table


def frame_scores(mask: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[float, ...]:
    """(j, j_any, f, area, alarm) of one frame; masks are class ids of equal shape."""
    hit, union = (mask == truth) & (truth > 0), (mask > 0) | (truth > 0)
    both = (mask > 0) & (truth > 0)
    area = float((mask > 0).mean())
    empty = not truth.any()
    j = float(hit.sum() / union.sum()) if union.any() else 1.0
    j_any = float(both.sum() / union.sum()) if union.any() else 1.0
    f = 0.0 if empty else float(f_measure(both.sum(), (mask > 0).sum(), (truth > 0).sum()))
    return j, j_any, f, area, float(area > 0.01)


def enlarged(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A mask at `SCORED_SHAPE`."""
    rows = (np.arange(SCORED_SHAPE[0]) * mask.shape[0]) // SCORED_SHAPE[0]
    columns = (np.arange(SCORED_SHAPE[1]) * mask.shape[1]) // SCORED_SHAPE[1]
    return mask[rows[:, None], columns[None]]


def _times(time_s: float, steps: int) -> tuple[float, ...]:
    times = [time_s - k * SPACING_S for k in range(steps)]
    return tuple(reversed([round(t, 4) for t in times if t >= 0]))


def _decode(path: Path, times_s: list[float]) -> dict[float, NDArray[np.uint8]]:
    """The first frame at or after each time."""
    images: dict[float, NDArray[np.uint8]] = {}
    left = list(times_s)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        origin = stream.start_time or 0
        last = None
        for frame in container.decode(stream):
            assert stream.time_base is not None
            if frame.pts is None:
                continue
            at = float((frame.pts - origin) * stream.time_base)
            last = frame
            while left and at >= left[0] - 1e-3:
                images[left.pop(0)] = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if not left:
                break
        if left and last is not None and left[0] - at < 0.2:
            for time in left:
                images[time] = np.asarray(last.to_ndarray(format="rgb24"), np.uint8)
            left = []
    if left:
        raise DatasetError(f"{path} ends before {left[0]} s", "Get the clip that was annotated")
    return images
