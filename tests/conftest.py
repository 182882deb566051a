"""Shared by all tests: one network thread, and a way to turn skips into failures."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

# Before torch is imported by any test: idle threads must not spin beside the tests' own processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        action="append",
        default=[],
        metavar="MARKER",
        help="fail, instead of skip, tests with this marker (may be given more than once)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = [m for m in item.config.getoption("--require") if item.get_closest_marker(m)]
    if report.skipped and required and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"required by --require {required[0]}, but: {reason}"
    return report


@pytest.fixture(scope="session")
def talkers() -> Path:
    """The bundled clip: 300 frames at 25 Hz, four talkers of 3 s, the second one muted."""
    import stream_avs

    return Path(stream_avs.__file__).parent / "assets" / "talkers.mp4"
