"""Drills on a network camera: it is switched off and on, and it falls silent."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stream_avs.capture.media import Media
from stream_avs.config import MediaConfig
from stream_avs.drills.broadcast import Broadcast
from stream_avs.drills.endure import endure
from stream_avs.drills.report import Drill, Outcome, Times
from stream_avs.drills.rig import RIGHT_DECODED, Rig
from stream_avs.drills.truth import SCENE, SceneTruth

DELAYS_S = tuple(float(d) for d in np.arange(0.0, 1.0, 0.02))
"""By so much pictures may be stamped late: encoding, sending and the estimate of the stream's clock."""

_MEDIA = MediaConfig(timeout_s=2.0)


def _drill(
    strike: Callable[[Broadcast], None], mend: Callable[[Broadcast], None]
) -> Callable[[Path, Times], Outcome]:
    def act(folder: Path, times: Times) -> Outcome:
        camera = Broadcast(SCENE)
        try:
            with Rig(Media(camera.url, _MEDIA), media=_MEDIA, right=RIGHT_DECODED) as rig:
                rig.truth = SceneTruth(camera.scene, camera.begin_ns, delays_s=DELAYS_S)
                return endure(
                    rig, times, lambda: strike(camera), lambda: mend(camera), shows="reconnecting", rounds=2
                )
        finally:
            camera.stop()

    return act


def _needs() -> str:
    return "" if importlib.util.find_spec("av") else "needs PyAV (pip install 'stream-avs[live]')"


DRILLS = (
    Drill(
        name="source-lost", what="a network camera is switched off and on again",
        act=_drill(Broadcast.stop, Broadcast.start), needs=_needs,
    ),
    Drill(
        name="source-silent", what="a network camera sends nothing, its connection stays",
        act=_drill(lambda camera: camera.silent.set(), lambda camera: camera.silent.clear()), needs=_needs,
    ),
)  # fmt: skip
