from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest
from board_scene import SIZE_PX, Lens, render

from stream_avs.calibration.boards import BoardConfig, BoardFinder, Found
from stream_avs.calibration.views import (
    View,
    coverage,
    covered,
    distinct,
    edge_width_px,
    make_view,
    next_hint,
    novelty,
    tilted_enough,
)

LENS = Lens()
CONFIG = BoardConfig()


def view(x: float = 0.5, y: float = 0.5, size: float = 0.3, tilt: tuple[float, float] = (0.0, 0.0)) -> View:
    """A view whose corners fill a square around a place in the picture."""
    steps = np.linspace(-size / 2, size / 2, 5)
    points = np.array([((x + a) * 640, (y + b) * 480) for a in steps for b in steps], np.float32)
    found = Found(ids=np.arange(25), points=points, on_board=np.zeros((25, 3), np.float32))
    return View(name="v", found=found, size_px=SIZE_PX, edge_px=2.0, place=(x, y, size), tilt_deg=tilt)


def seen(turn: tuple[float, float, float], blur_px: float = 0.7, away_mm: float = 480.0) -> View:
    move = np.array([0, 0, away_mm]) - cv2.Rodrigues(np.array(turn))[0] @ (112.5, 75, 0)
    grey = render(CONFIG, LENS, (np.array(turn), move), blur_px=blur_px)
    found = BoardFinder(CONFIG).find(grey)
    assert found is not None
    return make_view("seen", grey, found)


def test_a_rendered_view_is_described() -> None:
    level = seen((0.0, 0.0, 0.0))
    assert level.place[:2] == pytest.approx((0.5, 0.49), abs=0.02)
    # Inner corners span 175 x 100 mm at 620/480 pixels per mm.
    assert level.place[2] == pytest.approx(math.sqrt(175 * 100 * (620 / 480) ** 2 / (640 * 480)), rel=0.08)
    assert np.abs(level.tilt_deg).max() < 8
    assert level.sharp


@pytest.mark.parametrize(("turn", "axis"), [((0.0, 0.5, 0.0), 0), ((0.5, 0.0, 0.0), 1)])
def test_tilt_is_roughly_measured(turn: tuple[float, float, float], axis: int) -> None:
    tilt_deg = seen(turn).tilt_deg
    assert abs(tilt_deg[axis]) == pytest.approx(math.degrees(0.5), abs=8)
    assert abs(tilt_deg[1 - axis]) < 6


def test_edges_grow_with_blur() -> None:
    widths = [seen((0.1, 0.1, 0.0), blur_px=b, away_mm=300.0).edge_px for b in (0.5, 1.0, 2.0)]
    assert widths == sorted(widths)
    assert widths[0] < 3
    assert not dataclasses.replace(seen((0.0, 0.0, 0.0)), edge_px=6.0).sharp


def test_motion_in_one_direction_blurs() -> None:
    grey = render(CONFIG, LENS, (np.zeros(3), np.array([-112.0, -75.0, 480.0])))
    found = BoardFinder(CONFIG).find(grey)
    assert found is not None
    for smear in (np.ones((1, 12)) / 12, np.ones((12, 1)) / 12):
        assert edge_width_px(cv2.filter2D(grey, -1, smear), found) > 8 > edge_width_px(grey, found)


def test_novelty_counts_place_size_and_tilt() -> None:
    assert novelty(view(), []) == math.inf
    assert novelty(view(), [view()]) == 0
    assert novelty(view(x=0.7), [view()]) == pytest.approx(0.2)
    assert novelty(view(tilt=(30.0, 0.0)), [view()]) == pytest.approx(0.5)
    assert novelty(view(size=0.5), [view(), view(size=0.45)]) == pytest.approx(0.05)


def test_distinct_keeps_the_first_of_each_kind() -> None:
    views = [view(), view(x=0.51), view(x=0.8), view(x=0.82), view(tilt=(20.0, 0.0))]
    assert distinct(views) == [views[0], views[2], views[4]]


def test_coverage_counts_cells() -> None:
    assert coverage([]) == 0
    assert covered([view(x=0.1, y=0.1, size=0.1)]).nonzero()[0].max() <= 1
    everywhere = [view(x=x, y=y) for x in (0.15, 0.45, 0.75, 0.85) for y in (0.15, 0.45, 0.75, 0.85)]
    assert coverage(everywhere) == 1
    assert coverage([view(x=2.0, y=-1.0)]) < 0.1  # corners outside count at the border


def test_tilts_must_be_frequent_and_differ() -> None:
    flat = [view(tilt=(1.0, 2.0))] * 10
    assert not tilted_enough([])
    assert not tilted_enough(flat)
    assert not tilted_enough([*flat, view(tilt=(30.0, 0.0))])
    assert not tilted_enough([view(tilt=(30.0, 0.0))] * 10)
    assert tilted_enough([*flat[:6], *[view(tilt=(-20.0, 5.0))] * 2, *[view(tilt=(20.0, 5.0))] * 2])


def test_hints_lead_to_enough() -> None:
    assert "whole board" in next_hint([])
    assert "tilt" in next_hint([view()] * 4)
    tilted = [view(x=0.2, y=0.2, tilt=(t, 0.0)) for t in (-25.0, 25.0)] * 3
    hint = next_hint(tilted)
    assert hint.startswith("move the board to the")
    assert hint != "move the board to the upper left"
    everywhere = [
        view(x=x, y=y, tilt=(60 * x - 30, 0.0))
        for x in (0.15, 0.45, 0.75, 0.85)
        for y in (0.15, 0.45, 0.75, 0.85)
    ]
    assert "near" in next_hint(everywhere)
