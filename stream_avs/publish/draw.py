"""Masks drawn over the picture they belong to. Needs OpenCV; nothing here opens a window.

Sizes follow the height of the picture, so that a 360x288 and a 1080p frame look alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stream_avs.errors import missing_package
from stream_avs.publish.mask_codec import present_ids
from stream_avs.publish.palette import PALETTE, colour_of, mask_png
from stream_avs.types import Affine, ClassMap, Image, MaskResult, ResultState, Sounding

try:
    import cv2
except ImportError:
    raise missing_package("OpenCV (cv2)", "live") from None

__all__ = ["PALETTE", "colour_of", "mask_png", "overlay", "overlay_result"]

_SMOOTHING_PX = 0.8  # of the mask: rounds its pixel corners before it is enlarged
_SEAM_OPACITY = 0.35
_STALE_FADE = 0.45
_INK = (16, 18, 22)
_PAPER = (245, 246, 248)
_PANEL_OPACITY = 0.78
_BADGES = {
    ResultState.NO_AUDIO: ("NO AUDIO", (96, 108, 128), _PAPER),
    ResultState.RESET: ("RESET", (0, 114, 178), _PAPER),
    ResultState.STALE: ("STALE", (240, 180, 40), _INK),
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MIN_TEXT_PX = 11


def overlay_result(image: Image, result: MaskResult, *, opacity: float = 0.5) -> Image:
    """Draw a result over its source image; see `overlay`."""
    return overlay(
        image, result.mask,
        transform=_scaled(result.transform, result.source_size, image), labels=result.labels,
        sounding=result.sounding, state=result.state, opacity=opacity,
    )  # fmt: skip


def overlay(
    image: Image,
    mask: ClassMap,
    *,
    transform: Affine | None = None,
    labels: Mapping[int, str] | None = None,
    sounding: Sequence[Sounding] | None = None,
    state: ResultState = ResultState.OK,
    opacity: float = 0.5,
) -> Image:
    """Tint and outline each class, list what sounds, and say when the mask is not an ordinary one.

    Args:
        image: uint8 [H, W, 3] RGB; left as it is.
        mask: uint8 [h, w] class ids.
        transform: mask to image pixel centres; None stretches the mask over the whole image.
        labels: names for the list if `sounding` is None.
        sounding: what the list shows, with scores; None lists the labels of the classes in the mask.
        state: drawn as a badge unless ok; a stale mask is drawn weaker.
        opacity: of the tint, 0..1.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    canvas: Image = np.array(image, np.uint8, order="C")
    height, width = canvas.shape[:2]
    if transform is None:
        transform = stretch(mask.shape, (height, width))
    if state is ResultState.STALE:
        opacity *= _STALE_FADE
    ids = present_ids(mask)
    for class_id in ids:
        _draw_class(canvas, mask, class_id, transform, opacity)
    if sounding is None:
        rows = [(colour_of(i), (labels or {})[i], "") for i in ids if i in (labels or {})]
    else:
        rows = [(colour_of(s.class_id), s.name, f"{s.score:.0%}") for s in sounding]
    _annotate(canvas, rows, state)
    return canvas


def stretch(mask_shape: Sequence[int], image_shape: Sequence[int]) -> Affine:
    """Return the transform that lays a mask [h, w] over all of an image [H, W, ...]."""
    sy, sx = image_shape[0] / mask_shape[0], image_shape[1] / mask_shape[1]
    return (sx, 0.0, (sx - 1) / 2, 0.0, sy, (sy - 1) / 2)


def _scaled(transform: Affine, source_size: tuple[int, int], image: Image) -> Affine:
    """Adapt a transform to source pixels to an image that is a scaled copy of the source."""
    sy, sx = image.shape[0] / source_size[1], image.shape[1] / source_size[0]
    if sx == sy == 1:
        return transform
    a, b, c, d, e, f = transform
    return (sx * a, sx * b, sx * c + (sx - 1) / 2, sy * d, sy * e, sy * f + (sy - 1) / 2)


def _draw_class(canvas: Image, mask: ClassMap, class_id: int, transform: Affine, opacity: float) -> None:
    """Tint and outline one class in place; works on its bounding box only."""
    found = _enlarge(mask, class_id, transform, canvas.shape)
    if found is None:
        return
    (x0, y0), soft = found
    height, width = soft.shape
    region = canvas[y0 : y0 + height, x0 : x0 + width]
    _, inside = cv2.threshold(soft, 127, 255, cv2.THRESH_BINARY)
    _tint(region, PALETTE[class_id], opacity, inside)
    # The line covers the steps of the tint's edge. A dark seam around it keeps it visible where the
    # picture has the same colour.
    outline = _outline(inside)
    line_px = max(2, round(canvas.shape[0] / 300))
    seam = np.zeros((height, width), np.uint8)
    cv2.drawContours(seam, outline, -1, 255, line_px + 2)
    _tint(region, np.array(_INK), _SEAM_OPACITY, seam)
    line = _bright(PALETTE[class_id])
    cv2.drawContours(canvas, outline, -1, line, line_px, cv2.LINE_AA, offset=(x0, y0))


def _tint(region: Image, colour: Any, opacity: float, where: Any) -> None:
    """Mix one colour into `region` in place where uint8 [h, w] is not zero."""
    levels = np.arange(256)[:, None] * (1 - opacity) + np.asarray(colour) * opacity
    table = np.rint(levels).astype(np.uint8).reshape(1, 256, 3)
    cv2.copyTo(cv2.LUT(region, table), where, region)


def _outline(inside: Any) -> list[Any]:
    """Polygons around what is inside, holes too, without the steps of single pixels."""
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [cv2.approxPolyDP(c, 0.8, True) for c in contours]


def _enlarge(
    mask: ClassMap, class_id: int, transform: Affine, image_shape: Sequence[int]
) -> tuple[tuple[int, int], Any] | None:
    """Bring one class to image resolution: position of its box and uint8 [h, w], 255 inside."""
    member = (mask == class_id).astype(np.uint8) * 255
    x, y, w, h = cv2.boundingRect(member)
    margin = 6
    member = np.pad(member[y : y + h, x : x + w], margin)
    if min(w, h) > 3:
        member = cv2.GaussianBlur(member, (0, 0), _SMOOTHING_PX if min(w, h) < 16 else 2 * _SMOOTHING_PX)
    matrix = np.array(transform, np.float64).reshape(2, 3)
    matrix[:, 2] += matrix[:, :2] @ (x - margin, y - margin)
    corners = np.array([(u, v, 1) for u in (0, w + 2 * margin - 1) for v in (0, h + 2 * margin - 1)])
    box = corners @ matrix.T
    x0, y0 = np.maximum(np.floor(box.min(0)), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(box.max(0)) + 1, (image_shape[1], image_shape[0])).astype(int).tolist()
    if x0 >= x1 or y0 >= y1:
        return None
    matrix[:, 2] -= (x0, y0)
    return (x0, y0), cv2.warpAffine(member, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)


def _annotate(
    canvas: Image, rows: Sequence[tuple[tuple[int, int, int], str, str]], state: ResultState
) -> None:
    height, width = canvas.shape[:2]
    text_px = max(_MIN_TEXT_PX, round(height / 30))
    margin = round(text_px * 0.9)
    right = margin
    bottom = margin
    if rows:
        right, bottom = _legend(canvas, rows, text_px, margin)
    badge = _BADGES.get(state)
    if badge is None:
        return
    text, ground, ink = badge
    box_width = _text_width(text, text_px) + 2 * text_px
    x = width - margin - box_width
    # Where the picture is too narrow for both, the badge goes below the list.
    x, y = (x, margin) if x > right + margin else (margin, bottom + (margin if rows else 0))
    box = (x, y, box_width, round(1.9 * text_px))
    if _panel(canvas, box, np.array(ground), 0.92, round(0.95 * text_px)):
        _text(canvas, text, x + text_px, y, box[3], text_px, ink)


def _legend(
    canvas: Image, rows: Sequence[tuple[tuple[int, int, int], str, str]], text_px: int, margin: int
) -> tuple[int, int]:
    """Draw the list in the upper left corner; returns where its box ends, x and y."""
    height, width = canvas.shape[:2]
    row_px = round(1.75 * text_px)
    pad = round(0.7 * text_px)
    shown = rows[: max(1, (height - 2 * margin - 2 * pad) // row_px)]
    name_px_max = max(4 * text_px, width // 3)
    names = [_shorten(name, text_px, name_px_max) for _, name, _ in shown]
    name_px = max(_text_width(name, text_px) for name in names)
    value_px = max(_text_width(value, text_px) for _, _, value in shown)
    swatch = text_px
    gap = round(0.7 * text_px)
    box_width = 2 * pad + swatch + gap + name_px + (gap + value_px if value_px else 0)
    box = (margin, margin, box_width, 2 * pad + row_px * len(shown))
    if not _panel(canvas, box, np.array(_INK), _PANEL_OPACITY, round(0.6 * text_px)):
        return margin, margin
    for k, ((colour, _, value), name) in enumerate(zip(shown, names, strict=True)):
        y = margin + pad + k * row_px
        middle = y + row_px // 2
        x = margin + pad
        cv2.circle(canvas, (x + swatch // 2, middle), round(0.42 * swatch), colour, -1, cv2.LINE_AA)
        x += swatch + gap
        _text(canvas, name, x, y, row_px, text_px, _PAPER)
        end = margin + box_width - pad
        _text(canvas, value, end - _text_width(value, text_px), y, row_px, text_px, (200, 204, 212))
    return margin + box[2], margin + box[3]


def _panel(canvas: Image, box: tuple[int, int, int, int], colour: Any, opacity: float, radius: int) -> bool:
    """Blend a rounded rectangle (x, y, w, h) into the canvas; False, drawing nothing, if it does not fit."""
    x, y, w, h = box
    if x < 0 or y < 0 or x + w > canvas.shape[1] or y + h > canvas.shape[0]:
        return False
    shape = np.zeros((h, w), np.uint8)
    r = max(1, min(radius, w // 2 - 1, h // 2 - 1))
    cv2.rectangle(shape, (r, 0), (w - 1 - r, h - 1), 255, -1)
    cv2.rectangle(shape, (0, r), (w - 1, h - 1 - r), 255, -1)
    for centre in ((r, r), (w - 1 - r, r), (r, h - 1 - r), (w - 1 - r, h - 1 - r)):
        cv2.circle(shape, centre, r, 255, -1, cv2.LINE_AA)
    _blend(canvas[y : y + h, x : x + w], colour, cv2.convertScaleAbs(shape, alpha=opacity))
    return True


def _blend(region: Image, colour: Any, alpha: Any) -> None:
    """Mix one colour into `region` in place; alpha uint8 [h, w], 255 covers."""
    weight = alpha.astype(np.float32) / 255
    paint = np.empty_like(region)
    paint[:] = colour
    region[:] = cv2.blendLinear(np.ascontiguousarray(region), paint, 1 - weight, weight)


def _bright(colour: Any) -> tuple[float, ...]:
    return tuple(np.rint(colour + (255.0 - colour) * 0.25).tolist())


def _font(text_px: int) -> tuple[float, int]:
    """Scale and thickness at which capitals are 0.7 `text_px` tall."""
    return text_px / 29, max(1, round(text_px / 22))


def _text_width(text: str, text_px: int) -> int:
    return int(cv2.getTextSize(text, _FONT, *_font(text_px))[0][0]) if text else 0


def _shorten(text: str, text_px: int, width_px: int) -> str:
    if _text_width(text, text_px) <= width_px:
        return text
    while text and _text_width(text + "..", text_px) > width_px:
        text = text[:-1]
    return text + ".."


def _text(canvas: Image, text: str, x: int, y: int, box_px: int, text_px: int, ink: Any) -> None:
    """Write one line, its capitals centred in a box `box_px` tall that begins at `y`."""
    scale, thickness = _font(text_px)
    base = y + round((box_px + 0.7 * text_px) / 2)
    cv2.putText(canvas, text, (x, base), _FONT, scale, ink, thickness, cv2.LINE_AA)
