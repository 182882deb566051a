"""Scenes from real pictures and recordings: a folder of masked images and sounds.

    <root>/sound_classes.json          class name -> {"coco_category_id": id in the masks,
                                       "sound_folders": [...], "family": optional}
    <root>/masks/<set>/images/*.jpg    pictures
    <root>/masks/<set>/masks/*.png     the same names; pixel = id, 0 = nothing, 255 = crowd
    <root>/sounds/<folder>/*           recordings (wav, ogg, mp3, flac)

Pictures and recordings are split by their source: what is cut from one picture, and the takes of one
recording ("name-A", "name-B"), are all in one split.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.files import read_index, read_rgb
from stream_avs.datasets.sample import SPLITS
from stream_avs.datasets.scenes.sound_files import SUFFIXES, cut_sound
from stream_avs.datasets.scenes.source import Background, Sprite
from stream_avs.datasets.scenes.splits import split_assets
from stream_avs.errors import DatasetError, nearest
from stream_avs.json_input import decode_json

MAX_SIDE_PX = 384
"""Pictures are kept at most this large: scenes are small."""
MIN_AREA_SHARE = 0.008
MAX_AREA_SHARE = 0.7
MIN_SIDE_PX = 20
MAX_BORDER_SIDES = 1
CROWD = 255
MAX_CROWD_SHARE = 0.01
BACKGROUND_SHARE_MIN = 0.6
_CACHED_PICTURES = 512


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One masked image, not loaded."""

    image: Path
    mask: Path

    @property
    def name(self) -> str:
        return self.image.stem


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cutout:
    """Where an object is in a picture: its class, its box (y, x) and its pixels, bool [h, w]."""

    picture: Picture
    class_id: int
    box: tuple[slice, slice]
    inside: NDArray[np.bool_]


class AssetLibrary:
    """Everything found under a folder; `source` gives one split of it.

    Args:
        root: the folder.
        classes: names to use, in the order of their ids; None for all that have pictures or sounds.
        image_sets: folders under masks/ to use; None for all.

    Raises:
        DatasetError: the folder lacks a part, a name is unknown, or a mask cannot be read.
    """

    def __init__(
        self, root: Path, *, classes: Sequence[str] | None = None, image_sets: Sequence[str] | None = None
    ) -> None:
        table = _read_classes(root / "sound_classes.json")
        for name in classes or ():
            if name not in table:
                raise DatasetError(f"{root} has no class {name!r}", nearest(name, table).capitalize())
        chosen = {name: table[name] for name in (classes or table)}
        ids = {int(entry["coco_category_id"]): k for k, entry in enumerate(chosen.values(), start=1)}
        self.class_names = ("background", *chosen)
        self.families = {k: entry.get("family") for k, entry in enumerate(chosen.values(), start=1)}
        self.folders = {k: tuple(entry["sound_folders"]) for k, entry in enumerate(chosen.values(), start=1)}
        self.to_class = np.zeros(256, np.uint8)
        for mask_id, class_id in ids.items():
            self.to_class[mask_id] = class_id
        self.pictures = _find_pictures(root / "masks", image_sets)
        self.cutouts = [
            cutout for picture in self.pictures for cutout in _find_cutouts(picture, self.to_class)
        ]
        self.sounds = {
            folder: _find_sounds(root / "sounds" / folder)
            for folder in sorted({f for folders in self.folders.values() for f in folders})
        }

    def source(self, split: str) -> AssetSource:
        """Return the pictures and sounds of one split.

        Raises:
            DatasetError: there is no such split.
        """
        if split not in SPLITS:
            raise DatasetError(f"there is no split {split!r}", nearest(split, SPLITS).capitalize())
        return AssetSource(self, split)

    @functools.cached_property
    def picture_split(self) -> dict[str, str]:
        """Picture name -> split."""
        classes: dict[str, set[int]] = {picture.name: set() for picture in self.pictures}
        for cutout in self.cutouts:
            classes[cutout.picture.name].add(cutout.class_id)
        return split_assets({name: frozenset(found) for name, found in classes.items()})

    @functools.cached_property
    def sound_split(self) -> dict[str, str]:
        """Recording -> split."""
        names: dict[str, set[int]] = {}
        for number, files in enumerate(self.sounds.values()):
            for path in files:
                names.setdefault(recording(path), set()).add(number)
        return split_assets({name: frozenset(found) for name, found in names.items()})


class AssetSource:
    """One split of an `AssetLibrary`, as scenes use it; see `SceneSource` for the methods."""

    def __init__(self, library: AssetLibrary, split: str) -> None:
        self.class_names = library.class_names
        self._library = library
        self._pictures = [p for p in library.pictures if library.picture_split[p.name] == split]
        self._cutouts: dict[int, list[Cutout]] = {}
        for cutout in library.cutouts:
            if library.picture_split[cutout.picture.name] == split:
                self._cutouts.setdefault(cutout.class_id, []).append(cutout)
        sounds = {
            folder: [path for path in files if library.sound_split[recording(path)] == split]
            for folder, files in library.sounds.items()
        }
        self._sounds = {
            class_id: [sounds[folder] for folder in folders if sounds[folder]]
            for class_id, folders in library.folders.items()
        }
        self.visible = frozenset(self._cutouts)
        self.sounding = frozenset(class_id for class_id, folders in self._sounds.items() if folders)
        if not self._pictures:
            raise DatasetError(f"no picture in split {split!r}", "Add masked images")

    def sprite(self, class_id: int, side_px: int, rng: np.random.Generator) -> Sprite:
        """Cut an object of the class out of a picture; mirrored and lit by lot, edges soft."""
        cutout = _pick(self._cutouts[class_id], rng)
        rgb = _load(cutout.picture)[0][cutout.box]
        scale = side_px / max(cutout.inside.shape)
        size = tuple(max(round(side * scale), 2) for side in cutout.inside.shape[::-1])
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        rgb = cv2.resize(rgb, size, interpolation=way)
        alpha = cv2.resize(np.where(cutout.inside, 255, 0).astype(np.uint8), size, interpolation=way)
        if rng.random() < 0.5:
            rgb, alpha = rgb[:, ::-1], alpha[:, ::-1]
        rgb = cv2.convertScaleAbs(np.ascontiguousarray(rgb), alpha=rng.uniform(0.8, 1.2))
        return Sprite(rgb=np.asarray(rgb, np.uint8), alpha=np.ascontiguousarray(alpha))

    def sound(
        self, class_id: int, samples: int, sample_rate_hz: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Cut a piece of a recording of the class."""
        return cut_sound(_pick(_pick(self._sounds[class_id], rng), rng), samples, sample_rate_hz, rng)

    def background(self, side_px: int, rng: np.random.Generator) -> Background:
        """Take a square of a picture, with the classes it shows; pictures of crowds are passed over."""
        for _ in range(32):
            rgb, ids = _load(_pick(self._pictures, rng))
            side = round(min(ids.shape) * rng.uniform(BACKGROUND_SHARE_MIN, 1.0))
            y, x = (int(rng.integers(length - side + 1)) for length in ids.shape)
            window = (slice(y, y + side), slice(x, x + side))
            if np.mean(ids[window] == CROWD) <= MAX_CROWD_SHARE:
                break
        size = (side_px, side_px)
        picture = cv2.resize(rgb[window], size, interpolation=cv2.INTER_LINEAR)
        classes = cv2.resize(self._library.to_class[ids[window]], size, interpolation=cv2.INTER_NEAREST_EXACT)
        if rng.random() < 0.5:
            picture, classes = picture[:, ::-1], classes[:, ::-1]
        return Background(rgb=np.ascontiguousarray(picture), classes=np.ascontiguousarray(classes))

    def lookalikes(self, class_id: int) -> frozenset[int]:
        """Return the visible classes of the same family; all others where the class has no family."""
        family = self._library.families[class_id]
        others = self.visible - self.confusable(class_id)
        return frozenset(c for c in others if family is None or self._library.families[c] == family)

    def confusable(self, class_id: int) -> frozenset[int]:
        """Return the classes that share a sound folder with this one, and itself."""
        folders = set(self._library.folders[class_id])
        shared = {c for c, other in self._library.folders.items() if folders & set(other)}
        return frozenset(shared | {class_id})


def recording(path: Path) -> str:
    """Name what a sound file was cut from: its stem without the take at the end ("1-100032-A")."""
    return re.sub(r"-[A-Z]$", "", path.stem)


def _pick(options: Sequence[Any], rng: np.random.Generator) -> Any:
    return options[int(rng.integers(len(options)))]


def _read_classes(path: Path) -> dict[str, dict[str, Any]]:
    try:
        table = decode_json(path.read_bytes())
        for name, entry in table.items():
            if not 0 < int(entry["coco_category_id"]) < CROWD or not isinstance(entry["sound_folders"], list):
                raise ValueError(f"class {name!r}")
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist", "Give the folder that holds it") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DatasetError(f"{path} is not a table of classes ({error})", "Correct it") from None
    return dict(table)


def _find_pictures(folder: Path, image_sets: Sequence[str] | None) -> list[Picture]:
    sets = [folder / name for name in image_sets] if image_sets else sorted(folder.glob("*"))
    pictures = []
    for images in (path / "images" for path in sets if (path / "images").is_dir()):
        for image in sorted(images.iterdir()):
            mask = images.parent / "masks" / f"{image.stem}.png"
            if not mask.is_file():
                raise DatasetError(f"{image} has no mask {mask}", "Add the mask or remove the image")
            pictures.append(Picture(image=image, mask=mask))
    if not pictures:
        raise DatasetError(f"no picture in {folder}/*/images", "Give a folder with masked images")
    return pictures


def _find_sounds(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder} does not exist", "Add it or correct sound_classes.json")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


@functools.lru_cache(maxsize=_CACHED_PICTURES)
def _load(picture: Picture) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a picture and its ids, uint8 [h, w, 3] and [h, w], at most `MAX_SIDE_PX` large."""
    rgb, ids = read_rgb(picture.image), _load_ids(picture)
    return np.asarray(cv2.resize(rgb, ids.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8), ids


def _load_ids(picture: Picture) -> NDArray[np.uint8]:
    ids = read_index(picture.mask)
    if ids.ndim != 2:
        raise DatasetError(f"{picture.mask} holds colours", "Expected one channel, the class ids")
    scale = min(1.0, MAX_SIDE_PX / max(ids.shape))
    size = (round(ids.shape[1] * scale), round(ids.shape[0] * scale))
    return np.asarray(cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _find_cutouts(picture: Picture, to_class: NDArray[np.uint8]) -> list[Cutout]:
    """Find the connected objects of a picture that are large, not too large, and not cut off."""
    ids = _load_ids(picture)
    classes = to_class[ids]
    cutouts = []
    for class_id in np.unique(classes[classes > 0]):
        _, labels, stats, _ = cv2.connectedComponentsWithStats((classes == class_id).astype(np.uint8))
        for number, (x, y, w, h, area) in enumerate(stats[1:], start=1):
            at_border = (x == 0) + (y == 0) + (x + w == ids.shape[1]) + (y + h == ids.shape[0])
            share = area / ids.size
            if (
                MIN_AREA_SHARE <= share <= MAX_AREA_SHARE
                and min(w, h) >= MIN_SIDE_PX
                and at_border <= MAX_BORDER_SIDES
            ):
                box = (slice(y, y + h), slice(x, x + w))
                cutouts.append(
                    Cutout(picture=picture, class_id=int(class_id), box=box, inside=labels[box] == number)
                )
    return cutouts
