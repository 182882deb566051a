"""What the estimators work on: a stream boiled down to small grey pictures and pieces of sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.types import NS_PER_S, AudioBlock, Samples, StampSource

SPLICE_TOLERANCE_S = 0.02
"""A block whose stamp is further than this from where its samples should be begins a new piece."""

LINE_BLOCKS = 16
"""From this many blocks on, a piece is timed by a line through its stamps, which evens out jitter."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PictureTrack:
    """Small grey pictures.

    Attributes:
        stamps_ns: int64 [n], strictly rising.
        grey: uint8 [n, h, w].
        stamp_source: where the stamps come from.
    """

    stamps_ns: NDArray[np.int64]
    grey: NDArray[np.uint8]
    stamp_source: StampSource = StampSource.ARRIVAL

    @property
    def period_s(self) -> float:
        """Median time between pictures; 0 when there are fewer than two."""
        if len(self.stamps_ns) < 2:
            return 0.0
        return float(np.median(np.diff(self.stamps_ns))) / NS_PER_S


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SoundPiece:
    """Samples without a hole.

    Attributes:
        samples: float32 [n], mono, in [-1, 1].
        start_ns: stamp of the first sample.
        rate_hz: samples per second of the stamps' clock, which may be a little off the nominal rate.
    """

    samples: Samples
    start_ns: int
    rate_hz: float

    def time_ns(self, index: float) -> int:
        """Stamp of a sample, given by its index; fractions count."""
        return self.start_ns + round(index * NS_PER_S / self.rate_hz)


def join_blocks(blocks: Sequence[AudioBlock]) -> tuple[SoundPiece, ...]:
    """Put consecutive blocks together; a hole, an overlap or a change of rate begins a new piece.

    Channels are averaged. Blocks must be in the order in which they were captured.
    """
    pieces: list[SoundPiece] = []
    run: list[AudioBlock] = []
    end_ns = 0
    for block in blocks:
        if len(block.samples) == 0:
            continue
        if run and (
            abs(block.stamp_ns - end_ns) > SPLICE_TOLERANCE_S * NS_PER_S
            or block.sample_rate_hz != run[0].sample_rate_hz
        ):
            pieces.append(_piece(run))
            run = []
        run.append(block)
        end_ns = block.stamp_ns + round(len(block.samples) * NS_PER_S / block.sample_rate_hz)
    if run:
        pieces.append(_piece(run))
    return tuple(pieces)


def _piece(blocks: Sequence[AudioBlock]) -> SoundPiece:
    samples = np.concatenate([b.samples.mean(axis=1, dtype=np.float32) for b in blocks])
    first_ns, nominal_hz = blocks[0].stamp_ns, float(blocks[0].sample_rate_hz)
    if len(blocks) < LINE_BLOCKS:
        return SoundPiece(samples=samples, start_ns=first_ns, rate_hz=nominal_hz)
    counts = np.cumsum([0, *(len(b.samples) for b in blocks[:-1])]).astype(np.float64)
    offsets_s = np.array([b.stamp_ns - first_ns for b in blocks]) / NS_PER_S
    slope, intercept = np.polyfit(counts, offsets_s, 1)
    # Stamps of a short piece can be too coarse to tell the rate; no sound card is 1 % off.
    if slope <= 0 or abs(slope * nominal_hz - 1) > 0.01:
        return SoundPiece(samples=samples, start_ns=first_ns, rate_hz=nominal_hz)
    return SoundPiece(
        samples=samples, start_ns=first_ns + round(intercept * NS_PER_S), rate_hz=1.0 / float(slope)
    )
