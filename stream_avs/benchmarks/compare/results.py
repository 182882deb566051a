"""Raw results as one JSON file: what was compared, on what, and every run by itself."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from stream_avs.benchmarks.compare.scale import Scale
from stream_avs.benchmarks.machine import Machine, this_machine
from stream_avs.config import from_mapping
from stream_avs.errors import ConfigError
from stream_avs.training.files import make_folder, write_text_whole

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One column.

    Attributes:
        key: in `RunResult.scores`.
        title: for people.
        unit: "" for shares that are shown in points.
        more_is_better: which way is good.
    """

    key: str
    title: str
    unit: str = ""
    more_is_better: bool = True


METRICS = (
    Metric(key="j", title="J"),
    Metric(key="f", title="F"),
    Metric(key="silence_alarms", title="alarms in silence", more_is_better=False),
    Metric(key="silence_area", title="area in silence", more_is_better=False),
    Metric(key="off_screen_alarms", title="alarms off screen", more_is_better=False),
    Metric(key="off_screen_area", title="area off screen", more_is_better=False),
    Metric(key="switch_s", title="switch delay", unit="s", more_is_better=False),
    Metric(key="switch_missed", title="switches missed", more_is_better=False),
)
"""J and F on clips with a visible source; the share of quiet frames of which more than 1 % is masked, and the
mean share of a quiet frame that is; the time until the mask follows a change of the sound, where it does,
and the share of changes that it does not follow before the next."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """One entry trained and scored with one seed.

    Attributes:
        entry: name.
        seed: of the run.
        steps: taken.
        best_step: whose network was scored: the best J on val.
        train_cpu_s: processor seconds of training, scoring of val included; of a run that was stopped, since
            it went on.
        scores: by `Metric.key`, and the areas of the alarms; NaN where there was nothing to measure.
        counts: frames and switches that the scores are means over.
    """

    entry: str
    seed: int
    steps: int
    best_step: int
    train_cpu_s: float
    scores: dict[str, float]
    counts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one mask of an entry costs, live: the newest frame encoded, the window fused, one mask made.

    Attributes:
        entry: name.
        parameters: all, encoders included.
        mmac: 10^6 multiply-accumulates.
        ms: median wall time, one thread, all entries taking turns.
        cpu_ms: median processor time.
        rounds: that the medians are over.
    """

    entry: str
    parameters: int
    mmac: float
    ms: float
    cpu_ms: float
    rounds: int


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything measured so far.

    Attributes:
        scale: common to all runs.
        machine: that the costs were measured on.
        runs: finished ones.
        costs: of one mask.
    """

    scale: Scale
    machine: Machine
    runs: tuple[RunResult, ...] = field(default=())
    costs: tuple[Cost, ...] = field(default=())

    def has(self, entry: str, seed: int) -> bool:
        """Whether that run is there."""
        return any(run.entry == entry and run.seed == seed for run in self.runs)

    def with_run(self, run: RunResult) -> Results:
        """These and one more run."""
        return replace(self, runs=(*self.runs, run))

    def with_costs(self, costs: tuple[Cost, ...]) -> Results:
        """The same runs with new costs, measured here."""
        return replace(self, costs=costs, machine=this_machine())


def open_results(path: Path, scale: Scale) -> Results:
    """The results in `path`, to be added to; none if there is no such file.

    Raises:
        ConfigError: the file is damaged, or holds a comparison at another scale.
    """
    if not path.exists():
        return Results(scale=scale, machine=this_machine())
    results = read_results(path)
    if results.scale != scale:
        mine, theirs = asdict(scale), asdict(results.scale)
        key = next(key for key in mine if mine[key] != theirs[key])
        raise ConfigError(
            f"{path} holds a comparison with scale.{key} {theirs[key]!r}, not {mine[key]!r}",
            "Give it another --out, or the same scale",
        )
    return results


def read_results(path: Path) -> Results:
    """Read a results file.

    Raises:
        ConfigError: missing, damaged, or of another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ConfigError(
                f"results {path} have format {content.get('format')!r}, not {FORMAT}", "Compare again"
            )
        return Results(
            scale=from_mapping(content["scale"], Scale),
            machine=msgspec.convert(content["machine"], Machine),
            runs=tuple(_run(run) for run in content["runs"]),
            costs=tuple(msgspec.convert(cost, Cost) for cost in content["costs"]),
        )
    except FileNotFoundError:
        raise ConfigError(f"there are no results in {path}", "Check the path, or compare first") from None
    except (OSError, KeyError, AttributeError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise ConfigError(f"results {path} cannot be read: {error}", "Compare again") from None


def write_results(path: Path, results: Results) -> None:
    """Replace the results file in one step.

    Raises:
        ConfigError: it cannot be written.
    """
    content = {"format": FORMAT, "command": rebuild(results), **_finite(asdict(results))}
    make_folder(path.parent)
    try:
        write_text_whole(path, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", "Choose another folder with --out"
        ) from None


def rebuild(results: Results) -> str:
    """The command that makes these results again."""
    names = list(dict.fromkeys(run.entry for run in results.runs))
    seeds = 1 + max((run.seed for run in results.runs), default=0)
    default = asdict(Scale())
    scale = "".join(
        f" --scale.{key.replace('_', '-')} {value}"
        for key, value in asdict(results.scale).items()
        if value != default[key]
    )
    return f"stream-avs compare --entries {' '.join(names)} --seeds {seeds}{scale}"


def _run(content: dict[str, Any]) -> RunResult:
    scores = {key: math.nan if value is None else value for key, value in content["scores"].items()}
    return msgspec.convert({**content, "scores": scores}, RunResult)


def _finite(value: Any) -> Any:
    """JSON knows no NaN: null stands for it. Figures are kept to six decimals."""
    if isinstance(value, dict):
        return {key: _finite(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(below) for below in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
