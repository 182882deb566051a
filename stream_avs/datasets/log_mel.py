"""The VGGish examples that belong to the frames of a clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_avs.audio.vggish_mel import BANDS, EXAMPLE_FRAMES, HOP, SAMPLE_RATE_HZ, WINDOW, examples, log_mel

EXAMPLE_SAMPLES = WINDOW + (EXAMPLE_FRAMES - 1) * HOP
"""15,600 samples, 0.975 s: what one example hears."""


def grid_examples(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut a clip into consecutive examples of 0.96 s, as the released AVSBench files are.

    Args:
        waveform: float32 [n] in [-1, 1], 16 kHz, mono.

    Returns:
        float32 [N, 1, 96, 64]; 5 s give N = 5, 10 s give N = 10, less than 0.975 s gives N = 0.
    """
    return examples(log_mel(waveform))[:, None]


def trailing_examples(waveform: NDArray[np.float32], end_times_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """Compute one example per frame from the 0.975 s of sound that end at the frame.

    Args:
        waveform: float32 [n] in [-1, 1], 16 kHz, mono; what lies outside is silence.
        end_times_s: float64 [T], 0 or more seconds from the first sample.

    Returns:
        float32 [T, 1, 96, 64].
    """
    ends = np.round(end_times_s * SAMPLE_RATE_HZ).astype(np.int64)
    first, last = int(ends.min()), int(ends.max())
    # One example of silence in front: the cut that starts at sample `end` here ends there in the clip.
    heard = np.pad(waveform, (EXAMPLE_SAMPLES, max(0, last - waveform.size)))
    offsets = ends - first
    if np.all(offsets % HOP == 0):  # the examples share their spectra
        steps = log_mel(heard[first : last + EXAMPLE_SAMPLES])
        rows = [steps[offset // HOP :][:EXAMPLE_FRAMES] for offset in offsets]
    else:
        rows = [log_mel(heard[end : end + EXAMPLE_SAMPLES]) for end in ends]
    return np.stack(rows).reshape(len(ends), 1, EXAMPLE_FRAMES, BANDS)
