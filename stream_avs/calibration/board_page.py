"""A calibration board as a page to print at its true size: PDF, or PNG with its resolution inside."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_avs.calibration.boards import BoardConfig, BoardKind, draw_board
from stream_avs.calibration.opencv import cv2
from stream_avs.errors import ConfigError

PX_PER_MM = 12
"""About 305 dots per inch: as fine as printers draw edges."""

MARGIN_MM = 10.0
FOOT_MM = 14.0
"""Below the board: a bar to measure, and what the board is."""
BAR_MM = 100


class Paper(StrEnum):
    """Size of the page; lying."""

    A4 = "a4"
    A3 = "a3"
    LETTER = "letter"
    FIT = "fit"  # as large as the board needs


SIZES_MM = {Paper.A4: (297.0, 210.0), Paper.A3: (420.0, 297.0), Paper.LETTER: (279.4, 215.9)}


@dataclass(frozen=True, kw_only=True)
class PageConfig:
    """The board and the paper it goes on."""

    board: BoardConfig = field(default_factory=BoardConfig)
    paper: Paper = Paper.A4
    """a4, a3, letter, or fit for a page as large as the board needs."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Page:
    """A drawn page: grey uint8 [H, W], and its size in mm."""

    image: NDArray[np.uint8]
    width_mm: float
    height_mm: float


def draw_page(config: PageConfig) -> Page:
    """Draw the page.

    Raises:
        ConfigError: the board is larger than the paper.
    """
    board = config.board
    need = (
        board.columns * board.square_mm + 2 * MARGIN_MM,
        board.rows * board.square_mm + MARGIN_MM + FOOT_MM,
    )
    width_mm, height_mm = SIZES_MM.get(config.paper, need)
    if need[0] > width_mm + 0.01 or need[1] > height_mm + 0.01:
        raise ConfigError(
            f"the board needs {need[0]:.0f}x{need[1]:.0f} mm, {config.paper.value} paper has "
            f"{width_mm:.0f}x{height_mm:.0f} mm",
            "Use smaller squares, larger paper, or --page.paper fit",
        )
    square_px = round(board.square_mm * PX_PER_MM)
    # Squares of whole pixels, so the page's resolution gives way a little, never the squares.
    px_per_mm = square_px / board.square_mm
    image = np.full((round(height_mm * px_per_mm), round(width_mm * px_per_mm)), 255, np.uint8)
    drawn = draw_board(board, square_px)
    left = (image.shape[1] - drawn.shape[1]) // 2
    top = max(0, round((image.shape[0] - FOOT_MM * px_per_mm - drawn.shape[0]) / 2))
    image[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    _draw_foot(image, px_per_mm, board)
    return Page(image=image, width_mm=image.shape[1] / px_per_mm, height_mm=image.shape[0] / px_per_mm)


def describe(board: BoardConfig) -> str:
    """What the board is, as one line for its foot and for messages."""
    line = f"{board.kind.value}, {board.columns}x{board.rows} squares of {board.square_mm:g} mm"
    if board.kind is BoardKind.CHARUCO:
        line += f", markers of {board.marker_mm:g} mm, {board.dictionary}"
    return line


def write_page(path: Path, page: Page) -> None:
    """Write a page by its ending, .pdf or .png.

    Raises:
        ConfigError: another ending, or the file cannot be written.
    """
    makers = {".pdf": _pdf, ".png": _png}
    maker = makers.get(path.suffix.lower())
    if maker is None:
        raise ConfigError(f"board file {path} ends neither in .pdf nor in .png", "Name it board.pdf")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(maker(page))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Choose another place") from None


def _draw_foot(image: NDArray[np.uint8], px_per_mm: float, board: BoardConfig) -> None:
    left, y = round(MARGIN_MM * px_per_mm), image.shape[0] - round(6.0 * px_per_mm)
    thin = max(1, round(0.2 * px_per_mm))
    length = round(BAR_MM * px_per_mm)
    if left + length > image.shape[1]:
        return
    cv2.line(image, (left, y), (left + length, y), 0, thin)
    for mm in range(0, BAR_MM + 1, 10):
        tick = round((2.0 if mm % 50 == 0 else 1.2) * px_per_mm)
        x = left + round(mm * px_per_mm)
        cv2.line(image, (x, y - tick), (x, y), 0, thin)
    line = f"{BAR_MM} mm: print at 100 % and measure.  {describe(board)}"
    at, room = left + length + round(4 * px_per_mm), image.shape[1] - 2 * left - length
    size = 0.09 * px_per_mm
    width = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, size, thin)[0][0]
    size *= min(1.0, (room - 4 * px_per_mm) / width)
    if size > 0.03 * px_per_mm:
        cv2.putText(image, line, (at, y), cv2.FONT_HERSHEY_SIMPLEX, size, 0, max(1, thin // 2), cv2.LINE_AA)


def _png(page: Page) -> bytes:
    """A PNG that prints at its size: with pixels per metre in a pHYs chunk (PNG specification, 11.3.4.3)."""
    data: bytes = cv2.imencode(".png", page.image)[1].tobytes()
    per_metre = round(page.image.shape[1] / page.width_mm * 1000)
    body = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 25  # the signature, and the IHDR chunk, which comes first
    return data[:after_header] + chunk + data[after_header:]


def _pdf(page: Page) -> bytes:
    """A PDF of one page that the picture fills (ISO 32000-1, 7.5)."""
    height_px, width_px = page.image.shape
    width_pt, height_pt = (f"{mm / 25.4 * 72:.4f}" for mm in (page.width_mm, page.height_mm))
    picture = zlib.compress(page.image.tobytes(), 9)
    content = f"q {width_pt} 0 0 {height_pt} 0 0 cm /Board Do Q".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /ViewerPreferences << /PrintScaling /None >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width_pt} {height_pt}] "
        "/Resources << /XObject << /Board 4 0 R >> >> /Contents 5 0 R >>".encode(),
        f"<< /Type /XObject /Subtype /Image /Width {width_px} /Height {height_px} /ColorSpace /DeviceGray "
        f"/BitsPerComponent 8 /Filter /FlateDecode /Length {len(picture)} >>\nstream\n".encode()
        + picture
        + b"\nendstream",
        f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream",
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(out)
