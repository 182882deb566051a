"""Outlines of what sounds in frames of real clips, as JSON; the clips themselves are elsewhere.

    {"version": 1,
     "clips": {name: {"repository", "path", "commit", "licence", "folder"}},
     "frames": [{"clip", "time_s", "kind", "sources": [{"label", "class_id", "polygons"}]}]}

Polygons are in shares of width and height. `class_id` is a Pascal VOC id, or null for things that
no class stands for. A source may name a "mask" file beside the clips instead of polygons.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.files import read_index
from stream_avs.errors import DatasetError
from stream_avs.json_input import decode_json

BUNDLED = Path(str(importlib.resources.files(__package__))) / "frames.json"
KINDS = ("class", "other", "silent", "off_screen")
"""What sounds: an object of a class; something visible without a class; nothing; nothing visible."""
VERSION = 1

Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Something that sounds.

    Attributes:
        label: what it is.
        class_id: VOC id, or None.
        polygons: corners (x, y) in 0..1.
        mask: file of a mask, relative to the folder of the clips; "" for none.
    """

    label: str
    class_id: int | None
    polygons: tuple[Polygon, ...] = ()
    mask: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealFrame:
    """One annotated frame.

    Attributes:
        clip: file name.
        file: path relative to the folder of the clips.
        time_s: from the start of the clip.
        kind: one of `KINDS`.
        sources: what sounds and is seen.
    """

    clip: str
    file: str
    time_s: float
    kind: str
    sources: tuple[Source, ...]

    def class_mask(self, shape: tuple[int, int], folder: Path) -> NDArray[np.uint8]:
        """VOC ids of what sounds and has a class, uint8 [h, w]."""
        mask = np.zeros(shape, np.uint8)
        for source in self.sources:
            if source.class_id is not None:
                mask[self._inside(source, shape, folder)] = source.class_id
        return mask

    def _inside(self, source: Source, shape: tuple[int, int], folder: Path) -> NDArray[np.bool_]:
        if source.mask:
            pixels = read_index(folder / source.mask)
            return cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0
        canvas = np.zeros(shape, np.uint8)
        size = np.array(shape[::-1], np.float64)
        for polygon in source.polygons:
            cv2.fillPoly(canvas, [np.round(np.array(polygon) * size).astype(np.int32)], 1)
        return canvas > 0


def read_annotations(path: Path = BUNDLED) -> list[RealFrame]:
    """Read and check a file.

    Raises:
        DatasetError: it is missing or says something impossible; names the frame.
    """
    try:
        content = decode_json(path.read_bytes())
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']}")
        return [_frame(k, entry, content["clips"]) for k, entry in enumerate(content["frames"])]
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist", "Check the path") from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise DatasetError(f"{path} is not a table of annotated frames ({error})", "Correct it") from None


def _frame(number: int, entry: dict, clips: dict) -> RealFrame:
    clip, kind = entry["clip"], entry["kind"]
    where = f"frame {number} of {clip}"
    if kind not in KINDS:
        raise ValueError(f"{where}: kind {kind!r}")
    if not entry["time_s"] > 0:
        raise ValueError(f"{where}: time {entry['time_s']}")
    sources = tuple(_source(where, source) for source in entry["sources"])
    if (kind == "class") != any(s.class_id is not None for s in sources):
        raise ValueError(f"{where}: kind {kind!r} does not fit its sources")
    return RealFrame(
        clip=clip,
        file=f"{clips[clip]['folder']}/{clip}",
        time_s=float(entry["time_s"]),
        kind=kind,
        sources=sources,
    )


def _source(where: str, entry: dict) -> Source:
    class_id = entry["class_id"]
    if class_id is not None and not 1 <= class_id <= 20:
        raise ValueError(f"{where}: class {class_id}")
    polygons = tuple(tuple((float(x), float(y)) for x, y in p) for p in entry.get("polygons", ()))
    for polygon in polygons:
        if len(polygon) < 3 or not all(0 <= v <= 1 for corner in polygon for v in corner):
            raise ValueError(f"{where}: polygon {polygon[:2]}... has under 3 corners or leaves the picture")
    return Source(
        label=str(entry["label"]), class_id=class_id, polygons=polygons, mask=str(entry.get("mask", ""))
    )
