"""A picture of pictures: frames that may be shown, what should sound, and the masks of some presets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.files import write_image
from stream_avs.evaluation.real.annotations import RealFrame, read_annotations
from stream_avs.evaluation.real.run import enlarged, load_approaches, run_model
from stream_avs.models.base import AnyModel, Stages
from stream_avs.training.nano.assets import RATE_HZ, Assets
from stream_avs.training.nano.exam import draw_streams
from stream_avs.training.nano.report import EXAM_SEED, open_model

FREE = "clips/free/"
TILE = (136, 208)
COLOURS = {"truth": (60, 220, 60), "mask": (230, 40, 40)}
_PER_CLIP = 2
_COLUMNS = 2


def write_sheet(data: Path, out: Path, presets: Sequence[str], streams: int = 4) -> int:
    """Write the sheet: free real frames, then frames of composed streams; returns how many rows."""
    models = {name: open_model(name, 2) for name in presets}
    strips = [_header(presets)] * _COLUMNS
    for frame in _free_frames():
        (approach,) = load_approaches([frame], data, RATE_HZ)
        masks = [enlarged(run_model(model, approach).mask) for model in models.values()]
        truth = frame.class_mask(masks[0].shape, data)
        strips.append(_strip(approach.images[-1], truth, masks, frame.clip.split(".")[0]))
    for stream in draw_streams(Assets(data, "test"), streams, 4, EXAM_SEED):
        shown: dict[int, list[NDArray[np.uint8]]] = {k: [] for k in range(6, len(stream.images), 12)}
        for model in models.values():
            for k, mask in _masks_at(model, stream.windows(), set(shown)).items():
                shown[k].append(enlarged(mask))
        for k, masks in shown.items():
            truth = enlarged(np.where(stream.target[k] == 255, 0, stream.target[k]).astype(np.uint8))
            strips.append(_strip(stream.images[k], truth, masks, f"composed: {stream.kinds[k]}"))
    while len(strips) % _COLUMNS:
        strips.append(np.zeros_like(strips[-1]))
    columns = [np.vstack(strips[c::_COLUMNS]) for c in range(_COLUMNS)]
    sheet = np.hstack(columns)
    write_image(out, np.asarray(sheet, np.uint8))
    return len(strips)


def _free_frames() -> list[RealFrame]:
    chosen: dict[str, list[RealFrame]] = {}
    for frame in read_annotations():
        if frame.file.startswith(FREE):
            chosen.setdefault(f"{frame.clip} {frame.kind}", []).append(frame)
    return [f for frames in chosen.values() for f in frames[:_PER_CLIP]]


def _masks_at(model: AnyModel, windows: list, wanted: set[int]) -> dict[int, NDArray[np.uint8]]:
    state, masks = model.initial_state(), {}
    for k, window in enumerate(windows):
        decision, state = model.step(window, state, Stages())
        if k in wanted:
            masks[k] = decision.mask
    return masks


def _header(presets: Sequence[str]) -> NDArray[np.uint8]:
    strip = np.zeros((20, TILE[1] * (1 + len(presets)), 3), np.uint8)
    for k, name in enumerate(("should sound", *presets)):
        cv2.putText(strip, name, (k * TILE[1] + 4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
    return strip


def _strip(
    image: NDArray[np.uint8], truth: NDArray[np.uint8], masks: Sequence[NDArray[np.uint8]], caption: str
) -> NDArray[np.uint8]:
    tiles = [_tinted(image, truth, COLOURS["truth"]), *(_tinted(image, m, COLOURS["mask"]) for m in masks)]
    cv2.putText(tiles[0], caption, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return np.hstack(tiles)


def _tinted(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    size = TILE[::-1]
    picture = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    inside = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT) > 0
    tinted = picture.copy()
    tinted[inside] = np.round(0.5 * picture[inside] + 0.5 * np.array(colour)).astype(np.uint8)
    edges, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(tinted, edges, -1, colour, 1), np.uint8)
