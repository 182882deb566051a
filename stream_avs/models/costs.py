"""What every preset costs, counted once and kept beside the code. Imports no torch.

Counting builds the network on torch's meta device and takes seconds, too long for a list. The file is
written by `stream-avs model list --recount`, and tests count again.
"""

from __future__ import annotations

import importlib.resources
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from stream_avs.models.architectures import preset_names

FILE = Path(str(importlib.resources.files("stream_avs.models"))) / "costs.json"
"""Where the counts are kept."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one preset costs at its own input size.

    Attributes:
        parameters: without VGGish, which stays frozen and which papers do not count.
        live_macs: multiply-accumulates of one new mask of a live stream.
    """

    parameters: int
    live_macs: int


def kept_costs() -> dict[str, Cost]:
    """The costs in the file, by the name that commands use; presets added since are missing."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Cost])


def count(name: str) -> Cost:
    """Count a preset by the name that commands use; imports torch and takes seconds."""
    from stream_avs.models.budget import budget

    architecture, preset = preset_names()[name]
    counted = budget(architecture.presets[preset])
    return Cost(parameters=counted.total.parameters, live_macs=counted.live_macs)


def recount() -> dict[str, Cost]:
    """Count every preset and write the file.

    Raises:
        OSError: it cannot be written.
    """
    costs = {name: count(name) for name in preset_names()}
    lines = ",\n".join(
        f'  "{name}": {msgspec.json.encode(asdict(cost)).decode()}' for name, cost in costs.items()
    )
    FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    return costs
