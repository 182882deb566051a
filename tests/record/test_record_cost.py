"""What recording costs: 30 Hz at 640x480 with sound and masks, in CPU time of this process."""

from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np
import pytest
from recordings import INFO, recorder

from stream_avs.capture.tap import NoSink
from stream_avs.record.config import Picture
from stream_avs.types import AudioBlock, MaskResult, ResultState

HZ = 30
FRAMES = 90


def pictures(clip: Path) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    with av.open(str(clip)) as container:
        decoded = [f.to_ndarray(format="rgb24", width=640, height=480) for f in container.decode(video=0)][
            :15
        ]
    # A camera adds noise, which is the hardest to pack.
    return [
        np.clip(f.astype(np.int16) + rng.integers(-3, 4, f.shape), 0, 255).astype(np.uint8) for f in decoded
    ]


def result(stamp_ns: int, seq: int) -> MaskResult:
    mask = np.zeros((384, 384), np.uint8)
    mask[100:300, 100:200] = 15
    return MaskResult(
        mask=mask, confidence=mask * 16, stream="cam0", seq=seq, window_seq=seq, stamp_ns=stamp_ns,
        arrival_ns=stamp_ns, publish_ns=stamp_ns, unix_offset_ns=0, frame_id="camera", source_size=(640, 480),
        transform=(1, 0, 0, 0, 1, 0), labels={15: "person"}, sounding=(), sounding_score=0.5,
        audio_level_dbfs=-20.0, state=ResultState.OK,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("picture", "most"), [(Picture.RAW, 0.15), (Picture.JPEG, 0.20), (Picture.PNG, 1.0)])
def test_cost(tmp_path: Path, talkers: Path, picture: Picture, most: float) -> None:
    """The bounds leave room for a busy machine; FORMAT.md has the figures."""
    shown = pictures(talkers)
    sound = np.random.default_rng(1).standard_normal((533, 1)).astype(np.float32) / 8
    path = tmp_path / "cost.mcap"
    with recorder(path, picture=picture) as out:
        sink = out.tap(NoSink(), INFO)
        begin_s = time.process_time()
        for k in range(FRAMES):
            stamp_ns = 10**12 + k * 33_333_333
            sink.audio(AudioBlock(samples=sound, stamp_ns=stamp_ns, sample_rate_hz=16_000))
            sink.frame(shown[k % len(shown)], stamp_ns, stamp_ns)
            out.publish(result(stamp_ns, k))
            time.sleep(1 / HZ)
    share = (time.process_time() - begin_s) / FRAMES * HZ
    rate_mb = path.stat().st_size / 1e6 / FRAMES * HZ
    print(f"{picture.value}: {share:.1%} of a core at {HZ} Hz, {rate_mb:.1f} MB/s")  # noqa: T201
    assert out.left_out == 0
    assert share < most
