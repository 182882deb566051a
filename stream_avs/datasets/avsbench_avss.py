"""AVSBench-semantic (AVSS): class-id masks, clips of 5 or 10 frames, all padded to 10.

    metadata.csv              vid, uid, ..., a_obj, split, label     label: v1s, v1m or v2
    label2idx.json            class name -> class id
    <label>/<uid>/frames/{0..}.jpg             v1s, v1m: 5 frames; v2: 10
    <label>/<uid>/labels_rgb/{0..}.png         VOC palette colours
    <label>/<uid>/labels_semantic/{0..}.png    class ids
    <label>/<uid>/audio.wav

In training the clips of v1s have a mask for their first frame alone.
"""

from __future__ import annotations

import enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.avsbench import AvsBenchReader, ClipFiles, LogMelFrom, check_split
from stream_avs.datasets.files import read_index, read_rgb
from stream_avs.datasets.layout import Row, find_base, read_table, unnested
from stream_avs.datasets.palette import AVSS_CLASSES, decode
from stream_avs.errors import DatasetError, nearest
from stream_avs.json_input import decode_json

TABLE = "metadata.csv"
FRAMES = 10
SUBSET_FRAMES = {"v1s": 5, "v1m": 5, "v2": 10}


class LabelsFrom(enum.StrEnum):
    """Which of the two stored forms of the masks to read."""

    RGB = "labels_rgb"
    SEMANTIC = "labels_semantic"


class AvssDataset(AvsBenchReader):
    """One split of AVSS; `category` is the table's `a_obj`, clips keep their own frame size.

    The examples that VGGish hears are cut or padded with zeros to 10; multiply its features by
    `frame_valid`, as the published code does.

    Args:
        root: the folder of `metadata.csv`, or one at most two levels above it.
        split: train, val or test.
        subsets: v1s, v1m, v2, or some of them.
        labels: which form of the masks to read.
        allow_unknown: read unknown colours and ids as background, as the published code does,
            rather than refuse the mask.
        log_mel: where the VGGish examples come from; `FILE` also means the wav, there is no file.
        waveform_hz: rate to read the waveform at; 0 leaves it out.

    Raises:
        DatasetError: no table, a line of it is wrong, or label2idx.json is missing or wrong. Files
            are checked when a clip is read.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        *,
        subsets: tuple[str, ...] = ("v1s", "v1m", "v2"),
        labels: LabelsFrom = LabelsFrom.RGB,
        allow_unknown: bool = False,
        log_mel: LogMelFrom = LogMelFrom.WAV,
        waveform_hz: int = 0,
    ) -> None:
        check_split(split)
        for subset in subsets:
            if subset not in SUBSET_FRAMES:
                hint = nearest(subset, SUBSET_FRAMES).capitalize()
                raise DatasetError(f"there is no subset {subset!r}", hint)
        base = find_base(root, TABLE)
        self._labels = labels
        self._allow_unknown = allow_unknown
        clips = []
        for row in read_table(base / TABLE, ("uid", "a_obj", "split", "label")):
            if row.named["label"] not in SUBSET_FRAMES:
                raise DatasetError(
                    f"{base / TABLE} line {row.line} has label {row.named['label']!r}",
                    f"Expected one of: {', '.join(SUBSET_FRAMES)}",
                )
            if row.named["split"] == split and row.named["label"] in subsets:
                clips.append(_files(base, split, row, labels))
        super().__init__(
            clips, kind="avss", split=split, class_names=read_class_names(base / "label2idx.json"),
            length=FRAMES, log_mel=log_mel, waveform_hz=waveform_hz,
        )  # fmt: skip

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        """Read class ids, uint8 [H, W].

        Raises:
            DatasetError: missing, no picture, or with a colour or id that no class has.
        """
        stored = read_rgb(path) if self._labels is LabelsFrom.RGB else read_index(path)
        if stored.ndim == 3:
            ids, known = decode(stored)
        else:
            ids, known = stored, np.ones(stored.shape, np.bool_)
        known &= ids < len(self.class_names)
        if not self._allow_unknown and not known.all():
            y, x = np.argwhere(~known)[0]
            value = stored[y, x]
            what = f"colour {tuple(map(int, value))}" if stored.ndim == 3 else f"class id {int(value)}"
            raise DatasetError(
                f"{path} has {what} at x {x}, y {y}, which is no class ({(~known).sum()} pixels unknown)",
                "Get the file again, or read unknown values as background (allow_unknown)",
            )
        return np.where(known, ids, 0).astype(np.uint8)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read label2idx.json: class names in the order of their ids, 0 first.

    Raises:
        DatasetError: missing, not JSON, or ids that are not 0..n-1 with n <= 71.
    """
    try:
        table = decode_json(path.read_bytes())
        names = {int(index): str(name) for name, index in table.items()}
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist", "Get it from the data set") from None
    except (ValueError, AttributeError, TypeError, OverflowError) as error:
        raise DatasetError(f"{path} is not a table of names and ids ({error})", "Get it again") from None
    if sorted(names) != list(range(len(table))) or not 2 <= len(table) <= AVSS_CLASSES:
        raise DatasetError(
            f"{path} has ids {min(names, default=None)}..{max(names, default=None)} for {len(table)} names",
            f"Expected 0..n-1, at most {AVSS_CLASSES} of them",
        )
    return tuple(names[index] for index in range(len(names)))


def _files(base: Path, split: str, row: Row, labels: LabelsFrom) -> ClipFiles:
    subset, uid = row.named["label"], row.named["uid"]
    folder = unnested(base / subset) / uid
    count = SUBSET_FRAMES[subset]
    annotated = 1 if split == "train" and subset == "v1s" else count
    return ClipFiles(
        name=f"{subset}/{uid}",
        category=row.named["a_obj"],
        folder=folder,
        frames=tuple(folder / "frames" / f"{k}.jpg" for k in range(count)),
        masks=tuple(folder / str(labels) / f"{k}.png" if k < annotated else None for k in range(count)),
        wav=folder / "audio.wav",
        log_mel=None,
        origin=f"{TABLE} line {row.line}",
    )
