"""A real page that is put to sleep and woken: the session beside it neither grows nor slows.

SOAK_S sets the length; 600 is the soak of the release notes.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wire_results import make_result

pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")
playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")

from stream_avs.publish.view_config import ViewConfig  # noqa: E402
from stream_avs.publish.view_feed import ViewFeed  # noqa: E402
from stream_avs.publish.websocket import ViewServer  # noqa: E402
from stream_avs.types import AudioBlock  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SOAK_S = float(os.environ.get("SOAK_S", "24"))
HZ = 30


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, from /proc."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found, look = [], [pid]
    while look:
        parent = look.pop()
        children = [p for p, above in parents.items() if above == parent]
        found += children
        look += children
    return found


def chromium_processes() -> list[int]:
    return [p for p in descendants(os.getpid()) if "chrom" in Path(f"/proc/{p}/comm").read_text()]


def heap_mb(page: Any) -> float:
    """What the page's scripts hold, after their garbage is collected."""
    tools = page.context.new_cdp_session(page)
    tools.send("HeapProfiler.collectGarbage")
    held: float = tools.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    tools.detach()
    return held


class Session(threading.Thread):
    """Pictures, sound and masks at 30 Hz; notes what handing them over cost."""

    def __init__(self, feed: ViewFeed) -> None:
        super().__init__(daemon=True)
        self.feed = feed
        self.over = threading.Event()
        self.spent_s: list[float] = []

    def run(self) -> None:
        rng = np.random.default_rng(0)
        pictures = [
            rng.integers(0, 256, (60, 80, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(8)
        ]
        mask = np.zeros((384, 384), np.uint8)
        mask[100:300, 80:200] = 15
        sound = (rng.standard_normal((533, 1)) / 10).astype(np.float32)
        k = 0
        while not self.over.wait(1 / HZ):
            k += 1
            stamp_ns = time.monotonic_ns()
            begin_s = time.thread_time()
            self.feed.picture("cam0", pictures[k % 8], stamp_ns)
            self.feed.sound("cam0", AudioBlock(samples=sound, stamp_ns=stamp_ns, sample_rate_hz=16_000))
            self.feed.publish(
                make_result(
                    mask, stamp_ns=stamp_ns, window_seq=k, transform=(640 / 384, 0, 0, 0, 480 / 384, 0),
                    unix_offset_ns=time.time_ns() - stamp_ns,
                )
            )  # fmt: skip
            self.spent_s.append(time.thread_time() - begin_s)


@pytest.mark.slow
@pytest.mark.timeout(SOAK_S + 120)
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: chromium)")
def test_asleep_and_awake() -> None:
    feed = ViewFeed()
    with playwright.sync_playwright() as runner, ViewServer(ViewConfig(port=0), feed) as server:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        page.goto(server.url)
        session = Session(feed)
        session.start()
        drawn = "Number(document.querySelector('canvas.picture')?.dataset.drawn ?? 0)"
        time.sleep(SOAK_S / 3)
        before, before_mb, page_mb = page.evaluate(drawn), resident_mb(), heap_mb(page)
        sleepers = chromium_processes()
        for pid in sleepers:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(SOAK_S / 3)
        asleep_mb = resident_mb()
        for pid in sleepers:
            os.kill(pid, signal.SIGCONT)
        time.sleep(SOAK_S / 3)
        after, after_mb, page_after_mb = page.evaluate(drawn), resident_mb(), heap_mb(page)
        age = page.locator("[data-name=p50]").inner_text()
        session.over.set()
        session.join()
        browser.close()
    figures = (
        f"drawn {before}, {after - before} more;"
        f" server {before_mb:.0f}, asleep {asleep_mb:.0f}, after {after_mb:.0f} MB;"
        f" page {page_mb:.1f}, {page_after_mb:.1f} MB; age {age};"
        f" handing over p50 {1000 * np.percentile(session.spent_s, 50):.2f},"
        f" p95 {1000 * np.percentile(session.spent_s, 95):.2f} ms"
    )
    print(figures)  # noqa: T201
    assert before > SOAK_S / 3 * HZ / 4, figures
    assert after - before > SOAK_S / 3 * HZ / 4, figures
    assert asleep_mb - before_mb < 20, figures
    assert after_mb - before_mb < 20, figures
    assert page_after_mb < page_mb + 3, figures
    assert np.percentile(session.spent_s, 95) < 0.002, figures
