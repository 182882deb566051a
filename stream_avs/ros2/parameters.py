"""ROS parameters from the config dataclasses: one definition for YAML, command line and parameters.

    WindowConfig.frames  ->  parameter window.frames, its docstring the description

Names, types, defaults and descriptions are read from the dataclasses. Ranges, which the dataclasses
check in code, stand in `RANGES`; a test holds them against that code.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import textwrap
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from stream_avs.config import from_mapping

T = TypeVar("T")

Value = bool | int | float | str


class Change(enum.StrEnum):
    """When a parameter may be set."""

    LIVE = "live"  # at any time, takes effect at once
    INACTIVE = "inactive"  # while the node is not active
    START = "start"  # when the node is started only: read-only


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of a node.

    Attributes:
        name: with dots, e.g. "window.frames".
        kind: bool, int, float or str.
        default: of that kind.
        description: one paragraph.
        low, high: inclusive bounds of a number, None without.
        choices: the values of a text parameter; empty for any.
        change: when it may be set.
    """

    name: str
    kind: type
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    change: Change = Change.INACTIVE


TINY = 1e-3
"""Stands for an open lower bound of 0: ROS ranges include their ends."""

RANGES: dict[str, tuple[float, float]] = {
    "camera.width_px": (1, 16384),
    "camera.height_px": (1, 16384),
    "camera.fps": (TINY, 1000),
    "microphone.sample_rate_hz": (0, 192_000),
    "microphone.channels": (1, 64),
    "microphone.block_ms": (1, 500),
    "microphone.latency_s": (TINY, 2),
    "media.timeout_s": (0.1, 600),
    "synthetic.width_px": (16, 8192),
    "synthetic.height_px": (16, 8192),
    "synthetic.fps": (TINY, 240),
    "window.frames": (1, 46),
    "window.frame_spacing_s": (0, 60),
    "window.staleness_budget_s": (TINY, 60),
    "window.audio_wait_s": (0, 10),
    "window.gap_s": (TINY, 3600),
    "window.timeshift_cam_mic_s": (-2, 2),
    "window.frame_slots": (7, 4096),
    "window.audio_buffer_s": (1, 600),
    "model.threshold": (-1, 1),
    "model.threads": (1, 256),
    "overload.age_budget_s": (0.01, 60),
    "overload.judge_s": (0.1, 60),
    "overload.climb_s": (0.1, 60),
    "supervise.first_s": (0.01, 60),
    "supervise.factor": (1, 10),
    "supervise.most_s": (0.01, 600),
    "supervise.jitter": (0, 1),
    "supervise.hang_s": (0.1, 3600),
    "supervise.restarts": (0, 1000),
    "supervise.span_s": (1, 86_400),
    "reconnect.first_s": (0.01, 60),
    "reconnect.factor": (1, 10),
    "reconnect.most_s": (0.01, 600),
    "reconnect.jitter": (0, 1),
    "reconnect.give_up_after_s": (0, 1e6),
    "ros.overlay_opacity": (0, 1),
    "ros.diagnostics_period_s": (0.1, 60),
    "history": (1, 300),
}
"""Inclusive bounds of numbers."""

LIVE = frozenset({"ros.overlay_opacity", "ros.mask_size"})
AT_START = frozenset({"name", "ros.output_qos", "ros.diagnostics_period_s"})
NO_PARAMETERS = frozenset({"publish", "overlay", "status", "duration_s", "policy"})
"""Fields of `RunConfig` that mean nothing to a node."""


def parameters_of(config: type) -> tuple[Parameter, ...]:
    """All parameters of a config dataclass and the dataclasses inside it, in their order."""
    return tuple(_walk(config, ""))


def config_from(config: type[T], values: Mapping[str, Value]) -> T:
    """Build the dataclass from parameter values by dotted name; what is not given keeps its default.

    Raises:
        ConfigError: an unknown name, a wrong type or a value out of range.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return from_mapping(nested, config)


def describe(parameter: Parameter) -> str:
    """The description a ROS descriptor gets: what it is, choices, and when it may be set."""
    parts = [parameter.description]
    if parameter.choices:
        parts.append(f"One of: {', '.join(parameter.choices)}.")
    if parameter.change is Change.INACTIVE:
        parts.append("Set it while the node is not active.")
    elif parameter.change is Change.START:
        parts.append("Set it when the node is started.")
    return " ".join(parts)


def refusal(parameter: Parameter, *, active: bool) -> str:
    """Why a parameter may not be set now; "" if it may."""
    if parameter.change is Change.START:
        return f"{parameter.name} is set when the node is started only"
    if parameter.change is Change.INACTIVE and active:
        return f"{parameter.name} cannot change while the node is active; deactivate it first"
    return ""


def _walk(config: type, prefix: str) -> list[Parameter]:
    hints, docs = typing.get_type_hints(config), _field_docs(config)
    found: list[Parameter] = []
    for field in dataclasses.fields(config):
        if not prefix and field.name in NO_PARAMETERS:
            continue
        name, hint = prefix + field.name, hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found += _walk(hint, f"{name}.")
            continue
        found.append(_parameter(name, hint, field.default, docs.get(field.name, "")))
    return found


def _parameter(name: str, hint: Any, default: Any, doc: str) -> Parameter:
    choices: tuple[str, ...] = ()
    if issubclass(hint, enum.Enum):
        choices = tuple(str(member.value) for member in hint)
        hint, default = str, str(default.value)
    low, high = RANGES.get(name, (None, None))
    change = Change.LIVE if name in LIVE else Change.START if name in AT_START else Change.INACTIVE
    return Parameter(
        name=name, kind=hint, default=hint(default), description=doc, low=low, high=high,
        choices=choices, change=change,
    )  # fmt: skip


def _field_docs(config: type) -> dict[str, str]:
    """Docstrings below the fields of a dataclass and its parents, white space folded."""
    docs: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(node, ast.ClassDef)
        for field, doc in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                text = doc.value if isinstance(doc, ast.Expr) else None
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    docs[field.target.id] = " ".join(text.value.split())
    return docs
