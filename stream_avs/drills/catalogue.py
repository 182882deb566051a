"""All drills, in the order in which they are done."""

from __future__ import annotations

from stream_avs.drills import clocks, frames, machine, microphone, network, readers, worker
from stream_avs.drills.report import Drill
from stream_avs.errors import ConfigError, nearest

DRILLS: tuple[Drill, ...] = (
    *network.DRILLS, *microphone.DRILLS, *clocks.DRILLS, *frames.DRILLS, *worker.DRILLS, *machine.DRILLS,
    *readers.DRILLS,
)  # fmt: skip


def chosen(names: tuple[str, ...]) -> tuple[Drill, ...]:
    """The drills of these names, all of them for none.

    Raises:
        ConfigError: there is no such drill.
    """
    known = {drill.name: drill for drill in DRILLS}
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no drill {name!r}", nearest(name, known))
    return tuple(known[name] for name in names) or DRILLS
