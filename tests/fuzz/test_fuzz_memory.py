"""No message takes more memory than its decoder says, however its sizes lie."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from bombs import BOMBS
from fuzzing import MIB, Target
from mutating import mutate
from target_table import MODULES, find
from test_fuzz_targets import available

MESSAGES = 30
NATIVE = ("weights", "weights-metadata", "picture", "yaml", "recording")
"""Decoders in C, C++ and Rust, whose memory Python does not see."""
MOST_S = 10.0


def peak_bytes(target: Target, data: bytes) -> int:
    """Most that Python and NumPy held at once while decoding, above what was there before."""
    tracemalloc.start()
    try:
        target.accepts(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("module", MODULES)
def test_memory_stays_within_the_stated_multiple(module: str) -> None:
    for target in available(module):
        seeds, rng = target.seeds(), random.Random(1)
        target.accepts(seeds[0])  # what is imported and kept on first use is not the message's
        bombs = BOMBS[target.name]() if target.name in BOMBS else []
        mutants = [
            mutate(rng.choice(seeds), rng, seeds, target.form, target.max_bytes) for _ in range(MESSAGES)
        ]
        for data in [*bombs, *seeds, *mutants]:
            begin_s = time.process_time()
            peak = peak_bytes(target, data)
            shown = f"{target.name}, {len(data)} bytes, {data[:40].hex()}..."
            assert peak <= target.most_bytes(data), shown
            assert time.process_time() - begin_s < MOST_S, shown


def native_growth() -> None:
    """Decode all bombs of native decoders; print the worst growth of this process beyond the allowed."""
    for name in NATIVE:
        target = find(name)
        target.accepts(target.seeds()[0])
        for data in BOMBS[name]():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            target.accepts(data)
            grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            if grown > target.most_bytes(data) + 4 * MIB:
                sys.stdout.write(f"{name}: {grown} bytes for a message of {len(data)}, {data[:40].hex()}\n")


@pytest.mark.slow
def test_native_decoders_stay_within_it_too() -> None:
    for module in ("target_weights", "target_recording", "target_dataset"):
        available(module)
    code = "import test_fuzz_memory; test_fuzz_memory.native_growth()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True
    )
    assert not done.stdout, done.stdout
