from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from board_scene import Lens, poses, render

from stream_avs.calibration.boards import BoardConfig, BoardFinder
from stream_avs.calibration.collect import (
    Outcome,
    ViewCollector,
    read_grey,
    require_views,
    views_of_folder,
)
from stream_avs.calibration.errors import CalibrationError
from stream_avs.calibration.views import View
from stream_avs.errors import SourceError

CONFIG = BoardConfig()
LENS = Lens()
EMPTY = np.full((480, 640), 90, np.uint8)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [render(CONFIG, LENS, pose) for pose in poses(CONFIG, LENS, 3, seed=0)]


def test_a_collector_keeps_what_is_new(pictures: list[np.ndarray]) -> None:
    collector = ViewCollector(BoardFinder(CONFIG), still=False)
    blurred = cv2.GaussianBlur(pictures[1], (0, 0), 2.5)
    outcomes = [
        collector.offer(str(n), grey) for n, grey in enumerate([pictures[0], pictures[0], EMPTY, pictures[1]])
    ]
    assert outcomes == [Outcome.KEPT, Outcome.ALIKE, Outcome.NO_BOARD, Outcome.KEPT]
    assert [v.name for v in collector.views] == ["0", "3"]
    assert collector.offer("4", blurred) in (Outcome.BLURRED, Outcome.NO_BOARD)
    assert not collector.enough


def test_a_live_board_must_rest(pictures: list[np.ndarray]) -> None:
    collector = ViewCollector(BoardFinder(CONFIG), still=True)
    moved = np.roll(pictures[0], 5, axis=1)
    assert collector.offer("first", pictures[0]) is Outcome.MOVING
    assert collector.offer("moved", moved) is Outcome.MOVING
    assert collector.offer("still", moved) is Outcome.KEPT
    assert collector.offer("lost", EMPTY) is Outcome.NO_BOARD
    assert collector.offer("back", pictures[1]) is Outcome.MOVING


def test_a_folder_is_read_by_name(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    cv2.imwrite(str(tmp_path / "b.png"), pictures[0])
    cv2.imwrite(str(tmp_path / "a.JPG"), cv2.cvtColor(pictures[1], cv2.COLOR_GRAY2BGR))
    cv2.imwrite(str(tmp_path / "c.png"), EMPTY)
    (tmp_path / "d.png").write_bytes(b"no picture")
    (tmp_path / "e.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not looked at")
    found = {path.name: view for path, view in views_of_folder(tmp_path, BoardFinder(CONFIG))}
    assert list(found) == ["a.JPG", "b.png", "c.png", "d.png", "e.png"]
    assert isinstance(found["a.JPG"], View)
    assert isinstance(found["b.png"], View)
    assert found["b.png"].name == "b.png"
    assert found["c.png"] == "no board"
    assert found["d.png"] == found["e.png"] == "damaged or no picture"


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no folder"):
        list(views_of_folder(tmp_path / "none", BoardFinder(CONFIG)))
    with pytest.raises(SourceError, match="holds no pictures"):
        list(views_of_folder(tmp_path, BoardFinder(CONFIG)))


def test_a_board_never_found_is_refused() -> None:
    with pytest.raises(CalibrationError, match="in none of 12 pictures") as caught:
        require_views([], 12)
    assert "--board.columns" in caught.value.next_step


def test_reading_does_not_turn_pictures(tmp_path: Path) -> None:
    # Given a JPEG whose EXIF tag asks viewers to turn it by a quarter
    ok, data = cv2.imencode(".jpg", np.zeros((40, 60), np.uint8))
    assert ok
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    raw = data.tobytes()
    path = tmp_path / "turned.jpg"
    path.write_bytes(raw[:2] + segment + raw[2:])
    assert cv2.imread(str(path)).shape[:2] == (60, 40)
    # Then the lens, which does not turn, is still measured in the sensor's own pixels
    grey = read_grey(path)
    assert not isinstance(grey, str)
    assert grey.shape == (40, 60)


def test_an_unreadable_picture_says_why(tmp_path: Path) -> None:
    assert read_grey(tmp_path) == "cannot be read: Is a directory"
