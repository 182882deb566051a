"""`stream-avs render`: a recording or a film to an overlay video, or to a contact sheet."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from stream_avs.capture.media import Media
from stream_avs.capture.open_source import is_recording
from stream_avs.capture.tap import NoSink, chain
from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import MediaConfig, ModelConfig, Pace, RunConfig, WindowConfig, require
from stream_avs.errors import PublishError, SourceError
from stream_avs.ledger import Ledger
from stream_avs.models.registry import load_model
from stream_avs.pipeline import Pipeline, run_until_done
from stream_avs.publish.contact_sheet import ContactSheet
from stream_avs.publish.overlay_tap import OverlayTap

DESCRIPTION = """\
Make a video with masks and sound, or a sheet of pictures, of a recording or a film.

Of a recording the recorded masks are drawn, no network runs; `stream-avs replay FILE --overlay VIDEO` makes
them anew. Of a film every frame gets a mask, however long that takes.
"""


@dataclass(frozen=True, kw_only=True)
class RenderCommand:
    """What to make of what."""

    file: Annotated[Path, tyro.conf.Positional]
    """A recording (.mcap) or any film."""
    out: Path | None = None
    """The video: .mp4, .m4v, .mov or .mkv; FILE.overlay.mp4 if neither this nor a sheet is asked for."""
    sheet: Path | None = None
    """Write a contact sheet (.png) to this file."""
    pictures: int = 12
    """Pictures on the sheet."""
    columns: int = 4
    """Pictures side by side on the sheet."""
    model: ModelConfig = field(default_factory=ModelConfig)
    window: WindowConfig = field(default_factory=WindowConfig)

    def __post_init__(self) -> None:
        require(1 <= self.pictures <= 200, "pictures", self.pictures, "1..200")
        require(1 <= self.columns <= 20, "columns", self.columns, "1..20")


def run(argv: list[str]) -> int:
    """Render one file; returns the exit code.

    Raises:
        StreamAvsError: the file cannot be read, or the output not be written.
    """
    config = parse_arguments(RenderCommand, "render", argv, DESCRIPTION)
    if config.out is None and config.sheet is None:
        config = replace(config, out=config.file.with_suffix(".overlay.mp4"))
    signal.signal(signal.SIGTERM, _interrupt)
    ledger = Ledger()
    sheet = ContactSheet(config.pictures, config.columns)
    with ExitStack() as stack:
        video = None
        if config.out is not None:
            video = stack.enter_context(OverlayTap(config.out, ledger, wait=True))
        with suppress(KeyboardInterrupt):
            if is_recording(config.file):
                _recording(config.file, video, sheet)
            else:
                _film(config, video, sheet, ledger)
    if video is not None:
        print(video.report(), file=sys.stderr)
    if config.sheet is not None:
        _write_sheet(config.sheet, sheet)
    return 0 if video is None or video.whole else PublishError.exit_code


def _recording(path: Path, video: OverlayTap | None, sheet: ContactSheet) -> None:
    # Imported here: the package mcap is needed for recordings only.
    from stream_avs.capture.replay import deliver, source_info
    from stream_avs.record.items import FrameItem, ResultItem
    from stream_avs.record.reader import Recording

    recording = Recording(path)
    info = source_info(recording)
    first = next((item for item in recording.items() if isinstance(item, FrameItem)), None)
    if first is None:
        raise SourceError(f"recording {path} holds no picture", "Record it again")
    height_px, width_px = first.image.shape[:2]
    info = replace(info, width_px=width_px, height_px=height_px)
    tap = chain(video.wrap if video else None, sheet.wrap)
    assert tap is not None
    sink = tap(NoSink(), info)
    progress = _Progress()
    for item in recording.items():
        if isinstance(item, ResultItem):
            progress()
            if video is not None:
                video.publish(item.result)
            sheet.publish(item.result)
        else:
            deliver(item, sink, 0)
    progress.end()
    if recording.damage():
        print(f"recording {path}: {recording.damage()}", file=sys.stderr)


def _film(config: RenderCommand, video: OverlayTap | None, sheet: ContactSheet, ledger: Ledger) -> None:
    media = MediaConfig(pace=Pace.FAST)
    settings = RunConfig(source=str(config.file), model=config.model, window=config.window, media=media)
    tap = chain(video.wrap if video else None, sheet.wrap)
    parts = (video.publish, sheet.publish) if video else (sheet.publish,)
    progress = _Progress()
    source = Media(config.file, media)
    model = load_model(config.model)
    with Pipeline(settings, source, model, (*parts, lambda _: progress()), tap, ledger) as pipeline:
        run_until_done(pipeline)
    progress.end()


def _write_sheet(path: Path, sheet: ContactSheet) -> None:
    data = sheet.png()
    if data is None:
        raise PublishError(
            "no picture had a mask, so there is no sheet", "Record with masks, or look at the video"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise PublishError(f"{path} cannot be written: {error.strerror}", "Choose another --sheet") from None
    print(f"contact sheet: {path}", file=sys.stderr)


class _Progress:
    """Counts on a terminal."""

    def __init__(self) -> None:
        self._count = 0
        self._shown = sys.stderr.isatty()

    def __call__(self) -> None:
        self._count += 1
        if self._shown:
            print(f"\r{self._count} masks drawn\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr)


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
