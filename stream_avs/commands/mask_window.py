"""A window that shows masks as they arrive, on a dark ground: a subscriber has no picture."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

import numpy as np

from stream_avs.errors import MissingPackageError, PublishError
from stream_avs.types import MaskResult

_GROUND = 28
_MAX_WIDTH_PX = 960
_KEYS = (27, ord("q"))


class MaskWindow:
    """Shows the newest result; a context manager.

    Args:
        name: of the stream; the window's title.

    Raises:
        MissingPackageError: no OpenCV is installed, or one without windows.
        PublishError: there is no display.
    """

    def __init__(self, name: str) -> None:
        self._cv2 = opencv_with_windows()
        from stream_avs.publish.draw import overlay_result

        self._overlay = overlay_result
        self._title = f"stream-avs {name}"
        self._cv2.namedWindow(self._title, self._cv2.WINDOW_NORMAL)

    def update(self, result: MaskResult | None) -> bool:
        """Show a result if there is one; False once the user wants to end."""
        cv2 = self._cv2
        if result is not None:
            width, height = result.source_size
            scale = min(1.0, _MAX_WIDTH_PX / width)
            shape = (max(1, round(height * scale)), max(1, round(width * scale)), 3)
            picture = self._overlay(np.full(shape, _GROUND, np.uint8), result, opacity=0.9)
            cv2.imshow(self._title, picture[..., ::-1])
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        return cv2.waitKey(1) & 0xFF not in _KEYS and not closed

    def __enter__(self) -> MaskWindow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cv2.destroyAllWindows()


def opencv_with_windows() -> Any:
    """Return the module `cv2` if it can open a window here.

    Raises:
        MissingPackageError: no OpenCV is installed, or one without windows.
        PublishError: there is no display.
    """
    try:
        import cv2
    except ImportError:
        raise MissingPackageError("OpenCV (cv2) is not installed", "Run: pip install opencv-python") from None
    gui = next((line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line), "GUI: NONE")
    if gui.split(":")[1].strip() == "NONE":
        raise MissingPackageError(
            "the OpenCV that is installed opens no windows",
            "Run: pip uninstall -y opencv-python-headless && pip install opencv-python; or use --save",
        )
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise PublishError("no display to draw on: neither DISPLAY nor WAYLAND_DISPLAY is set", "Use --save")
    return cv2
