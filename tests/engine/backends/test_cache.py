"""The folder of compiled artefacts stays within its size and loses what was not used for longest."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_avs.engine.backends.cache import clear, entries, keep, trim

HOUR_S = 3600.0


def put(cache: Path, name: str, size: int, age_s: float = 0.0, limit_bytes: int = 10_000) -> Path:
    path = keep(cache, name, lambda folder: (folder / "file").write_bytes(bytes(size)) and None, limit_bytes)
    then = time.time() - age_s
    os.utime(path / "complete", (then, then))
    return path


def names(cache: Path) -> list[str]:
    return [entry.path.name for entry in entries(cache)]


def test_the_least_recently_used_goes_when_all_together_are_too_large(tmp_path: Path) -> None:
    put(tmp_path, "old", 4000, 3 * HOUR_S)
    put(tmp_path, "asked", 4000, 2 * HOUR_S)
    put(tmp_path, "older", 1000, 4 * HOUR_S)
    keep(tmp_path, "old", lambda folder: pytest.fail("made again"))  # asked for: now the newest
    put(tmp_path, "new", 4000)
    assert names(tmp_path) == ["new", "old"]


def test_what_may_still_be_loading_stays_whatever_its_size(tmp_path: Path) -> None:
    put(tmp_path, "a", 9000)
    put(tmp_path, "b", 9000)
    assert set(names(tmp_path)) == {"a", "b"}


def test_an_artefact_larger_than_the_limit_is_still_used(tmp_path: Path) -> None:
    path = put(tmp_path, "large", 20_000)
    assert (path / "file").stat().st_size == 20_000


def test_clear_removes_all_and_what_killed_builds_left(tmp_path: Path) -> None:
    put(tmp_path, "a", 100)
    left = tmp_path / ".building-xyz"
    left.mkdir()
    os.utime(left, (0, 0))
    running = tmp_path / ".building-now"
    running.mkdir()
    assert [entry.size_bytes for entry in clear(tmp_path)] == [100]
    assert (names(tmp_path), left.exists(), running.exists()) == ([], False, True)
    assert clear(tmp_path / "nowhere") == []


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=6), limit=st.integers(0, 12_000))
def test_what_stays_fits_and_is_the_newest(
    sizes: list[int], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    for i, size in enumerate(sizes):
        put(cache, str(i), size, age_s=(i + 1) * HOUR_S, limit_bytes=1_000_000)
    removed = trim(cache, limit)
    left = entries(cache)
    assert sum(entry.size_bytes for entry in left) <= limit
    assert {entry.path for entry in left} | {entry.path for entry in removed} == {
        cache / str(i) for i in range(len(sizes))
    }
    if removed:  # the newest of them would not have fitted beside what is newer
        newest = max(removed, key=lambda entry: entry.used_s)
        newer = sum(sizes[: int(newest.path.name)])
        assert newer + newest.size_bytes > limit
