"""Recording and browser view beside a live session."""

from __future__ import annotations

import signal
import sys
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")
pytest.importorskip("mcap", reason="needs mcap (extra record)")

sys.path.insert(0, str(Path(__file__).parents[1] / "record"))
from recordings import EchoModel

from stream_avs.capture.synthetic import Synthetic
from stream_avs.commands.arguments import parse_arguments
from stream_avs.commands.extras import Extras, RunCommand, open_extras, short_options
from stream_avs.config import SyntheticConfig, load_yaml
from stream_avs.ledger import Ledger
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.publish.view_config import ViewConfig
from stream_avs.record.config import RecordConfig
from stream_avs.record.items import FrameItem, ResultItem
from stream_avs.record.reader import Recording


@pytest.fixture(autouse=True)
def own_signal():
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_short_options() -> None:
    argv = short_options(["--source", "synthetic", "--view", "--record=a.mcap", "--view.port", "0"])
    config = parse_arguments(RunCommand, "run", argv, "")
    assert config.view == ViewConfig(serve=True, port=0)
    assert config.record.path == "a.mcap"
    assert short_options(["--record", "b"]) == ["--record.path", "b"]


def test_yaml_holds_them_too(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "source: synthetic\nview: {serve: true, port: 0}\nrecord: {path: a.mcap, picture: jpeg}\n"
    )
    config = load_yaml(path, RunCommand)
    assert config.view.serve
    assert config.record.picture.value == "jpeg"


def test_nothing_asked_nothing_opened() -> None:
    with ExitStack() as stack:
        assert open_extras(RunCommand(source="synthetic"), "m", Ledger(), stack) == Extras()


def test_both_beside_a_session(tmp_path: Path) -> None:
    synthetic = SyntheticConfig(width_px=64, height_px=48, duration_s=1.0)
    record = RecordConfig(path=str(tmp_path / "a.mcap"), min_free_mb=0)
    config = RunCommand(
        source="synthetic", synthetic=synthetic, view=ViewConfig(serve=True, port=0), record=record
    )
    ledger = Ledger()
    with ExitStack() as stack:
        extras = open_extras(config, "echo-00000000", ledger, stack)
        (url,) = [word for note in extras.notes for word in note.split() if word.startswith("http")]
        model = EchoModel()
        with Pipeline(config, Synthetic(synthetic), model, extras.listeners, extras.tap, ledger) as pipeline:
            run_until_done(pipeline, 10)
            with urllib.request.urlopen(url) as answer:
                assert b"stream-avs" in answer.read()
    assert extras.exit_code == 0
    assert "a.mcap" in extras.reports()[0]
    items = list(Recording(tmp_path / "a.mcap").items())
    assert sum(isinstance(i, FrameItem) for i in items) == 25
    assert sum(isinstance(i, ResultItem) for i in items) > 10
    assert replace(config, view=ViewConfig()).view.serve is False
