"""How a source is, told in the same words everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stream_avs
from stream_avs.capture.base import SourceInfo
from stream_avs.capture.tap import NoSink
from stream_avs.commands.status_view import one_line
from stream_avs.engine.statistics import Snapshot, Statistics
from stream_avs.publish.view_feed import ViewFeed
from stream_avs.ros2.diagnostics import ERROR, mask_status
from stream_avs.service.heartbeat import status_line
from stream_avs.timing.source_watch import SourceStatus
from stream_avs.types import SourceState

TILE = Path(stream_avs.__file__).parent / "publish" / "web" / "tile.js"


def snapshot(state: SourceState) -> Snapshot:
    return Statistics().snapshot(0, {}, source=SourceStatus(state=state, detail="so it is"))


@pytest.mark.parametrize("state", SourceState)
def test_terminal_service_manager_and_diagnostics(state: SourceState) -> None:
    told = f"{state.value}: so it is"
    assert (told in one_line(snapshot(state))) is (state is not SourceState.LIVE), "no word while all is well"
    assert f"source {state.value} (so it is)" in status_line(snapshot(state))
    status = mask_status("segmenter", snapshot(state), 500.0)
    assert status.values["source"] == told
    bad = state in (SourceState.RECONNECTING, SourceState.FAILED)
    assert (status.level == ERROR) is bad
    assert (told in status.message) is bad


@pytest.mark.parametrize("state", SourceState)
def test_page(state: SourceState) -> None:
    words = re.search(r"const STATES = \{(.*?)\}", TILE.read_text(), re.DOTALL)
    assert words is not None
    assert f"  {state.value}: " in words[1]
    feed = ViewFeed()
    feed.tell("cam0", state, "so it is")
    assert feed.streams()["cam0"] == {"state": state.value, "text": "so it is", "source": ""}


def test_page_of_a_session_follows_its_source() -> None:
    feed = ViewFeed()
    sink = feed.tap("cam0")(NoSink(), SourceInfo(name="camera 0"))
    assert feed.streams()["cam0"]["source"] == "camera 0"
    assert feed.streams()["cam0"]["state"] == "waiting"
    sink.announce(SourceState.RECONNECTING, "lost camera 0")
    assert feed.streams()["cam0"]["state"] == "reconnecting"
    sink.ended()
    assert feed.streams()["cam0"]["state"] == "ended"
