"""A session logged for Rerun, read back from its file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from recordings import INFO, EchoModel, image

rerun = pytest.importorskip("rerun", reason="needs rerun-sdk (extra rerun)")
sys.path.insert(0, str(Path(__file__).parents[1] / "publish"))
from wire_results import make_result  # noqa: E402

from stream_avs.capture.synthetic import Synthetic  # noqa: E402
from stream_avs.capture.tap import NoSink  # noqa: E402
from stream_avs.config import RunConfig, SyntheticConfig  # noqa: E402
from stream_avs.errors import PublishError  # noqa: E402
from stream_avs.pipeline import Pipeline, run_until_done  # noqa: E402
from stream_avs.record.config import RerunConfig  # noqa: E402
from stream_avs.record.item_sender import MAX_WAITING  # noqa: E402
from stream_avs.record.rerun_log import RerunLog, in_source_pixels  # noqa: E402


def test_a_session_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.rrd"
    config = RunConfig(
        source="synthetic", synthetic=SyntheticConfig(width_px=64, height_px=48, duration_s=1.0)
    )
    results = []
    with RerunLog(RerunConfig(to=str(path)), "cam0") as log:
        source = Synthetic(config.synthetic)
        with Pipeline(config, source, EchoModel(), (results.append, log.publish), log.tap) as pipeline:
            run_until_done(pipeline, 10)
    assert path.stat().st_size > 5_000
    content = path.read_bytes()
    for entity in (
        b"cam0/picture",
        b"cam0/picture/mask",
        b"cam0/plots/age_ms",
        b"AnnotationContext",
        b"window_seq",
    ):
        assert entity in content, entity


def test_masks_lie_over_the_picture() -> None:
    result = make_result(source_size=(640, 480))
    mask = in_source_pixels(result)
    assert mask.shape == (480, 640)
    expected = np.repeat(np.repeat(result.mask, 20, axis=0), 20, axis=1)
    assert np.mean(mask == expected) > 0.97  # pixels half way between two may go to either
    assert set(np.unique(mask)) == {0, 1, 7}


def test_what_is_too_much_is_dropped_and_counted(tmp_path: Path) -> None:
    from stream_avs.ledger import Ledger
    from stream_avs.types import Event

    ledger = Ledger()
    with RerunLog(RerunConfig(to=str(tmp_path / "a.rrd")), "cam0", ledger) as log:
        sink = log.tap(NoSink(), INFO)
        big = np.repeat(np.repeat(image(0), 30, axis=0), 30, axis=1)
        for k in range(4 * MAX_WAITING):
            sink.frame(big, k, k)
        assert log._sender.waiting <= MAX_WAITING
    assert ledger.counts()[Event.PUBLISH_DROP] > 0


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="cannot log to"):
        RerunLog(RerunConfig(to=str(tmp_path / "no" / "folder" / "a.rrd")), "cam0")
    with pytest.raises(PublishError, match="cannot log to"):
        RerunLog(RerunConfig(to="http://nonsense"), "cam0")
