"""Drills on what makes the masks: it dies, it hangs, its numbers go bad. With the real `nano` too."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from dataclasses import replace
from pathlib import Path

from stream_avs.capture.synthetic import Synthetic
from stream_avs.clock import monotonic_ns
from stream_avs.config import ModelConfig
from stream_avs.drills.endure import endure
from stream_avs.drills.report import Check, Drill, Outcome, Times
from stream_avs.drills.rig import Rig, Seen
from stream_avs.drills.truth import SCENE, SceneTruth, TruthModel
from stream_avs.models.base import AnyModel, Decision, Stages
from stream_avs.types import NS_PER_S, Event, ResultState, Window


class _KilledError(Exception):
    """Raised inside the worker's thread, wherever it is."""


class _Fragile(TruthModel):
    """Gives numbers that are none from the moment it is poisoned; another one built later does not."""

    poisoned = False

    def step(self, window: Window, state: int, stages: Stages) -> tuple[Decision, int]:
        """See `StreamModel.step`."""
        decision, state = super().step(window, state, stages)
        if self.poisoned:
            decision = replace(decision, sounding_score=math.nan)
        return decision, state


def _kill(name: str = "worker") -> None:
    """Raise an exception in a running thread."""
    for thread in threading.enumerate():
        if thread.name == name and thread.ident is not None:
            kill = ctypes.pythonapi.PyThreadState_SetAsyncExc
            kill(ctypes.c_ulong(thread.ident), ctypes.py_object(_KilledError))


def _worker_killed(folder: Path, times: Times) -> Outcome:
    source = Synthetic(SCENE)
    with Rig(source, load=lambda: (TruthModel(), TruthModel())) as rig:
        rig.truth = SceneTruth(source.scene, source.start_ns)
        outcome = endure(rig, replace(times, fault_s=0), _kill, shows="masks: reset")
    return _restarted(rig, outcome)


def _engine_poisoned(folder: Path, times: Times) -> Outcome:
    source, model = Synthetic(SCENE), _Fragile()

    def poison() -> None:
        model.poisoned = True

    with Rig(source, model=model, load=lambda: (_Fragile(), _Fragile())) as rig:
        rig.truth = SceneTruth(source.scene, source.start_ns)
        outcome = endure(rig, replace(times, fault_s=0), poison, shows="masks: reset")
    return _restarted(rig, outcome)


def _restart(rig: Rig, times: Times) -> tuple[int, Seen | None]:
    """Replace worker and engine; when that was asked, and the first result after it."""
    supervisor = rig.pipeline.supervisor
    assert supervisor is not None, "the session has not been started"
    killed_ns = monotonic_ns()
    supervisor.restart("drill")
    return killed_ns, rig.wait(
        lambda seen: seen.result.state is ResultState.RESET, killed_ns, times.patience_s
    )


def _restarted(rig: Rig, outcome: Outcome, wanted: int = 1) -> Outcome:
    restarts = rig.ledger.counts().get(Event.RESTART, 0)
    outcome.checks.append(Check(name="workers replaced", found=str(restarts), passed=restarts == wanted))
    return outcome


def _nano_rebuilt(folder: Path, times: Times) -> Outcome:
    """The time a real network takes to be built again and to make its first mask."""
    from stream_avs.models.registry import load_model

    config = ModelConfig(preset="nano")

    def load() -> tuple[AnyModel, AnyModel]:
        model = load_model(config)
        return model, model

    with Rig(Synthetic(SCENE), model=load_model(config), load=load) as rig:
        first = rig.wait(lambda seen: seen.result.state is ResultState.OK, 0, times.patience_s)
        # The thread that builds networks keeps helpers from the first time on.
        _restart(rig, times)
        time.sleep(times.settle_s)
        before, told = rig.usage(), len(rig.shown)
        killed_ns, reset = _restart(rig, times)
        time.sleep(times.calm_s)
        after = [seen.result.state for seen in rig.seen(reset.at_ns if reset else killed_ns)]
        checks = [
            Check(name="first mask", found="came" if first else "none", passed=first is not None),
            Check(name="masks after it", found=str(len(after)), passed=len(after) > 2),
            *rig.no_growth(before),
        ]
        shown = tuple(rig.shown[max(0, told - 1) :])
        checks += rig.close()
    recovery_s = None if reset is None else (reset.at_ns - killed_ns) / NS_PER_S
    return _restarted(rig, Outcome(shown=shown, recovery_s=recovery_s, checks=checks), wanted=2)


DRILLS = (
    Drill(
        name="worker-killed", what="an exception is raised in the worker's thread",
        act=_worker_killed, bound_s=3.0,
    ),
    Drill(
        name="engine-poisoned", what="the network's numbers become NaN for good",
        act=_engine_poisoned, bound_s=3.0,
    ),
    Drill(
        name="worker-killed-nano", what="worker and engine of the preset nano are thrown away",
        act=_nano_rebuilt, bound_s=3.0,
    ),
)  # fmt: skip
