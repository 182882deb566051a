"""Drills on what is captured: frames that never come, and sound that is no sound."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from stream_avs.capture.base import Sink, SourceInfo
from stream_avs.capture.passing_sink import PassingSink
from stream_avs.capture.synthetic import Synthetic
from stream_avs.drills.endure import endure, endure_unbroken
from stream_avs.drills.report import Check, Drill, Outcome, Times
from stream_avs.drills.rig import Rig
from stream_avs.drills.truth import SCENE, SceneTruth
from stream_avs.types import AudioBlock, Event, Image, Samples, StampSource

LOST_SHARE = 0.05


class _Faulty(PassingSink):
    """Passes on what is captured, with faults while `on` is set."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self.on = threading.Event()
        self.lost = 0
        self.spoil: Callable[[Samples], Samples] | None = None
        self._random = random.Random(0)

    def frame(
        self,
        image: Image,
        stamp_ns: int,
        arrival_ns: int,
        *,
        frame_id: str = "camera",
        stamp_source: StampSource = StampSource.ARRIVAL,
    ) -> None:
        """See `Sink.frame`."""
        if self.on.is_set() and self.spoil is None and self._random.random() < LOST_SHARE:
            self.lost += 1
            return
        super().frame(image, stamp_ns, arrival_ns, frame_id=frame_id, stamp_source=stamp_source)

    def audio(self, block: AudioBlock) -> None:
        """See `Sink.audio`."""
        if self.on.is_set() and self.spoil is not None:
            block = replace(block, samples=self.spoil(block.samples))
        super().audio(block)


class _Taps:
    """Makes the faulty sink when the source starts."""

    def __init__(self) -> None:
        self.sink: _Faulty | None = None

    def __call__(self, sink: Sink, info: SourceInfo) -> Sink:
        self.sink = _Faulty(sink)
        return self.sink

    @property
    def faulty(self) -> _Faulty:
        assert self.sink is not None, "the source has not been started"
        return self.sink


def _frames_lost(folder: Path, times: Times) -> Outcome:
    source, taps = Synthetic(SCENE), _Taps()
    with Rig(source, tap=taps) as rig:
        rig.truth = SceneTruth(source.scene, source.start_ns)
        outcome = endure_unbroken(rig, times, taps.faulty.on.set, limit_s=1.0)
    lost, resets = taps.faulty.lost, rig.ledger.counts().get(Event.DISCONTINUITY, 0)
    outcome.checks.append(Check(name="frames lost, resets", found=f"{lost}, {resets}", passed=resets == 0))
    return outcome


def _bad_sound(spoil: Callable[[Samples], Samples], shows: str) -> Callable[[Path, Times], Outcome]:
    def act(folder: Path, times: Times) -> Outcome:
        source, taps = Synthetic(SCENE), _Taps()
        with Rig(source, tap=taps) as rig:
            rig.truth = SceneTruth(source.scene, source.start_ns)
            taps.faulty.spoil = spoil
            outcome = endure(rig, times, taps.faulty.on.set, taps.faulty.on.clear, shows)
        failed = rig.ledger.counts().get(Event.STEP_ERROR, 0)
        outcome.checks.append(Check(name="steps failed", found=str(failed), passed=failed == 0))
        return outcome

    return act


def _not_a_number(samples: Samples) -> Samples:
    return np.full_like(samples, np.nan)


def _clipped(samples: Samples) -> Samples:
    """A microphone amplifier turned up far too high."""
    return np.clip(samples * 1000, -1, 1).astype(np.float32)


DRILLS = (
    Drill(name="frames-lost", what="5 % of the frames never come", act=_frames_lost, bound_s=None),
    Drill(
        name="sound-nan", what="the microphone delivers NaN",
        act=_bad_sound(_not_a_number, "masks: no_audio"),
    ),
    Drill(name="sound-clipped", what="the microphone is clipped", act=_bad_sound(_clipped, "")),
)  # fmt: skip
