"""`stream-avs compare`: train every network alike, and CCFormer without each of its parts; score all."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from stream_avs.benchmarks.compare.cost import measure_costs
from stream_avs.benchmarks.compare.entries import ENTRIES, entry
from stream_avs.benchmarks.compare.plot import plot_results
from stream_avs.benchmarks.compare.results import Results, open_results, read_results, write_results
from stream_avs.benchmarks.compare.run_one import run_one
from stream_avs.benchmarks.compare.scale import Scale
from stream_avs.benchmarks.compare.table import to_markdown
from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import require
from stream_avs.errors import ConfigError
from stream_avs.training.files import make_folder, write_text_whole
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.stop import StopRequest, stop_request

DESCRIPTION = f"""\
Train networks at equal small scale on the same composed scenes, with the same encoders, steps and
optimiser, several seeds each; score J, F, what they mask in silence and for sounds off screen, and how
soon they follow a sound that moves; count and time one live mask. Needs no files; one CPU core.

Entries: {", ".join(name for name, one in ENTRIES.items() if not one.on_request)}.
Only where named: {", ".join(name for name, one in ENTRIES.items() if one.on_request)}.

Results are kept after every run, in OUT/results.json: the same command goes on where it was stopped,
and with more seeds or entries adds to what is there.

  stream-avs compare                                     everything, three seeds: about 25 minutes
  stream-avs compare --entries ccformer tpavi --seeds 1  two networks, once: about a minute
  stream-avs compare --show --plot compare.png           table and picture of what is there
"""


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What to compare, and where to keep it."""

    out: str = "out/compare"
    """Folder for checkpoints and results."""
    results: str = ""
    """File of the raw results; empty for OUT/results.json."""
    entries: tuple[str, ...] = tuple(name for name, one in ENTRIES.items() if not one.on_request)
    """What to train."""
    seeds: int = 3
    """Runs of each, from seed 0 on."""
    scale: Scale = field(default_factory=Scale)
    rounds: int = 40
    """Masks timed of each entry; 0 leaves the costs as they are."""
    show: bool = False
    """Train nothing; show the results that are there."""
    table: str = ""
    """Write the tables to this Markdown file too."""
    plot: str = ""
    """Draw the results to this PNG file."""

    def __post_init__(self) -> None:
        for name in self.entries:
            entry(name)
        require(1 <= self.seeds <= 100, "seeds", self.seeds, "1..100")
        require(0 <= self.rounds <= 10_000, "rounds", self.rounds, "0..10000")

    @property
    def results_path(self) -> Path:
        """Where the raw results are."""
        return Path(self.results) if self.results else Path(self.out) / "results.json"


def run(argv: list[str]) -> int:
    """Compare and show; returns 0, or 130 or 143 when a signal stopped it."""
    config = parse_arguments(CompareConfig, "compare", argv, DESCRIPTION)
    if config.show:
        results = read_results(config.results_path)
    else:
        torch.set_num_threads(1)
        with stop_request() as stop, ProgressView(enabled=True) as view:
            results = _train(config, view, stop)
            if stop:
                view.say("stopped; the same command goes on")
                return stop.exit_code
    print(to_markdown(results), end="")
    if config.table:
        _write(Path(config.table), to_markdown(results))
    if config.plot:
        plot_results(results, Path(config.plot))
    return 0


def _train(config: CompareConfig, view: ProgressView, stop: StopRequest) -> Results:
    """All runs that are not there yet, seed by seed, so that an early look compares like with like."""
    out, path = Path(config.out), config.results_path
    make_folder(out)
    results = open_results(path, config.scale)
    wanted = [(name, seed) for seed in range(config.seeds) for name in config.entries]
    missing = [(name, seed) for name, seed in wanted if not results.has(name, seed)]
    task = view.task("runs", len(wanted), len(wanted) - len(missing))
    for name, seed in missing:
        finished = run_one(entry(name), seed, config.scale, out, stop)
        if finished is None:
            return results
        results = results.with_run(finished)
        write_results(path, results)
        scores = finished.scores
        view.say(
            f"{name} seed {seed}: J {scores['j']:.3f}  F {scores['f']:.3f}  alarms in silence "
            f"{scores['silence_alarms']:.2f}, off screen {scores['off_screen_alarms']:.2f}  "
            f"switch {scores['switch_s']:.2f} s, missed {scores['switch_missed']:.2f}  "
            f"({finished.train_cpu_s:.0f} s)"
        )
        task.advance()
    task.end()
    if config.rounds:
        trained = [one for one in ENTRIES.values() if any(run.entry == one.name for run in results.runs)]
        results = results.with_costs(measure_costs(trained, config.scale, rounds=config.rounds))
        write_results(path, results)
    return results


def _write(path: Path, text: str) -> None:
    try:
        write_text_whole(path, text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Choose another --table file") from None
