"""AVSBench S4: one sounding object per clip; in training only the first frame has a mask.

s4_meta_data.csv                                            name, start, category, split
s4_data/visual_frames/<split>/<category>/<name>/<name>_{1..5}.png
s4_data/gt_masks/<split>/<category>/<name>/<name>_{1..5}.png    train: <name>_1.png alone
s4_data/audio_log_mel/<split>/<category>/<name>.pkl         VGGish examples [5, 1, 96, 64]
s4_data/audio_wav/<split>/<category>/<name>.wav             5 s at 16 kHz
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.avsbench import AvsBenchReader, ClipFiles, LogMelFrom, check_split, read_binary_mask
from stream_avs.datasets.layout import find_base, read_table, unnested

TABLE = "s4_meta_data.csv"
FRAMES = 5
CLASS_NAMES = ("background", "sounding")


class S4Dataset(AvsBenchReader):
    """One split of S4; `category` is the clip's class, masks are 0 and 1.

    Args:
        root: the folder of `s4_meta_data.csv`, or one at most two levels above it.
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
        data = unnested(table.parent / "s4_data")
        rows = read_table(table, ("split",), min_cells=3)
        # The loaders of the release take name and category by position; the header is not certain.
        clips = [
            _files(data, split, row.cells[0], row.cells[2], f"{table.name} line {row.line}")
            for row in rows
            if row.named["split"] == split
        ]
        super().__init__(
            clips, kind="s4", split=split, class_names=CLASS_NAMES, length=FRAMES,
            log_mel=log_mel, waveform_hz=waveform_hz,
        )  # fmt: skip

    def read_mask(self, path: Path) -> NDArray[np.uint8]:
        """See `avsbench.read_binary_mask`."""
        return read_binary_mask(path)


def _files(data: Path, split: str, name: str, category: str, origin: str) -> ClipFiles:
    inside = Path(split) / category
    folder = data / "visual_frames" / inside / name
    masks = data / "gt_masks" / inside / name
    annotated = 1 if split == "train" else FRAMES
    return ClipFiles(
        name=name,
        category=category,
        folder=folder,
        frames=tuple(folder / f"{name}_{k}.png" for k in range(1, FRAMES + 1)),
        masks=tuple(masks / f"{name}_{k}.png" if k <= annotated else None for k in range(1, FRAMES + 1)),
        wav=data / "audio_wav" / inside / f"{name}.wav",
        log_mel=data / "audio_log_mel" / inside / f"{name}.pkl",
        origin=origin,
    )
