"""The wall clock is set while a session runs: stamps, ages and carried state must not notice."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from stream_avs.nodes.overlay import PictureSink

import stream_avs
from stream_avs.benchmarks.stand_ins import DiscModel, SteadySource
from stream_avs.config import RunConfig
from stream_avs.link.receiver import ZmqSource
from stream_avs.link.sender import MediaSender
from stream_avs.link.settings import LinkConfig
from stream_avs.pipeline import Pipeline
from stream_avs.types import NS_PER_S, Event, MaskResult

PACKAGE = Path(stream_avs.__file__).parent
HOUR_S = 3600.0
IMAGE = np.zeros((8, 8, 3), np.uint8)


class Wall:
    """This process's wall clock, led by `ahead_s`; the machine's own stays as it is."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self._real_ns = time.time_ns

    def time_ns(self) -> int:
        return self._real_ns() + round(self.ahead_s * NS_PER_S)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    made = Wall()
    monkeypatch.setattr(time, "time_ns", made.time_ns)
    monkeypatch.setattr(time, "time", lambda: made.time_ns() / NS_PER_S)
    return made


class QuickModel(DiscModel):
    """Hears so little that it has its sound at once."""

    context_s = 0.2


def wait_for_more(results: list[MaskResult], count: int) -> None:
    wanted, end_s = len(results) + count, time.monotonic() + 20
    while len(results) < wanted:
        assert time.monotonic() < end_s
        time.sleep(0.01)


def check(results: list[MaskResult], pipeline: Pipeline) -> None:
    """Stamps grow as ever, nothing was reset, and the Unix time of the stamps followed the wall clock."""
    stamps = [r.stamp_ns for r in results]
    assert stamps == sorted(set(stamps))
    assert max(r.age_ms for r in results) < 2000
    assert {r.reset_reason for r in results} <= {"", "start"}
    assert pipeline.ledger.counts()[Event.WALL_CLOCK] == 2
    offsets_s = [round((r.unix_offset_ns - results[0].unix_offset_ns) / NS_PER_S) for r in results]
    assert list(dict.fromkeys(offsets_s)) == [0, HOUR_S, -HOUR_S]


def test_a_session_goes_on_undisturbed(wall: Wall) -> None:
    results: list[MaskResult] = []
    config = RunConfig(source="steady", status=False)
    with Pipeline(config, SteadySource(32, 24, 50.0, 60.0), QuickModel(), (results.append,)) as pipeline:
        pipeline.start()
        for ahead_s in (0.0, HOUR_S, -HOUR_S):
            wall.ahead_s = ahead_s
            wait_for_more(results, 15)
        assert 5 < pipeline.snapshot().masks_per_s < 100
    check(results, pipeline)


def test_a_link_goes_on_undisturbed(wall: Wall, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    link = LinkConfig(address=f"ipc://{tmp_path}/link")
    results: list[MaskResult] = []
    steady = SteadySource(32, 24, 50.0, 60.0)
    config = RunConfig(source="link", status=False)
    with (
        MediaSender(link, "cam0") as sender,
        Pipeline(config, ZmqSource(link), QuickModel(), (results.append,)) as pipeline,
    ):
        pipeline.start()
        steady.start(sender)
        for ahead_s in (0.0, HOUR_S, -HOUR_S):
            wall.ahead_s = ahead_s
            wait_for_more(results, 15)
        steady.stop()
    check(results, pipeline)


def test_masks_find_their_pictures_again_after_the_clock_was_set(wall: Wall) -> None:
    results: list[MaskResult] = []
    config = RunConfig(source="steady", status=False)
    pictures = PictureSink(20)
    with Pipeline(config, SteadySource(32, 24, 50.0, 60.0), QuickModel(), (results.append,)) as pipeline:
        pipeline.start()
        for ahead_s in (0.0, HOUR_S):
            wall.ahead_s = ahead_s
            wait_for_more(results, 3)
            result = results[-1]
            pictures.frame(IMAGE, result.stamp_ns, result.arrival_ns)
            assert pictures.find(result) is not None


READS_WALL_TIME = re.compile(
    r"time\.(time|time_ns|localtime|gmtime|strftime|ctime)\b|datetime\.now|\.utcnow|\.today\("
)
MAY_READ_WALL_TIME = {
    "clock.py",  # the one offset that all Unix times are made with
    "ros2/dds/segmenter_process.py",  # ROS time is the wall clock, see RosClock
    "publish/websocket.py",  # tells the page what time it is
    "record/recorder.py",  # names a folder
    "engine/backends/cache.py",  # ages of files
    "soak/run.py",  # heads a report
}
"""And the commands, drills and calibration, which date what they write."""


def test_no_other_part_reads_the_wall_clock() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        dated = name.startswith(("commands/", "drills/", "calibration/", "training/", "benchmarks/"))
        if not dated and READS_WALL_TIME.search(path.read_text()):
            found.add(name)
    assert found <= MAY_READ_WALL_TIME
