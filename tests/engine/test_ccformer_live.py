"""CCFormer in the real live path: a file through rings, join, session and worker."""

from __future__ import annotations

from pathlib import Path

import torch
from live_streams import small_network, stream_of

from stream_avs.capture.media import Media
from stream_avs.config import MediaConfig, Pace, RunConfig, WindowConfig
from stream_avs.engine.network_stream import NetworkStream
from stream_avs.models.ccformer.config import Mode
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.types import Event, MaskResult


def play(clip: Path, model: NetworkStream, window: WindowConfig) -> tuple[list[MaskResult], Pipeline]:
    """Every frame of the clip, as fast as it goes."""
    torch.set_num_threads(1)
    results: list[MaskResult] = []
    config = RunConfig(source=str(clip), window=window, media=MediaConfig(pace=Pace.FAST))
    with Pipeline(config, Media(str(clip), config.media), model, (results.append,)) as pipeline:
        run_until_done(pipeline)
    return results, pipeline


def test_every_frame_of_a_clip_gets_its_mask(talkers: Path) -> None:
    model = stream_of(small_network(mode=Mode.CAUSAL))
    results, pipeline = play(talkers, model, WindowConfig(frames=3))
    assert len(results) == 300
    assert {r.mask.shape for r in results} == {model.mask_shape}
    assert [r.reset_reason for r in results if r.reset_reason] == ["start"]
    assert {"prepare", "network", "decide"} <= set(results[50].latency_ms)
    assert Event.STEP_ERROR not in pipeline.ledger.counts()
    assert any(r.mask.any() for r in results)
    assert pipeline.snapshot().rung == "full"


def test_one_second_windows_encode_each_frame_once(talkers: Path) -> None:
    model = stream_of(small_network())
    results, pipeline = play(talkers, model, WindowConfig(frames=3, frame_spacing_s=1.0, frame_slots=100))
    row = pipeline._session._state.row
    assert len(results) == 300
    assert row.masks == sum(r.state != "no_audio" for r in results)
    assert row.encoded == 300  # frames without a mask are met a second later
    assert model.engine.slots >= 50
