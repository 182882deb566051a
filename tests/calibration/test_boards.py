from __future__ import annotations

import cv2
import numpy as np
import pytest
from board_scene import Lens, poses, render

from stream_avs.calibration.boards import (
    BoardConfig,
    BoardFinder,
    BoardKind,
    draw_board,
    spacings_px,
    to_grey,
)
from stream_avs.errors import ConfigError

LENS = Lens()
LEVEL = (np.array([0.2, -0.3, 0.05]), np.array([-110.0, -75.0, 480.0]))


@pytest.mark.parametrize("kind", list(BoardKind))
def test_corners_are_found_where_they_are(kind: BoardKind) -> None:
    config = BoardConfig(kind=kind)
    found = BoardFinder(config).find(render(config, LENS, LEVEL))
    assert found is not None
    assert len(found.ids) >= 36
    projected, _ = cv2.projectPoints(found.on_board, *LEVEL, LENS.matrix, np.array(LENS.distortion))
    # A checkerboard looks the same turned round, so only the set of its corners is known.
    apart = np.linalg.norm(found.points[:, None] - projected.reshape(1, -1, 2), axis=2)
    nearest = apart.min(axis=1) if kind is BoardKind.CHECKERBOARD else np.diag(apart)
    assert np.sqrt(np.mean(nearest**2)) < 0.1
    assert (
        np.abs((found.points - projected.reshape(-1, 2)).mean(axis=0)).max() < 0.05
        or kind is not BoardKind.CHARUCO
    )


def test_charuco_is_found_in_part() -> None:
    config = BoardConfig()
    turn, move = LEVEL
    found = BoardFinder(config).find(render(config, LENS, (turn, move + np.array([260, 0, 0]))))
    assert found is not None
    assert 6 <= len(found.ids) < 40
    projected, _ = cv2.projectPoints(
        found.on_board, turn, move + np.array([260, 0, 0]), LENS.matrix, np.array(LENS.distortion)
    )
    assert np.linalg.norm(found.points - projected.reshape(-1, 2), axis=1).max() < 0.3


@pytest.mark.parametrize("kind", list(BoardKind))
def test_nothing_is_found_where_there_is_no_board(kind: BoardKind) -> None:
    finder = BoardFinder(BoardConfig(kind=kind))
    random = np.random.default_rng(0)
    assert finder.find(np.full((480, 640), 128, np.uint8)) is None
    assert finder.find(random.integers(0, 256, (240, 320), dtype=np.uint8)) is None


def test_other_boards_are_not_mixed_up() -> None:
    config = BoardConfig()
    grey = render(config, LENS, LEVEL)
    assert BoardFinder(BoardConfig(dictionary="DICT_4X4_100")).find(grey) is None
    assert BoardFinder(BoardConfig(kind=BoardKind.CHECKERBOARD, columns=7, rows=8)).find(grey) is None


def test_legacy_pattern_moves_the_markers() -> None:
    new, old = (draw_board(BoardConfig(legacy_pattern=flag), 30) for flag in (False, True))
    assert new.shape == old.shape == (180, 270)
    assert (new != old).any()


def test_checkerboard_is_drawn_with_a_black_corner() -> None:
    image = draw_board(BoardConfig(kind=BoardKind.CHECKERBOARD, columns=4, rows=3), 10)
    assert image.shape == (30, 40)
    assert (image[::10, ::10] == np.array([[0, 255, 0, 255], [255, 0, 255, 0], [0, 255, 0, 255]])).all()


def test_spacing_is_that_of_the_nearest_neighbour() -> None:
    assert spacings_px(np.array([[0, 0], [3, 4], [30, 0]], np.float32)) == pytest.approx(
        [5, 5, 27.3], abs=0.05
    )


def test_grey_keeps_size() -> None:
    assert to_grey(np.full((4, 6, 3), 200, np.uint8)).tolist() == [[200] * 6] * 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"columns": 2}, "board.columns is 2"),
        ({"rows": 41}, "board.rows is 41"),
        ({"square_mm": 0.0}, "board.square_mm is 0.0"),
        ({"marker_mm": 25.0}, "board.marker_mm is 25.0"),
        ({"marker_mm": 5.0}, "board.marker_mm is 5.0"),
        ({"dictionary": "DICT_5x5_100"}, "Did you mean 'DICT_5X5_100'"),
        ({"dictionary": "DICT_4X4_50", "columns": 12, "rows": 12}, "at least 72 markers"),
    ],
)
def test_settings_are_checked(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BoardConfig(**wrong)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_a_checkerboard_needs_no_marker() -> None:
    assert BoardConfig(kind=BoardKind.CHECKERBOARD, square_mm=10.0).marker_mm == 18.0


def test_poses_are_repeatable() -> None:
    config = BoardConfig()
    first, again = (poses(config, LENS, 3, seed=7) for _ in range(2))
    assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
