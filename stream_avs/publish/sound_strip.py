"""Live sound as a strip to look at: level and spectrum, one column every 20 ms. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.types import NS_PER_S, AudioBlock, Samples

COLUMN_S = 0.02
WINDOW_S = 0.04
BANDS = 48
LOWEST_HZ, HIGHEST_HZ = 60.0, 8000.0
FLOOR_DB, CEILING_DB = -90.0, -15.0
JUMP_S = 0.1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Columns:
    """Consecutive columns.

    Attributes:
        bands: uint8 [n, BANDS], low frequencies first; 0 is -90 dB and below, 255 is -15 dB and above.
        levels_dbfs: RMS level of each column, -120..0.
        end_ns: when the last column ends, monotonic.
    """

    bands: NDArray[np.uint8]
    levels_dbfs: list[float]
    end_ns: int


class SoundStrip:
    """Turns blocks of sound into columns. Not thread-safe."""

    def __init__(self) -> None:
        self._rate_hz = 0
        self._kept: Samples = np.zeros(0, np.float32)
        self._end_ns = 0

    def push(self, block: AudioBlock) -> Columns | None:
        """Take one block; return the columns it completes, None if it completes none."""
        mono = np.nan_to_num(block.samples.mean(axis=1, dtype=np.float32), posinf=0, neginf=0)
        jump_ns = abs(block.stamp_ns - self._end_ns)
        if block.sample_rate_hz != self._rate_hz or jump_ns > JUMP_S * NS_PER_S:
            self._start(block.sample_rate_hz)
        self._kept = np.concatenate((self._kept, mono))
        self._end_ns = block.stamp_ns + round(len(mono) * NS_PER_S / self._rate_hz)
        n = (len(self._kept) - self._window) // self._hop + 1
        if n <= 0:
            return None
        rows = np.lib.stride_tricks.sliding_window_view(self._kept, self._window)[:: self._hop][:n]
        columns = self._columns(rows, self._end_ns)
        self._kept = self._kept[n * self._hop :].copy()
        left_ns = round((len(self._kept) - self._window + self._hop) * NS_PER_S / self._rate_hz)
        return Columns(bands=columns[0], levels_dbfs=columns[1], end_ns=self._end_ns - left_ns)

    def _start(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._hop = max(1, round(COLUMN_S * rate_hz))
        self._window = 2 * self._hop
        self._kept = np.zeros(self._hop, np.float32)
        self._taper = np.hanning(self._window).astype(np.float32)
        highest = min(HIGHEST_HZ, rate_hz / 2)
        edges_hz = np.geomspace(LOWEST_HZ, highest, BANDS + 1)
        edges = np.rint(edges_hz * self._window / rate_hz).astype(int)
        self._first = np.clip(edges[:-1], 1, self._hop - 1)
        self._past = np.clip(np.maximum(edges[1:], self._first + 1), 2, self._hop)

    def _columns(self, rows: Samples, end_ns: int) -> tuple[NDArray[np.uint8], list[float]]:
        power = np.square(np.abs(np.fft.rfft(rows * self._taper, axis=1))) / (self._window / 4) ** 2
        total = np.concatenate((np.zeros((len(rows), 1)), np.cumsum(power, axis=1)), axis=1)
        bands = (total[:, self._past] - total[:, self._first]) / (self._past - self._first)
        db = 10 * np.log10(np.maximum(bands, 1e-12))
        scaled = np.clip((db - FLOOR_DB) / (CEILING_DB - FLOOR_DB) * 255, 0, 255).astype(np.uint8)
        newest = rows[:, self._hop :]
        rms = np.sqrt(np.mean(np.square(newest, dtype=np.float64), axis=1))
        return scaled, np.clip(20 * np.log10(np.maximum(rms, 1e-6)), -120, 0).round(1).tolist()
