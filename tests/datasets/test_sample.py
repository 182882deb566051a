"""A clip refuses parts that do not fit together."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from stream_avs.datasets.sample import ClipSample
from stream_avs.datasets.scenes import ProceduralSource, SceneConfig, SceneDataset

CLIP = SceneDataset(ProceduralSource(), SceneConfig(size_px=32))[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": CLIP.masks[:3]}, r"masks is uint8 \[3, 32, 32\], expected uint8 \[5, 32, 32\]"),
        ({"frames": CLIP.frames.astype(np.float32)}, "frames is float32"),
        ({"mask_valid": np.ones(5)}, r"mask_valid is float64 \[5\], expected bool"),
        ({"frame_times_s": np.arange(4.0)}, "frame_times_s"),
        ({"log_mel": np.zeros((5, 96, 64), np.float32)}, r"expected float32 \[5, 1, 96, 64\]"),
        ({"sample_rate_hz": 0}, "needs its sample_rate_hz"),
    ],
)
def test_parts_must_fit(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CLIP, **change)


def test_context_needs_a_waveform_and_leaves_padding_silent() -> None:
    with pytest.raises(ValueError, match="read without its waveform"):
        replace(CLIP, waveform=None).audio_context(1.0)
    padded: ClipSample = replace(CLIP, frame_valid=np.arange(5) < 2)
    rows = padded.audio_context(1.0)
    np.testing.assert_array_equal(rows.any(axis=1), CLIP.audio_context(1.0).any(axis=1) & padded.frame_valid)


def test_data_sets_and_metrics_are_read_without_torch() -> None:
    modules = (
        "stream_avs.datasets.check, stream_avs.datasets.scenes.write, stream_avs.datasets.scenes.assets, "
        "stream_avs.datasets.augment, stream_avs.evaluation.metrics, stream_avs.evaluation.semantic_metrics"
    )
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
