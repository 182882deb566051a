"""The segmenter node with a network that costs nothing; run by the rclpy tests."""

from __future__ import annotations

from typing import Any

from stream_avs.benchmarks.stand_ins import DiscModel
from stream_avs.ros2.rcl.main import spin


def make() -> Any:
    from stream_avs.ros2.rcl.segmenter import SegmenterNode

    return SegmenterNode(load=lambda config: DiscModel())


if __name__ == "__main__":
    raise SystemExit(spin([make]))
