"""Microphone level: how loud the room is, whether anything clips, and by how much to change the gain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.yaml_file import text_of, write_text
from stream_avs.types import Samples

BLOCK_S = 0.05
MIN_SECONDS = 2.0
SILENCE_DBFS = -120.0

FULL_SCALE = 0.999
"""A sample this large counts as clipped: 16-bit full scale is 32767/32768."""
CLIPPED_RUN = 2
"""So many of them in a row: one alone may be a true peak."""
BAD_CLIPPED_SHARE = 1e-5

TARGET_DBFS = -20.0
"""Where the louder parts of a talk should lie, as RMS level of `BLOCK_S`."""
HEADROOM_DBFS = -3.0
"""The highest peak should stay below this."""
MIN_CONTRAST_DB = 12.0
"""Loud parts stand out from the noise by this much, or nothing but noise was heard."""
NOISY_DBFS = -45.0
OFFSET_LIMIT = 0.01
GAIN_TOLERANCE_DB = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class MicLevel:
    """What was measured.

    Attributes:
        seconds: length of the recording.
        noise_floor_dbfs: RMS level of the quietest tenth.
        loud_dbfs: RMS level which the loudest twentieth exceeds.
        peak_dbfs: highest sample.
        clipped_share: share of samples at full scale, 0..1.
        dc_offset: mean of all samples, of full scale.
        suggested_gain_db: by how much to change the gain; None if nothing but noise was heard.
        verdict: what to do, one line each; a single "good" line when there is nothing to do.
        good: whether the microphone can be used as it is.
    """

    seconds: float
    noise_floor_dbfs: float
    loud_dbfs: float
    peak_dbfs: float
    clipped_share: float
    dc_offset: float
    suggested_gain_db: float | None
    verdict: tuple[str, ...]
    good: bool


def measure_level(samples: Samples, sample_rate_hz: float) -> MicLevel:
    """Measure a recording that begins with quiet and goes on with talk or other normal sound.

    Args:
        samples: float32 [n], mono, in [-1, 1].
        sample_rate_hz: samples per second.

    Raises:
        CalibrationError: shorter than `MIN_SECONDS`.
    """
    seconds = len(samples) / sample_rate_hz
    if seconds < MIN_SECONDS:
        raise CalibrationError(f"the recording is {seconds:.1f} s long", f"Record at least {MIN_SECONDS:g} s")
    offset = float(np.mean(samples, dtype=np.float64))
    levels = _block_levels(samples - np.float32(offset), round(BLOCK_S * sample_rate_hz))
    floor, loud = (float(np.percentile(levels, p)) for p in (10, 95))
    peak = _dbfs(float(np.max(np.abs(samples))))
    clipped = _clipped_share(samples)
    gain = _gain(floor, loud, peak, clipped)
    problems = _problems(floor, loud, clipped, offset, gain)
    return MicLevel(
        seconds=seconds,
        noise_floor_dbfs=floor,
        loud_dbfs=loud,
        peak_dbfs=peak,
        clipped_share=clipped,
        dc_offset=offset,
        suggested_gain_db=gain,
        verdict=problems or ("good: leave the gain as it is",),
        good=not problems,
    )


def write_level(path: Path, level: MicLevel, microphone: str, date: str) -> None:
    """Write the measurement as YAML; raises ConfigError when that is not possible."""
    values: dict[str, object] = {"microphone": microphone, "date": date}
    values |= {name: getattr(level, name) for name in MicLevel.__dataclass_fields__}
    lines = [f"{name}: {text_of(value)}" for name, value in values.items()]
    write_text(path, "\n".join(lines) + "\n")


def _dbfs(amplitude: float) -> float:
    return max(SILENCE_DBFS, 20 * math.log10(max(amplitude, 1e-12)))


def _block_levels(samples: Samples, size: int) -> NDArray[np.float64]:
    blocks = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    rms = np.sqrt(np.mean(np.square(blocks), axis=1))
    return np.asarray(np.maximum(SILENCE_DBFS, 20 * np.log10(np.maximum(rms, 1e-12))))


def _clipped_share(samples: Samples) -> float:
    full = np.abs(samples) >= FULL_SCALE
    beside = np.zeros_like(full)
    beside[1:] |= full[:-1]
    beside[:-1] |= full[1:]
    return float(np.mean(full & beside))


def _gain(floor: float, loud: float, peak: float, clipped: float) -> float | None:
    if loud - floor < MIN_CONTRAST_DB:
        return None
    wanted = min(TARGET_DBFS - loud, HEADROOM_DBFS - peak)
    # How far a clipped peak would have gone is not known: at least this much lower.
    return min(wanted, -6.0) if clipped > BAD_CLIPPED_SHARE else wanted


def _problems(
    floor: float, loud: float, clipped: float, offset: float, gain: float | None
) -> tuple[str, ...]:
    if loud <= SILENCE_DBFS:
        return ("nothing but zeros: the microphone is muted, or it is the wrong device",)
    lines = []
    if clipped > BAD_CLIPPED_SHARE:
        lines.append(f"clipping: {clipped:.2%} of the samples are at full scale")
    if gain is None:
        lines.append("nothing louder than the noise was heard: talk or clap in the second half, and repeat")
    elif abs(gain) > GAIN_TOLERANCE_DB:
        lines.append(f"{'raise' if gain > 0 else 'lower'} the gain by {abs(gain):.0f} dB")
    if floor > NOISY_DBFS:
        lines.append(f"noisy: {floor:.0f} dBFS when quiet; move it away from fans, or nearer to what sounds")
    if abs(offset) > OFFSET_LIMIT:
        lines.append(f"offset of {offset:+.1%} of full scale: a fault of the device or its driver")
    return tuple(lines)
