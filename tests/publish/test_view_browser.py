"""The page in a real Chromium: what is drawn is what was sent."""

from __future__ import annotations

import base64
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from wire_results import make_result

cv2 = pytest.importorskip("cv2", reason="needs OpenCV (extra live)")
pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")
playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")

from stream_avs.config import Encoding  # noqa: E402
from stream_avs.publish import wire  # noqa: E402
from stream_avs.publish.palette import PALETTE  # noqa: E402
from stream_avs.publish.view_config import ViewConfig  # noqa: E402
from stream_avs.publish.view_feed import ViewFeed  # noqa: E402
from stream_avs.publish.websocket import ViewServer  # noqa: E402
from stream_avs.types import AudioBlock, MaskResult, ResultState, Sounding, SourceState  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: chromium)")

GREY = 100
STRETCH = (2.0, 0.0, 0.5, 0.0, 2.0, 0.5)
LETTERBOX = (1.5, 0.0, -23.75, 0.0, 1.5, 10.25)
CROP = (0.5, 0.0, 39.75, 0.0, 0.5, 29.75)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as runner:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def feed() -> ViewFeed:
    return ViewFeed()


@pytest.fixture
def server(feed: ViewFeed) -> Iterator[ViewServer]:
    with ViewServer(ViewConfig(port=0, jpeg_quality=100), feed) as server:
        yield server


@pytest.fixture
def page(browser: Any, server: ViewServer, feed: ViewFeed) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.goto(server.url)
    wait_until(lambda: feed.watched)
    yield page
    page.close()
    assert not [p for p in problems if "WebSocket connection" not in p]


def wait_until(true: Callable[[], object], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def until(page: Any, expression: str) -> None:
    """Wait for a JavaScript expression to be true; the page's own policy forbids Playwright's way."""
    wait_until(lambda: page.evaluate(f"Boolean({expression})"))


def result(stamp_ns: int, **changes: Any) -> MaskResult:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 8:30] = 15
    mask[20:55, 40:75] = 3
    mask[30:34, 50:60] = 0
    sounding = (
        Sounding(class_id=15, name="person", score=0.875, area=0.1),
        Sounding(class_id=3, name="<img src=x onerror=document.title='owned'>", score=0.5, area=0.2),
    )
    fields = {"source_size": (160, 120), "transform": STRETCH, "sounding": sounding, "dropped": 1}
    # The page takes what came before for the past: ages count from now.
    fields["unix_offset_ns"] = time.time_ns() - stamp_ns
    return make_result(mask, stamp_ns=stamp_ns, **{**fields, **changes})


def give(feed: ViewFeed, shown: MaskResult, size: tuple[int, int] = (120, 160)) -> None:
    feed.picture(shown.stream, np.full((*size, 3), GREY, np.uint8), shown.stamp_ns)
    feed.publish(shown)


def drawn(page: Any, stamp_ns: int, tile: int = 0) -> np.ndarray:
    """Pixels of a tile once it shows that stamp: uint8 [H, W, 3]."""
    canvas = f"document.querySelectorAll('canvas.picture')[{tile}]"
    until(page, f"{canvas}?.dataset.stamp === '{stamp_ns}'")
    data = page.evaluate(f"{canvas}.toDataURL('image/png').split(',')[1]")
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def inside(shown: MaskResult) -> tuple[np.ndarray, np.ndarray]:
    """Class id of each source pixel, and where that is beyond doubt: all mask pixels around agree."""
    a, _, c, _, e, f = shown.transform
    width, height = shown.source_size
    x = (np.arange(width) - c) / a
    y = (np.arange(height) - f) / e
    padded = np.pad(shown.mask, 3)  # outside of the mask nothing sounds
    u = np.clip(np.floor(x).astype(int) + 3, 1, padded.shape[1] - 3)
    v = np.clip(np.floor(y).astype(int) + 3, 1, padded.shape[0] - 3)
    around = np.stack([padded[np.ix_(v + dy, u + dx)] for dy in (-1, 0, 1, 2) for dx in (-1, 0, 1, 2)])
    return around[0], (around == around[0]).all(axis=0)


CASES = [
    *((encoding, STRETCH) for encoding in Encoding),
    (Encoding.PACKBITS_ZLIB, LETTERBOX),
    (Encoding.RLE, CROP),
]


def test_pixels_drawn_are_the_mask_sent(page: Any, feed: ViewFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every encoding, stretched, letterboxed and cropped; as overlay, alone and side by side."""
    for stamp_ns, (encoding, transform) in enumerate(CASES, start=7_000):
        monkeypatch.setattr(wire.encode, "__defaults__", (encoding,))
        shown = result(stamp_ns, transform=transform)
        ids, sure = inside(shown)
        assert len(np.unique(ids[sure])) == 3
        page.keyboard.press("1")
        give(feed, shown)
        overlay = drawn(page, stamp_ns).astype(int)
        tint = 0.4 * PALETTE[ids].astype(int) + 0.6 * GREY
        expected = np.where((ids == 0)[..., None], GREY, tint)
        assert overlay.shape == expected.shape
        assert np.abs(overlay - expected)[sure].max() <= 3
        page.keyboard.press("2")
        only = drawn(page, stamp_ns).astype(int)
        expected = np.where((ids == 0)[..., None], (0x14, 0x17, 0x1D), PALETTE[ids])
        assert np.abs(only - expected)[sure].max() <= 2
    page.keyboard.press("3")
    both = drawn(page, stamp_ns)
    assert both.shape == (120, 320, 3)
    assert np.abs(both[:, :160].astype(int) - GREY).max() <= 2
    assert np.abs(both[:, 160:].astype(int) - expected)[sure].max() <= 2


def test_a_mask_waits_for_its_picture(page: Any, feed: ViewFeed) -> None:
    """Never a mask over the picture of another moment."""
    give(feed, result(1_000))
    drawn(page, 1_000)
    feed.publish(result(2_000))  # its picture never comes
    feed.picture("cam0", np.full((120, 160, 3), 200, np.uint8), 2_500)  # its mask never comes
    time.sleep(0.3)
    assert page.evaluate("document.querySelector('canvas.picture').dataset.stamp") == "1000"
    give(feed, result(3_000))
    pixels = drawn(page, 3_000)
    assert abs(int(pixels[2, 2, 0]) - GREY) <= 2


def test_what_is_said_beside_the_picture(page: Any, feed: ViewFeed) -> None:
    feed.tell("cam0", SourceState.LIVE, source="camera 0 (HD Webcam)")
    rng = np.random.default_rng(0)
    for k in range(60):
        stamp_ns = 10**9 + k * 20_000_000
        samples = (rng.standard_normal((320, 1)) * 0.1).astype(np.float32)
        feed.sound("cam0", AudioBlock(samples=samples, stamp_ns=stamp_ns, sample_rate_hz=16_000))
    time.sleep(0.3)
    give(feed, result(10**9 + 1_200_000_000))
    drawn(page, 10**9 + 1_200_000_000)
    chips = page.locator(".sounding li")
    assert chips.nth(0).inner_text().split("\n") == ["person", "88 %"]
    assert "<img" in chips.nth(1).inner_text()  # a name is a name, never markup
    assert page.title() == "stream-avs view"
    until(page, "document.querySelector('.source').textContent.includes('HD Webcam')")
    assert page.locator(".level").inner_text() == "-20 dBFS"
    until(page, "document.querySelector('[data-name=dropped]').textContent === '1'")
    until(page, r"/^\d+ ms$/.test(document.querySelector('[data-name=p95]').textContent)")
    lit = page.evaluate(
        "(() => { const c = document.querySelector('.strip canvas');"
        " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " const at = (x) => { let n = 0; for (let y = 0; y < c.height; y++)"
        " n += d[4 * (y * c.width + Math.floor(x * c.width)) + 3] > 0; return n / c.height; };"
        " return [at(0.3), at(0.98)]; })()"
    )
    assert lit[0] == 0  # before the sound began
    assert lit[1] == 1  # up to the moment of the picture
    assert page.locator(".badge").inner_text() == "live"
    give(feed, result(10**9 + 1_300_000_000, state=ResultState.NO_AUDIO, sounding=()))
    drawn(page, 10**9 + 1_300_000_000)
    assert page.locator(".badge").inner_text() == "no audio"
    assert page.locator(".announce").inner_text() == "nothing sounds"


def test_keyboard_alone(page: Any, feed: ViewFeed) -> None:
    give(feed, result(1_000))
    before = drawn(page, 1_000)
    page.keyboard.press("+")
    assert page.locator("#opacity-value").inner_text() == "45 %"
    assert not np.array_equal(drawn(page, 1_000), before)
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert reached[:3] == ["pause", "mode", "opacity"]
    page.locator("#pause").focus()
    page.keyboard.press("Enter")
    assert page.locator("#pause").get_attribute("aria-pressed") == "true"
    assert page.locator(".badge").inner_text() == "paused"
    time.sleep(0.2)
    give(feed, result(2_000))
    time.sleep(0.4)
    assert page.evaluate("document.querySelector('canvas.picture').dataset.stamp") == "1000"
    page.keyboard.press("Enter")
    time.sleep(0.2)
    give(feed, result(3_000))
    drawn(page, 3_000)


def test_names_and_roles_for_screen_readers(page: Any, feed: ViewFeed) -> None:
    give(feed, result(1_000))
    drawn(page, 1_000)
    assert page.get_by_role("button", name="Pause").count() == 1
    assert page.get_by_role("slider", name="Opacity").count() == 1
    assert [
        page.get_by_role("radio", name=n, exact=True).count() for n in ("Overlay", "Mask", "Side by side")
    ] == [1, 1, 1]
    assert page.get_by_role("img", name="Picture; sounding: person").count() == 1
    assert page.get_by_role("heading", name="cam0").count() == 1
    unnamed = page.evaluate(
        "[...document.querySelectorAll('canvas, button, input, img')]"
        ".filter((e) => !(e.ariaLabel || e.labels?.length || e.textContent || e.alt !== undefined)).length"
    )
    assert unnamed == 0


def test_several_streams_are_tiles(page: Any, feed: ViewFeed) -> None:
    for k in range(3):
        give(feed, result(1_000 + k, stream=f"cam{k}"))
    for k in range(3):
        until(
            page,
            f"[...document.querySelectorAll('canvas.picture')].some(c => c.dataset.stamp === '{1000 + k}')",
        )
    assert sorted(page.locator("h2").all_inner_texts()) == ["cam0", "cam1", "cam2"]


def test_masks_alone_are_drawn_too(page: Any, feed: ViewFeed) -> None:
    """A stream that sends no pictures, e.g. over ZeroMQ."""
    feed.publish(result(5_000))
    pixels = drawn(page, 5_000)
    ids, sure = inside(result(5_000))
    assert np.abs(pixels.astype(int) - PALETTE[ids])[sure & (ids > 0)].max() <= 2


@pytest.mark.parametrize("width", [320, 390, 768])
def test_narrow_screens(page: Any, feed: ViewFeed, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    give(feed, result(1_000))
    drawn(page, 1_000)
    page.keyboard.press("3")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert drawn(page, 1_000).shape == ((240, 160, 3) if width < 560 else (120, 320, 3))
    small = page.evaluate(
        "[...document.querySelectorAll('button, fieldset span')]"
        ".filter(e => e.getBoundingClientRect().height < 34).length"
    )
    assert small == 0


def test_comes_back_by_itself(browser: Any, tmp_path: Path) -> None:
    feed = ViewFeed()
    page = browser.new_page()
    token_file = str(tmp_path / "token")
    with ViewServer(ViewConfig(port=0, token_file=token_file), feed) as server:
        port = urlsplit(server.origin).port
        page.goto(server.url)
        wait_until(lambda: feed.watched)
        give(feed, result(1_000))
        drawn(page, 1_000)
    until(page, "document.querySelector('#connection').dataset.state === 'closed'")
    feed = ViewFeed()
    with ViewServer(ViewConfig(port=port, token_file=token_file), feed):
        wait_until(lambda: feed.watched)
        give(feed, result(2_000))
        drawn(page, 2_000)
        page.close()


def test_a_page_without_the_token_says_so(browser: Any) -> None:
    feed = ViewFeed()
    page = browser.new_page()
    with ViewServer(ViewConfig(port=0), feed) as server:
        page.goto(server.origin)
        until(page, "document.querySelector('#connection').textContent.includes('no token')")
        page.goto(server.origin + "#token=" + "x" * 43)
        page.reload()
        until(page, "document.querySelector('#connection').textContent.includes('open its new address')")
        assert not feed.watched
    page.close()


def test_drawn_soon_after_sending(page: Any, feed: ViewFeed) -> None:
    """From publishing to the pixels of the canvas at 30 Hz; the bound leaves room for a busy machine."""
    give(feed, result(500))
    drawn(page, 500)
    page.evaluate(
        "window.seen = []; const canvas = document.querySelector('canvas.picture');"
        " const note = () => seen.push([canvas.dataset.stamp, performance.timeOrigin + performance.now()]);"
        " new MutationObserver(note).observe(canvas, { attributes: true, attributeFilter: ['data-stamp'] })"
    )
    sent = {}
    for k in range(60):
        sent[str(1_000 + k)] = time.time() * 1000
        give(feed, result(1_000 + k), size=(480, 640))
        time.sleep(1 / 30)
    time.sleep(0.5)
    delays = [at - sent[stamp] for stamp, at in page.evaluate("window.seen") if stamp in sent]
    assert len(delays) > 30
    assert np.percentile(delays, 50) < 60
    out = os.environ.get("VIEW_DELAYS")
    if out:
        Path(out).write_text(
            f"draw delay p50 {np.percentile(delays, 50):.1f} p95 {np.percentile(delays, 95):.1f} ms\n"
        )
