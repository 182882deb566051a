from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream_avs.calibration.board_page import Page, PageConfig, Paper, describe, draw_page, write_page
from stream_avs.calibration.boards import BoardConfig, BoardFinder, BoardKind, spacings_px
from stream_avs.errors import ConfigError


def pixels_per_mm(page: Page) -> float:
    return page.image.shape[1] / page.width_mm


@pytest.mark.parametrize("kind", list(BoardKind))
@pytest.mark.parametrize("paper", list(Paper))
def test_squares_have_their_size_on_paper(kind: BoardKind, paper: Paper) -> None:
    board = BoardConfig(kind=kind)
    page = draw_page(PageConfig(board=board, paper=paper))
    found = BoardFinder(board).find(page.image)
    assert found is not None
    assert len(found.ids) == 40
    across_mm = (found.points.max(axis=0) - found.points.min(axis=0)) / pixels_per_mm(page)
    assert across_mm == pytest.approx((7 * 25, 4 * 25), abs=0.1)
    assert np.ptp(spacings_px(found.points)) < 1.0


@pytest.mark.parametrize(
    ("paper", "size"), [(Paper.A4, (297, 210)), (Paper.A3, (420, 297)), (Paper.LETTER, (279.4, 215.9))]
)
def test_pages_have_the_size_of_the_paper(paper: Paper, size: tuple[float, float]) -> None:
    page = draw_page(PageConfig(paper=paper))
    assert (page.width_mm, page.height_mm) == pytest.approx(size, abs=0.1)


def test_the_bar_is_100_mm_long() -> None:
    page = draw_page(PageConfig())
    scale = pixels_per_mm(page)
    row = page.image[-round(6 * scale) - 1, : round(130 * scale)]
    dark = np.flatnonzero(row < 128)
    first = dark[0]
    end = first + np.flatnonzero(np.diff(np.append(dark, 10**6)) > 1)[0]
    assert (end - first) / scale == pytest.approx(100, abs=0.3)


def test_png_says_its_resolution(tmp_path: Path) -> None:
    page = draw_page(PageConfig())
    write_page(tmp_path / "board.png", page)
    data = (tmp_path / "board.png").read_bytes()
    at = data.index(b"pHYs")
    across, down, unit = struct.unpack(">IIB", data[at + 4 : at + 13])
    assert across == down == pytest.approx(pixels_per_mm(page) * 1000, abs=1)
    assert unit == 1
    assert struct.unpack(">I", data[at + 13 : at + 17])[0] == zlib.crc32(data[at : at + 13])
    assert (cv2.imread(str(tmp_path / "board.png"), cv2.IMREAD_GRAYSCALE) == page.image).all()


def test_pdf_holds_the_page_at_its_size(tmp_path: Path) -> None:
    page = draw_page(PageConfig())
    write_page(tmp_path / "board.pdf", page)
    data = (tmp_path / "board.pdf").read_bytes()
    assert data.startswith(b"%PDF-1.4")
    assert data.endswith(b"%%EOF\n")
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data)
    assert box is not None
    assert [float(v) / 72 * 25.4 for v in box.groups()] == pytest.approx([297, 210], abs=0.1)
    assert b"/PrintScaling /None" in data
    # Every entry of the cross-reference table points at its object.
    table = int(data.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    places = re.findall(rb"(\d{10}) 00000 n", data[table:])
    assert len(places) == 5
    for number, place in enumerate(places, 1):
        assert data[int(place) :].startswith(f"{number} 0 obj\n".encode())
    begin = data.index(b"stream\n") + 7
    assert zlib.decompressobj().decompress(data[begin:]) == page.image.tobytes()


def test_a_board_larger_than_the_paper_is_refused() -> None:
    with pytest.raises(ConfigError, match="the board needs 380x264 mm, a4 paper has 297x210 mm"):
        draw_page(PageConfig(board=BoardConfig(square_mm=40, marker_mm=30)))
    page = draw_page(PageConfig(board=BoardConfig(square_mm=40, marker_mm=30), paper=Paper.FIT))
    assert (page.width_mm, page.height_mm) == pytest.approx((380, 264), abs=0.2)


def test_wrong_endings_and_places_are_refused(tmp_path: Path) -> None:
    page = draw_page(PageConfig())
    with pytest.raises(ConfigError, match=r"neither in \.pdf nor in \.png"):
        write_page(tmp_path / "board.jpg", page)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        write_page(tmp_path / "file" / "board.png", page)


def test_descriptions() -> None:
    assert describe(BoardConfig()) == "charuco, 9x6 squares of 25 mm, markers of 18 mm, DICT_5X5_100"
    assert describe(BoardConfig(kind=BoardKind.CHECKERBOARD)) == "checkerboard, 9x6 squares of 25 mm"
