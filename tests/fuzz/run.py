"""Coverage-guided fuzzing of one decoder, or of all, one after the other.

    python tests/fuzz/run.py --list
    python tests/fuzz/run.py wire-header --executions 1000000
    python tests/fuzz/run.py all --executions 1000000 --table tests/fuzz/RESULTS.md

Needs atheris (`pip install -e '.[fuzz]'`, Python 3.11 to 3.13). A crash leaves its message in the
current folder and ends with an error: mend the decoder, and put the message into `corpus/`.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

INSTRUMENTED = ["stream_avs", "mcap", "rosbags", "zipfile", "pickletools", "json", "csv"]
NEWEST = (3, 13)
TIMEOUT_S = 20
RSS_MB = 3000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One line of the table."""

    name: str
    executions: int
    seconds: float
    edges: int
    features: int
    crashes: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "target", nargs="?", default="all", help="name of a target, several with commas, or all"
    )
    parser.add_argument("--executions", type=int, default=1_000_000, help="messages to try")
    parser.add_argument(
        "--seconds", type=int, default=0, help="stop each target after this long; 0 for never"
    )
    parser.add_argument("--table", type=Path, help="write the outcomes into this file as markdown")
    parser.add_argument("--list", action="store_true", help="show the targets and end")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _fuzz(options.target, options.executions, options.seconds)
    from target_table import targets

    known = targets()
    if options.list:
        print("\n".join(known))
        return 0
    names = list(known) if options.target == "all" else options.target.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no target {unknown[0]}; valid: {', '.join(known)}")
        return 2
    if obstacle := _obstacle():
        print(obstacle)
        return 2
    return _run_all(names, options.executions, options.seconds, options.table)


def _run_all(names: list[str], executions: int, seconds: int, table: Path | None) -> int:
    crashes = 0
    for name in names:
        outcome = _run(name, executions, seconds)
        crashes += outcome.crashes
        print(_row(outcome), flush=True)
        if table is not None:
            _record(table, outcome)
    return int(crashes > 0)


def _run(name: str, executions: int, seconds: int) -> Outcome:
    """Run one target in a process of its own: libFuzzer ends its process."""
    command = [
        sys.executable, __file__, name, "--inside", f"--executions={executions}", f"--seconds={seconds}"
    ]  # fmt: skip
    start_s = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
        log.seek(0)
        text = log.read()
    if code:
        sys.stderr.write(text[-6000:])
    stats = re.findall(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)", text)
    done, edges, features = map(int, stats[-1]) if stats else (0, 0, 0)
    total = re.search(r"number_of_executed_units: (\d+)", text)
    return Outcome(
        name=name, executions=int(total[1]) if total else done, seconds=time.monotonic() - start_s,
        edges=edges, features=features, crashes=int(code != 0),
    )  # fmt: skip


def _obstacle() -> str:
    """Why nothing can be fuzzed here, "" if nothing is in the way."""
    if sys.version_info[:2] > NEWEST:
        return "atheris has no wheels for this Python; use 3.11 to 3.13"
    if importlib.util.find_spec("atheris") is None:
        return "atheris is not installed. Run: pip install -e '.[fuzz]'"
    return ""


def _fuzz(name: str, executions: int, seconds: int) -> int:
    import atheris

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with atheris.instrument_imports(include=INSTRUMENTED):
        from target_table import find

        target = find(name)
    from mutating import mutate_values

    seeds = target.seeds()

    def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
        if seed & 1:
            changed = mutate_values(data or seeds[seed % len(seeds)], random.Random(seed), target.form)
            if changed is not None and len(changed) <= max_size:
                return changed
        return bytes(atheris.Mutate(data, len(data)))

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate([*seeds, *regressions(name)]):
            Path(corpus, str(number)).write_bytes(seed)
        arguments = [
            sys.argv[0], f"-runs={executions}", f"-max_total_time={seconds}", f"-max_len={target.max_bytes}",
            f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={RSS_MB}", f"-artifact_prefix={name}-", "-len_control=0",
            "-print_final_stats=1", "-use_value_profile=1", "-seed=1", corpus,
        ]  # fmt: skip
        chosen = {} if target.form == "bytes" else {"custom_mutator": custom_mutator}
        atheris.Setup(arguments, lambda data: target.accepts(data) and None, **chosen)
        atheris.Fuzz()
    return 0


def regressions(name: str) -> list[bytes]:
    """Messages in the corpus that once crashed this target."""
    return [path.read_bytes() for path in sorted(Path(__file__).parent.glob(f"corpus/{name}/*"))]


HEAD = """# Outcomes of coverage-guided fuzzing

Written by `python tests/fuzz/run.py all --executions 1000000 --table tests/fuzz/RESULTS.md`. Edges and
features are libFuzzer's counts over the package's own code and the pure-Python libraries under it.
Seconds are wall time on two busy cores at low priority; alone, most targets try 10,000 to 50,000 a second.

| target | executions | seconds | per second | edges | features | crashes | date |
|---|---:|---:|---:|---:|---:|---:|---|
"""


def _row(o: Outcome) -> str:
    rate = o.executions / max(o.seconds, 1e-9)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"| {o.name} | {o.executions:,} | {o.seconds:.0f} | {rate:,.0f} | {o.edges} | {o.features} "
        f"| {o.crashes} | {date} |"
    )


def _record(table: Path, outcome: Outcome) -> None:
    """Put one line in the place of the target's last, or at the end."""
    lines = table.read_text().splitlines() if table.exists() else HEAD.splitlines()
    kept = [line for line in lines if not line.startswith(f"| {outcome.name} |")]
    table.write_text("\n".join([*kept, _row(outcome)]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
