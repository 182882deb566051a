"""OpenCV, untyped: its stubs differ between 4 and 5, both of which are supported."""

from __future__ import annotations

from typing import Any

from stream_avs.capture.camera import import_cv2

cv2: Any = import_cv2()
