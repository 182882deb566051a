"""A recorded session made again: the same windows, the same results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recordings import INFO, EchoModel, image, record, recorder, window_digest

from stream_avs.capture.open_source import make_source
from stream_avs.capture.replay import Replay
from stream_avs.capture.synthetic import Synthetic
from stream_avs.capture.tap import NoSink
from stream_avs.config import (
    MediaConfig,
    OverloadConfig,
    Pace,
    Policy,
    RunConfig,
    SyntheticConfig,
    WindowConfig,
)
from stream_avs.ledger import Ledger
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.record.compare import compare, report
from stream_avs.record.items import AudioItem, FrameItem
from stream_avs.record.reader import Recording
from stream_avs.record.reproduce import Reproducer
from stream_avs.types import MaskResult

CONFIG = RunConfig(
    source="synthetic",
    synthetic=SyntheticConfig(width_px=64, height_px=48, duration_s=2.0),
    # Patient, so that a busy machine does not let frames go on without their sound.
    window=WindowConfig(frames=5, audio_wait_s=2.0, staleness_budget_s=4.0),
)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EchoModel, list[MaskResult]]:
    """Two seconds of a live session whose network is too slow for every frame, recorded."""
    path = tmp_path_factory.mktemp("live") / "live.mcap"
    ledger = Ledger()
    model = EchoModel(delay_s=0.055)
    results: list[MaskResult] = []
    with recorder(path, ledger) as out:
        source = Synthetic(CONFIG.synthetic)
        with Pipeline(CONFIG, source, model, (results.append, out.publish), out.tap, ledger) as pipeline:
            run_until_done(pipeline, 10)
    assert out.left_out == 0
    return path, model, results


def test_windows_are_bit_equal_and_results_equal(live: tuple[Path, EchoModel, list[MaskResult]]) -> None:
    path, model, results = live
    assert sum(r.dropped for r in results) > 5
    recording = Recording(path)
    windows = {r.stamp_ns: window_digest(w) for r, w in Reproducer(recording, CONFIG, model).windows()}
    seen = {stamp_ns: digest for stamp_ns, digest in model.windows if stamp_ns > 0}  # 0 warmed up
    assert len(seen) > 5
    assert {stamp_ns: windows[stamp_ns] for stamp_ns in seen} == seen
    found = compare(Reproducer(recording, CONFIG, EchoModel()).pairs())
    assert found.same, report(found)
    assert (found.results, found.compared, found.iou_min) == (len(results), len(results), 1.0)
    assert found.dropped_now == found.dropped_recorded
    assert found.age_recorded.p50_ms > found.age_now.p50_ms > 0


def test_another_network_is_told(live: tuple[Path, EchoModel, list[MaskResult]]) -> None:
    path, _, results = live
    other = EchoModel("other-11111111", salt=b"changed")
    found = compare(Reproducer(Recording(path), CONFIG, other).pairs())
    assert not found.same
    assert found.compared == len(results)
    assert found.iou_mean < 0.9
    assert found.worst[0].iou == found.iou_min
    text = report(found)
    assert "echo-00000000 -> other-11111111" in text
    assert "mask" in text


def test_other_windows_are_told(live: tuple[Path, EchoModel, list[MaskResult]]) -> None:
    path, _, _ = live
    shifted = RunConfig(
        source="synthetic",
        synthetic=CONFIG.synthetic,
        window=replace(CONFIG.window, timeshift_cam_mic_s=-0.01),
    )
    assert not compare(Reproducer(Recording(path), shifted, EchoModel()).pairs()).same


def test_results_survive_recording(live: tuple[Path, EchoModel, list[MaskResult]]) -> None:
    path, _, results = live
    recorded = [pair.recorded for pair in Reproducer(Recording(path), CONFIG, EchoModel()).pairs()]
    for a, b in zip(results, recorded, strict=True):
        assert np.array_equal(a.mask, b.mask)
        assert (a.stamp_ns, a.window_seq, a.latency_ms, a.sounding) == (
            b.stamp_ns, b.window_seq, b.latency_ms, b.sounding
        )  # fmt: skip


def test_a_missing_frame_is_told_not_guessed(
    tmp_path: Path, live: tuple[Path, EchoModel, list[MaskResult]]
) -> None:
    """A recording of other pictures with the results of this one: nothing can be made again."""
    path, _, _ = live
    recording = Recording(path)
    kept = [i for i in recording.items() if not isinstance(i, FrameItem)]
    recording.items = lambda **_: iter(kept)  # type: ignore[method-assign]
    found = compare(Reproducer(recording, CONFIG, EchoModel()).pairs())
    assert found.compared == 0
    assert sum(found.missing.values()) == found.results > 0


@pytest.mark.parametrize("pace", [Pace.FAST, Pace.REALTIME])
def test_replay_as_source_gives_the_windows_of_every_frame(
    live: tuple[Path, EchoModel, list[MaskResult]], pace: Pace
) -> None:
    """Through the whole pipeline: the windows of frames that had a result are those they had."""
    path, model, _ = live
    config = RunConfig(
        source=str(path), policy=Policy.EVERY, media=MediaConfig(pace=pace), window=CONFIG.window
    )
    again = EchoModel()
    with Pipeline(config, make_source(config), again) as pipeline:
        run_until_done(pipeline, 20)
        assert pipeline.info is not None
        assert pipeline.info.width_px == 64
    last_ns = max(i.stamp_ns for i in Recording(path).items() if isinstance(i, FrameItem))
    shift_ns = again.windows[-1][0] - last_ns
    windows = {stamp_ns - shift_ns: digest for stamp_ns, digest in again.windows}
    assert len(windows) > 30
    assert [s for s, digest in model.windows if s > 0 and windows[s] != digest] == []


def test_replay_hands_over_what_was_recorded(tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
    from recording_sink import RecordingSink

    record(tmp_path / "a.mcap", 8)
    source = Replay(tmp_path / "a.mcap", MediaConfig(pace=Pace.FAST))
    info = source.open()
    sink = RecordingSink()
    source.start(sink)
    assert sink.over.wait(10)
    source.stop()
    assert (info.width_px, info.height_px, info.live, info.sample_rate_hz) == (32, 24, False, 16_000)
    assert "test scene" in info.name
    assert sink.discontinuities[0][0] == "seek"
    assert [e for e, _, _ in sink.events] == ["decode_error"]
    assert all(np.array_equal(f.image, image(k)) for k, f in enumerate(sink.frames))
    recorded = [i for i in Recording(tmp_path / "a.mcap").items() if isinstance(i, FrameItem | AudioItem)]
    stamps = [i.stamp_ns if isinstance(i, FrameItem) else i.block.stamp_ns for i in recorded]
    played = [s for kind, s in sink.order if kind in ("frame", "audio")]
    assert {p - s for p, s in zip(played, stamps, strict=True)} == {played[0] - stamps[0]}


def test_replay_loops_and_stops(tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
    from recording_sink import RecordingSink

    record(tmp_path / "a.mcap", 3)
    source = Replay(tmp_path / "a.mcap", MediaConfig(pace=Pace.FAST, loop=True))
    source.open()
    sink = RecordingSink()
    source.start(sink)
    sink.wait_for(frames=10)
    source.stop()
    assert "loop" in {reason for reason, _ in sink.discontinuities}
    assert not sink.over.is_set()


def test_a_cut_recording_replays_and_says_so(tmp_path: Path) -> None:
    with recorder(tmp_path / "a.mcap") as out:
        sink = out.tap(NoSink(), INFO)
        for k in range(8):
            sink.frame(image(k, 240, 320), 1000 + k, 2000 + k)
    data = (tmp_path / "a.mcap").read_bytes()
    (tmp_path / "a.mcap").write_bytes(data[: len(data) * 3 // 4])
    recording = Recording(tmp_path / "a.mcap")
    assert 3 <= sum(isinstance(i, FrameItem) for i in recording.items()) < 8
    assert "ends early" in recording.damage()


def test_a_session_under_overload_is_made_again(tmp_path: Path) -> None:
    """Skipped windows, held masks and another input size: the ladder's moves are in the results."""
    config = replace(
        CONFIG,
        synthetic=SyntheticConfig(width_px=64, height_px=48, duration_s=4.0),
        overload=OverloadConfig(age_budget_s=0.05, judge_s=0.4, climb_s=0.5),
    )
    ledger, results = Ledger(), []
    models = [EchoModel(delay_s=0.09), EchoModel("small-00000000", salt=b"small", delay_s=0.09)]
    with recorder(tmp_path / "a.mcap", ledger) as out:
        source = Synthetic(config.synthetic)
        listeners = (results.append, out.publish)
        with Pipeline(config, source, models[0], listeners, out.tap, ledger, models[1]) as pipeline:
            run_until_done(pipeline, 10)
    assert "stale" in {r.state for r in results}
    assert "input_size" in {r.reset_reason for r in results}
    again = [EchoModel(), EchoModel("small-00000000", salt=b"small")]
    found = compare(Reproducer(Recording(tmp_path / "a.mcap"), config, *again).pairs())
    assert found.same, report(found)
