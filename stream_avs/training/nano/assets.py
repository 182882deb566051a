"""The pictures, sounds and talkers that nano learns from, each in one split only.

    <root>/masks/coco_free/{images/*.jpg, masks/*.png}    pixel = COCO category id, 255 = crowd
    <root>/sounds/{esc10,esc50_cc}/<class>/*               ESC clips, <fold>-<recording>-<take>
    <root>/clips/free/grid_<clip>.mpg, grid_masks/<clip>/*.png   GRID talkers and who is talker

Only freely licensed folders are read: the weights may be given away.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.files import read_audio, read_index, read_rgb
from stream_avs.datasets.scenes.sound_files import dense_sound
from stream_avs.datasets.scenes.splits import split_assets
from stream_avs.errors import DatasetError

RATE_HZ = 32_000
PERSON = 15
IGNORE = 255
COCO_TO_VOC = {
    1: 15, 2: 2, 3: 7, 4: 14, 5: 1, 6: 6, 7: 19, 8: IGNORE, 9: 4, 16: 3, 17: 8, 18: 12, 19: 13, 20: 17,
    21: 10, 72: 20, 255: IGNORE,
}  # fmt: skip
"""COCO category to VOC class. Trucks have no VOC class and look like three: not scored."""
TALKERS = {
    "train": ("bbaf2n", "brbk7n", "lbax4n", "lbbc2a"),
    "val": ("lrwp9a",),
    "test": ("pwij3p", "sbia1a", "swwp2s"),
}
"""GRID clips; pwij3p and swwp2s are one man."""

ENGINE = frozenset({6, 7, 14})
SOUND_CLASSES: dict[str, tuple[frozenset[int], frozenset[int]]] = {
    "001_dog_bark": (frozenset({12}), frozenset()),
    "004_baby_cry": (frozenset({15}), frozenset()),
    "006_person_sneeze": (frozenset({15}), frozenset()),
    "009_rooster": (frozenset({3}), frozenset()),
    "007_helicopter": (frozenset(), frozenset({1})),
    "03_cow": (frozenset({10}), frozenset()),
    "05_cat": (frozenset({8}), frozenset()),
    "06_hen": (frozenset({3}), frozenset()),
    "08_sheep": (frozenset({17}), frozenset()),
    "09_crow": (frozenset({3}), frozenset()),
    "14_chirping_birds": (frozenset({3}), frozenset()),
    "22_clapping": (frozenset({15}), frozenset()),
    "23_breathing": (frozenset({15}), frozenset()),
    "24_coughing": (frozenset({15}), frozenset()),
    "25_footsteps": (frozenset({15}), frozenset()),
    "26_laughing": (frozenset({15}), frozenset()),
    "28_snoring": (frozenset({15}), frozenset()),
    "27_brushing_teeth": (frozenset(), frozenset({15})),
    "29_drinking_-_sipping": (frozenset(), frozenset({15})),
    "30_door_knock": (frozenset(), frozenset({15})),
    "34_can_opening": (frozenset(), frozenset({15})),
    "49_hand_saw": (frozenset(), frozenset({15})),
    "42_siren": (frozenset(), frozenset({6, 7})),
    "43_car_horn": (frozenset({7}), frozenset({6, 14})),
    "44_engine": (ENGINE, frozenset()),
    "45_train": (frozenset({19}), frozenset()),
    "47_airplane": (frozenset({1}), frozenset()),
}
"""Folder of sounds -> VOC classes that make it, and those that might; all other classes do not."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One image and the VOC class of each pixel, 0 elsewhere, 255 unknown."""

    name: str
    rgb: NDArray[np.uint8]
    ids: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Talker:
    """One GRID clip.

    Attributes:
        name: of the clip.
        frames: uint8 [75, 288, 360, 3].
        masks: bool [75, 288, 360].
        audio: float32 [n], mono 32 kHz, RMS 0.1 while speaking.
        speech: first and last frame of the sentence.
    """

    name: str
    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    audio: NDArray[np.float32]
    speech: tuple[int, int]


class Assets:
    """One split of the folder.

    Args:
        root: see the module.
        split: train, val or test.

    Raises:
        DatasetError: a part is missing.
    """

    def __init__(self, root: Path, split: str) -> None:
        self.root, self.split = root, split
        self.pictures = _pictures(root)
        places = split_assets({p.name: frozenset(np.unique(p.ids)) - {0, IGNORE} for p in self.pictures})
        self.pictures = [p for p in self.pictures if places[p.name] == split]
        self.sounds = _sounds(root, split)
        self.talkers = [_talker(root, name) for name in TALKERS[split]]
        self.class_folders = sorted(f for f in self.sounds if f in SOUND_CLASSES)
        self.noise_folders = sorted(f for f in self.sounds if f not in SOUND_CLASSES)

    def sound(self, folder: str, samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """A piece of a recording of the folder, RMS 1, without long pauses."""
        files = self.sounds[folder]
        sound = dense_sound(files[int(rng.integers(len(files)))], RATE_HZ)
        start = int(rng.integers(sound.size))
        return np.take(sound, np.arange(start, start + samples), mode="wrap").astype(np.float32)

    def credits(self) -> dict[str, list[str]]:
        """Names of every file of this split."""
        return {
            "pictures": [p.name for p in self.pictures],
            "sounds": sorted(path.stem for files in self.sounds.values() for path in files),
            "talkers": [t.name for t in self.talkers],
        }


@functools.cache
def _pictures(root: Path) -> list[Picture]:
    folder = root / "masks" / "coco_free"
    table = np.zeros(256, np.uint8)
    for coco, voc in COCO_TO_VOC.items():
        table[coco] = voc
    pictures = []
    for path in sorted((folder / "images").glob("*.jpg")):
        ids = read_index(folder / "masks" / f"{path.stem}.png")
        pictures.append(Picture(name=path.stem, rgb=read_rgb(path), ids=table[ids]))
    if not pictures:
        raise DatasetError(f"no picture in {folder}", "Give the folder that holds masks/coco_free")
    return pictures


def _sounds(root: Path, split: str) -> dict[str, list[Path]]:
    files = [
        path
        for group in ("esc10", "esc50_cc")
        for path in sorted((root / "sounds" / group).glob("*/*"))
        if path.suffix in (".ogg", ".wav")
    ]
    if not files:
        raise DatasetError(f"no sound in {root / 'sounds'}", "Give the folder that holds sounds/esc10")
    numbers = {name: k for k, name in enumerate(sorted({path.parent.name for path in files}))}
    made_from: dict[str, set[int]] = {}
    for path in files:
        made_from.setdefault(_recording(path), set()).add(numbers[path.parent.name])
    places = split_assets({name: frozenset(folders) for name, folders in made_from.items()})
    found: dict[str, list[Path]] = {}
    for path in files:
        if places[_recording(path)] == split:
            found.setdefault(path.parent.name, []).append(path)
    return found


def _recording(path: Path) -> str:
    return path.stem.split("-")[1]


def _talker(root: Path, name: str) -> Talker:
    path = root / "clips" / "free" / f"grid_{name}.mpg"
    with av.open(str(path)) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    frames = np.stack(pictures).astype(np.uint8)
    files = sorted((path.parent / "grid_masks" / name).glob("*.png"))
    masks = np.stack([read_index(f) > 0 for f in files])
    count = min(len(frames), len(masks))
    audio = read_audio(path, RATE_HZ)
    step = RATE_HZ // 25
    blocks = audio[: audio.size // step * step].reshape(-1, step)
    level = 20 * np.log10(np.sqrt(np.mean(blocks**2, axis=1)) + 1e-6)
    loud = np.flatnonzero(cv2.blur(level[None], (5, 1))[0] > level.max() - 18)
    audio = audio * np.float32(0.1 / np.sqrt(np.mean(blocks[loud[0] : loud[-1]] ** 2)))
    return Talker(
        name=name,
        frames=frames[:count],
        masks=masks[:count],
        audio=audio,
        speech=(int(loud[0]), min(int(loud[-1]), count - 1)),
    )
