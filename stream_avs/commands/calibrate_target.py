"""`stream-avs calibrate target`: make the flash-and-beep video, or a board to print."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import tyro

from stream_avs.calibration.board_page import PageConfig, describe, draw_page, write_page
from stream_avs.calibration.boards import BoardKind
from stream_avs.calibration.flash_beep import FlashBeepConfig, write_flash_beep
from stream_avs.commands.calibrate_common import make_console, parse


class Kind(StrEnum):
    """What to make."""

    FLASH_BEEP = "flash-beep"  # MP4, for `calibrate sync`
    CHARUCO = "charuco"  # PDF or PNG, for `calibrate camera`
    CHECKERBOARD = "checkerboard"


@dataclass(frozen=True, kw_only=True)
class TargetConfig:
    """What to make and where to put it."""

    out: Annotated[str, tyro.conf.Positional]
    """The file: .mp4 for flash-beep, .pdf or .png for a board."""
    kind: Kind = Kind.FLASH_BEEP
    """flash-beep, charuco or checkerboard."""
    page: PageConfig = field(default_factory=PageConfig)
    video: FlashBeepConfig = field(default_factory=FlashBeepConfig)


def run(argv: list[str]) -> int:
    """Make a target; returns 0."""
    config = parse(TargetConfig, "target", argv, __doc__)
    console = make_console()
    out = Path(config.out)
    if config.kind is Kind.FLASH_BEEP:
        with console.status(f"writing {out}"):
            write_flash_beep(out, config.video)
        console.print(
            f"wrote {out}: {config.video.duration_s:.0f} s, {config.video.events} flashes with beeps at "
            f"{config.video.fps} fps. Play it full screen and loud, then: stream-avs calibrate sync"
        )
        return 0
    board = replace(config.page.board, kind=BoardKind(config.kind.value))
    write_page(out, draw_page(replace(config.page, board=board)))
    console.print(f"wrote {out}: {describe(board)}. Print it at 100 % and glue it to something flat")
    return 0
