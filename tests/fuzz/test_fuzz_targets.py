"""Every decoder on hostile messages, briefly: it reads them or refuses them with its own error.

`run.py` does the same for longer, guided by coverage.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fuzzing import Target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutating import FORMS, mutate
from target_table import MODULES, find, targets_of

from stream_avs.errors import MissingPackageError

MESSAGES = 300
CORPUS = Path(__file__).parent / "corpus"
BRIEFLY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def available(module: str) -> list[Target]:
    try:
        return list(targets_of(module).values())
    except (ImportError, MissingPackageError) as error:
        pytest.skip(f"needs a package: {error}")


def check(target: Target, data: bytes) -> bool:
    """Decode, and name target and message should anything but a refusal come out."""
    try:
        return target.accepts(data)
    except Exception as error:
        error.add_note(f"target {target.name}, message {data.hex()}")
        raise


def check_tree(target: Target, tree: object) -> None:
    try:
        data = FORMS[target.form][1](tree)
    except (msgspec.MsgspecError, UnicodeError, ValueError):
        return  # what cannot be written cannot be sent
    check(target, data)


def for_any(strategy: st.SearchStrategy[Any], test: Callable[[Any], object]) -> None:
    @BRIEFLY
    @given(strategy)
    def run(value: Any) -> None:
        test(value)

    run()


@pytest.mark.parametrize("module", MODULES)
def test_valid_messages_are_read(module: str) -> None:
    for target in available(module):
        assert check(target, target.seeds()[0]), target.name


@pytest.mark.parametrize("module", MODULES)
def test_mutated_messages_are_read_or_refused(module: str) -> None:
    for target in available(module):
        rng = random.Random(zlib.crc32(target.name.encode()))
        seeds = target.seeds()
        for _ in range(MESSAGES):
            check(target, mutate(rng.choice(seeds), rng, seeds, target.form, target.max_bytes))


@pytest.mark.parametrize("module", MODULES)
def test_any_bytes_are_read_or_refused(module: str) -> None:
    for target in available(module):
        for_any(st.binary(max_size=200), partial(check, target))


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=12)
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def with_one_value(draw: st.DrawFn, tree: Any) -> Any:
    """The tree with any other value somewhere."""
    inside = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    if not inside or draw(st.integers(0, 3)) == 0:
        return draw(values)
    place = draw(st.sampled_from(sorted(inside)))
    changed = dict(tree) if isinstance(tree, dict) else list(tree)
    changed[place] = draw(with_one_value(tree[place]))
    return changed


@pytest.mark.parametrize("module", MODULES)
def test_messages_with_another_value_are_read_or_refused(module: str) -> None:
    for target in available(module):
        if target.form != "bytes":
            read, _ = FORMS[target.form]
            for_any(with_one_value(read(target.seeds()[0])), partial(check_tree, target))


@pytest.mark.parametrize(
    "path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_once_crashed_is_read_or_refused(path: Path) -> None:
    """One folder of messages for each target."""
    try:
        target = find(path.parent.name)
    except KeyError:
        pytest.skip(f"target {path.parent.name} needs a package")
    check(target, path.read_bytes())
