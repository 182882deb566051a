"""The results as Markdown: networks side by side, and CCFormer's components with the paper's claims."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stream_avs.benchmarks.compare.aggregate import Difference, Spread, by_seed, difference, spread
from stream_avs.benchmarks.compare.entries import ENTRIES, REFERENCE, Entry, Group
from stream_avs.benchmarks.compare.results import METRICS, Cost, Metric, Results

_NOTHING = "-"


def to_markdown(results: Results) -> str:
    """Both tables, with what they were measured on."""
    parts = [_opening(results), _networks(results)]
    if any(run.entry in _names(Group.COMPONENT) for run in results.runs):
        parts.append(_components(results))
    return "\n\n".join(parts) + "\n"


def _opening(results: Results) -> str:
    scale, seeds = results.scale, len({run.seed for run in results.runs})
    any_run = results.runs[0].counts if results.runs else {}
    return (
        f"{len(results.runs)} runs, {seeds} seeds: {scale.steps} steps of {scale.batch} composed clips "
        f"({scale.frames} frames of {scale.input_px} px), small encoders from scratch, the same scenes and "
        f"order for every network. Scores in % (switch delay in s), mean ± standard deviation over seeds, "
        f"on {any_run.get('frames', 0)} sounding, {any_run.get('silent_frames', 0)} silent and "
        f"{any_run.get('off_screen_frames', 0)} off-screen frames and {any_run.get('switches', 0)} switches "
        f"of each run. Cost of one live mask: processor time, one thread of {results.machine.cpu}. "
        f"* the 95 % interval leaves out zero. A comparison at this scale says little about the networks "
        f"at theirs."
    )


def _networks(results: Results) -> str:
    head = ["", *map(_title, METRICS), "J against CCFormer (95 %)", "M parameters", "MMAC", "CPU ms", "n"]
    costs = {cost.entry: cost for cost in results.costs}
    rows = []
    for entry in _present(results, Group.NETWORK):
        cost = costs.get(entry.name)
        parameters = f"{cost.parameters / 1e6:.2f}" if cost else _NOTHING
        *scores, n = _scores(results, entry)
        rows.append([entry.title, *scores, parameters, *_cost(cost), n])
    return _table(head, rows)


def _components(results: Results) -> str:
    head = [
        "CCFormer", *map(_title, METRICS), "J against full (95 %)", "the paper's: MS3, S4",
        "MMAC", "CPU ms", "n",
    ]  # fmt: skip
    costs = {cost.entry: cost for cost in results.costs}
    rows = []
    for entry in (ENTRIES[REFERENCE], *_present(results, Group.COMPONENT)):
        title = "full" if entry.name == REFERENCE else entry.title
        *scores, n = _scores(results, entry)
        rows.append([title, *scores, _claim(entry), *_cost(costs.get(entry.name)), n])
    return _table(head, rows)


def _scores(results: Results, entry: Entry) -> list[str]:
    """All metrics, J against the reference, and the number of runs."""
    runs, key = results.runs, METRICS[0].key
    cells = [_spread(spread(by_seed(runs, entry.name, metric.key).values()), metric) for metric in METRICS]
    against = _NOTHING
    if entry.name != REFERENCE:
        against = _difference(difference(by_seed(runs, entry.name, key), by_seed(runs, REFERENCE, key)))
    return [*cells, against, str(len(by_seed(runs, entry.name, key)))]


def _present(results: Results, group: Group) -> list[Entry]:
    run = {run.entry for run in results.runs}
    return [entry for entry in ENTRIES.values() if entry.group is group and entry.name in run]


def _names(group: Group) -> set[str]:
    return {entry.name for entry in ENTRIES.values() if entry.group is group}


def _title(metric: Metric) -> str:
    return f"{metric.title} {'↑' if metric.more_is_better else '↓'}"


def _spread(value: Spread, metric: Metric) -> str:
    if not value.n:
        return _NOTHING
    scale, digits = (1, 2) if metric.unit else (100, 1)
    sd = "" if math.isnan(value.sd) else f" ± {scale * value.sd:.{digits}f}"
    return f"{scale * value.mean:.{digits}f}{sd}"


def _difference(value: Difference) -> str:
    if not value.n:
        return _NOTHING
    margin = "" if math.isinf(value.margin) else f" ± {100 * value.margin:.1f}"
    mark = "" if not value.clear else " *"
    return f"{100 * value.mean:+.1f}{margin}{mark}"


def _claim(entry: Entry) -> str:
    return f"{entry.claim[0]:+.1f}, {entry.claim[1]:+.1f}" if entry.claim else _NOTHING


def _cost(cost: Cost | None) -> list[str]:
    return [f"{cost.mmac:.1f}", f"{cost.cpu_ms:.1f}"] if cost else [_NOTHING] * 2


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
