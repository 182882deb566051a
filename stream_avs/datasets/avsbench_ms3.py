"""AVSBench MS3: several sounding objects, every frame has a mask, some masks are empty.

ms3_meta_data.csv                                     video_id, split
ms3_data/visual_frames/<id>/<id>.mp4_{1..5}.png       no folder per split, and ".mp4_" in the name
ms3_data/gt_masks/<split>/<id>/<id>_{1..5}.png
ms3_data/audio_log_mel/<split>/<id>.pkl               VGGish examples [5, 1, 96, 64]
ms3_data/audio_wav/<split>/<id>.wav                   5 s at 16 kHz
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.avsbench import AvsBenchReader, ClipFiles, LogMelFrom, check_split, read_binary_mask
from stream_avs.datasets.layout import find_base, read_table, unnested

TABLE = "ms3_meta_data.csv"
FRAMES = 5
CLASS_NAMES = ("background", "sounding")


class Ms3Dataset(AvsBenchReader):
    """One split of MS3; masks are 0 and 1, and `category` is empty.

    Args:
        root: the folder of `ms3_meta_data.csv`, or one at most two levels above it.
        split: train, val or test.
        log_mel: where the VGGish examples come from.
        waveform_hz: rate to read the waveform at; 0 leaves it out.

    Raises:
        DatasetError: no table, or a line of it is wrong. Files are checked when a clip is read.
    """

    def __init__(
        self, root: Path, split: str, *, log_mel: LogMelFrom = LogMelFrom.FILE, waveform_hz: int = 0
    ) -> None:
        check_split(split)
        table = find_base(root, TABLE) / TABLE
        data = unnested(table.parent / "ms3_data")
        clips = [
            _files(data, split, row.cells[0], f"{table.name} line {row.line}")
            for row in read_table(table, ("split",), min_cells=2)
            if row.named["split"] == split
        ]
        super().__init__(
            clips, kind="ms3", split=split, class_names=CLASS_NAMES, length=FRAMES,
            log_mel=log_mel, waveform_hz=waveform_hz,
        )  # fmt: skip

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        """See `avsbench.read_binary_mask`."""
        return read_binary_mask(path)


def _files(data: Path, split: str, name: str, origin: str) -> ClipFiles:
    folder = data / "visual_frames" / name
    masks = data / "gt_masks" / split / name
    return ClipFiles(
        name=name,
        category="",
        folder=folder,
        frames=tuple(folder / f"{name}.mp4_{k}.png" for k in range(1, FRAMES + 1)),
        masks=tuple(masks / f"{name}_{k}.png" for k in range(1, FRAMES + 1)),
        wav=data / "audio_wav" / split / f"{name}.wav",
        log_mel=data / "audio_log_mel" / split / f"{name}.pkl",
        origin=origin,
    )
