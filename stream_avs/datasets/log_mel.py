"""The VGGish examples that belong to the frames of a clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_avs.audio.vggish_mel import BANDS, EXAMPLE_FRAMES, HOP, SAMPLE_RATE_HZ, WINDOW, examples, log_mel

EXAMPLE_SAMPLES = WINDOW + (EXAMPLE_FRAMES - 1) * HOP
"""15,600 samples at 16 kHz, 0.975 s: what one example hears."""


def grid_examples(waveform: NDArray[np.float32], sample_rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Cut a clip into consecutive examples of 0.96 s, as the released AVSBench files are.

    Args:
        waveform: float32 [n] in [-1, 1], mono.
        sample_rate_hz: 16 kHz or a whole multiple.

    Returns:
        float32 [N, 1, 96, 64]; 5 s give N = 5, 10 s give N = 10, less than 0.975 s gives N = 0.
    """
    return examples(log_mel(waveform, sample_rate_hz))[:, None]


def trailing_examples(
    waveform: NDArray[np.float32], end_times_s: NDArray[np.float64], sample_rate_hz: int = SAMPLE_RATE_HZ
) -> NDArray[np.float32]:
    """Compute one example per frame from the 0.975 s of sound that end at the frame.

    Args:
        waveform: float32 [n] in [-1, 1], mono; what lies outside is silence.
        end_times_s: float64 [T], 0 or more seconds from the first sample.
        sample_rate_hz: 16 kHz or a whole multiple.

    Returns:
        float32 [T, 1, 96, 64].
    """
    finer = sample_rate_hz // SAMPLE_RATE_HZ
    length, hop = EXAMPLE_SAMPLES * finer, HOP * finer
    ends = np.round(end_times_s * sample_rate_hz).astype(np.int64)
    first, last = int(ends.min()), int(ends.max())
    # One example of silence in front: the cut that starts at sample `end` here ends there in the clip.
    heard = np.pad(waveform, (length, max(0, last - waveform.size)))
    offsets = ends - first
    if np.all(offsets % hop == 0):  # the examples share their spectra
        steps = log_mel(heard[first : last + length], sample_rate_hz)
        rows = [steps[offset // hop :][:EXAMPLE_FRAMES] for offset in offsets]
    else:
        rows = [log_mel(heard[end : end + length], sample_rate_hz) for end in ends]
    return np.stack(rows).reshape(len(ends), 1, EXAMPLE_FRAMES, BANDS)
