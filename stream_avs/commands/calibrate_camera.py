"""`stream-avs calibrate camera`: intrinsics from views of a board.

From a camera, show the board until enough views are kept; from a folder or a video, all is looked at.
Writes a ROS camera_info file and a picture of where the corners were seen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from stream_avs.calibration.board_page import describe
from stream_avs.calibration.boards import BoardConfig, BoardFinder, to_grey
from stream_avs.calibration.camera_info import check_camera_name, write_camera_info
from stream_avs.calibration.collect import ViewCollector, require_views, views_of_folder
from stream_avs.calibration.devices import Inputs, pictures_only
from stream_avs.calibration.intrinsics import Intrinsics, IntrinsicsConfig, calibrate_camera
from stream_avs.calibration.intrinsics_plot import draw_intrinsics
from stream_avs.calibration.record import FrameFeed
from stream_avs.calibration.views import View, coverage, next_hint
from stream_avs.capture.address import redact
from stream_avs.commands.calibrate_common import StreamConfig, make_console, parse
from stream_avs.config import CameraConfig, MicrophoneConfig, require

FILE_EVERY_S = 0.25
"""Of a video so many seconds apart are looked at: neighbouring pictures are alike."""


@dataclass(frozen=True, kw_only=True)
class CameraCalibrationConfig:
    """What to look at, and where the result goes."""

    source: str = "webcam"
    """webcam, camera:N, /dev/videoN, a video file or a stream."""
    images: str = ""
    """Folder of pictures, instead of a source."""
    name: str = "camera"
    """Name of the camera: letters, digits and _."""
    out: str = ""
    """The camera_info file to write; empty for NAME.yaml."""
    plot: str = ""
    """The picture to draw; empty for the same name as `out`, ending in .png."""
    duration_s: float = 180.0
    """Stop looking at a camera after this long."""
    board: BoardConfig = field(default_factory=BoardConfig)
    lens: IntrinsicsConfig = field(default_factory=IntrinsicsConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    stream: StreamConfig = field(default_factory=StreamConfig)

    def __post_init__(self) -> None:
        require(check_camera_name(self.name), "name", self.name, "letters, digits and _ only")
        require(1 <= self.duration_s <= 3600, "duration_s", self.duration_s, "1..3600 s")


def run(argv: list[str]) -> int:
    """Calibrate a camera; returns 0, or raises what stands in the way."""
    config = parse(CameraCalibrationConfig, "camera", argv, __doc__)
    console = make_console()
    console.print(f"looking for: {describe(config.board)}")
    views = _from_folder(config, console) if config.images else _from_source(config, console)
    result = calibrate_camera(views, config.name, config.lens)
    out = Path(config.out or f"{config.name}.yaml")
    plot = Path(config.plot) if config.plot else out.with_suffix(".png")
    write_camera_info(out, result.info)
    draw_intrinsics(result, config.images or redact(config.source)).save(plot)
    _report(result, console)
    console.print(f"wrote {out} and {plot}")
    return 0


def _from_folder(config: CameraCalibrationConfig, console: Console) -> list[View]:
    views: list[View] = []
    looked_at = 0
    for path, view in views_of_folder(Path(config.images), BoardFinder(config.board)):
        looked_at += 1
        if isinstance(view, str):
            console.print(f"  {path.name}: {view}")
        else:
            views.append(view)
    require_views(views, looked_at)
    return views


def _from_source(config: CameraCalibrationConfig, console: Console) -> list[View]:
    inputs = Inputs(
        source=config.source, camera=config.camera, microphone=MicrophoneConfig(), media=config.stream.media()
    )
    source = pictures_only(inputs)
    info = source.open()
    for note in info.notes:
        console.print(f"  {note}")
    collector = ViewCollector(BoardFinder(config.board), still=info.live)
    feed = FrameFeed(live=info.live, every_s=0.0 if info.live else FILE_EVERY_S)
    looked_at = 0
    begin_ns, begin_s = None, time.monotonic()
    source.start(feed)
    try:
        with console.status("waiting for pictures") as status:
            while not feed.exhausted and not (info.live and collector.enough):
                if info.live and time.monotonic() - begin_s > config.duration_s:
                    break
                taken = feed.take()
                if taken is None:
                    continue
                image, stamp_ns = taken
                begin_ns = stamp_ns if begin_ns is None else begin_ns
                looked_at += 1
                outcome = collector.offer(f"at {(stamp_ns - begin_ns) / 1e9:.2f} s", to_grey(image))
                status.update(_progress(collector.views, outcome.value))
    except KeyboardInterrupt:
        console.print("stopped by Ctrl-C; using the views so far")
    finally:
        feed.close()
        source.stop()
    if feed.error is not None and not collector.views:
        raise feed.error
    require_views(collector.views, looked_at)
    return collector.views


def _progress(views: list[View], outcome: str) -> str:
    return f"{len(views)} views, {coverage(views):.0%} of the picture; {outcome}; {next_hint(views)}"


def _report(result: Intrinsics, console: Console) -> None:
    k = result.info.camera_matrix
    for view, reason in result.dropped:
        console.print(f"  left out {view.name}: {reason}")
    console.print(
        f"fx {k[0]:.2f}, fy {k[4]:.2f}, cx {k[2]:.2f}, cy {k[5]:.2f} px at "
        f"{result.info.width_px}x{result.info.height_px}; {result.info.distortion_model} "
        + " ".join(f"{d:.4g}" for d in result.info.distortion)
    )
    console.print(
        f"RMS reprojection error {result.rms_px:.3f} px over {len(result.views)} views; focal length good to "
        f"{result.focal_error:.2%}; corners in {result.coverage:.0%} of the picture"
    )
