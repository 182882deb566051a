"""`python -m stream_avs.training.nano train | report | sheet | credits`: nano's weights.

python -m stream_avs.training.nano train --data DIR --work DIR --out nano.safetensors
python -m stream_avs.training.nano report --data DIR --preset nano --out nano.json
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: see `stream_avs.cli`

import tyro

from stream_avs.commands.arguments import parse_arguments
from stream_avs.errors import ConfigError, StreamAvsError
from stream_avs.training.nano.credits import write_credits
from stream_avs.training.nano.fit import FitConfig
from stream_avs.training.nano.recipe import make_weights
from stream_avs.training.nano.report import ReportConfig, report
from stream_avs.training.nano.sheet import write_sheet


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Make the weights; goes on where it was stopped."""

    data: Path
    """Folder with masks/coco_free, sounds/esc10, sounds/esc50_cc and clips/free."""
    work: Path
    """Folder for banks (4 GB), states and logs."""
    out: Path
    """The safetensors file to write."""
    fit: FitConfig = field(default_factory=FitConfig)
    """How long and how fast."""


@dataclass(frozen=True, kw_only=True)
class CreditsConfig:
    """Write who made the pictures and sounds used."""

    data: Path
    """As for training."""
    out: Path
    """The CSV file to write."""


@dataclass(frozen=True, kw_only=True)
class SheetConfig:
    """Draw masks of freely licensed frames."""

    data: Path
    """As for reports."""
    out: Path
    """The picture to write."""
    presets: tuple[str, ...] = ("consensus", "nano")
    """Side by side."""


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Score presets."""

    report: tyro.conf.OmitArgPrefixes[ReportConfig]
    """What to score."""
    out: Path
    """JSON file to write."""


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    start = time.monotonic()

    def tell(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - start:7.0f} s  {text}\n")

    try:
        command, rest = (argv[0], argv[1:]) if argv else ("", [])
        if command == "train":
            config = parse_arguments(TrainConfig, "nano train", rest, __doc__)
            make_weights(config.data, config.work, config.out, config.fit, tell)
        elif command == "report":
            asked = parse_arguments(ScoreConfig, "nano report", rest, __doc__)
            asked.out.write_text(json.dumps(report(asked.report, tell), indent=1) + "\n")
        elif command == "credits":
            credit = parse_arguments(CreditsConfig, "nano credits", rest, __doc__)
            tell(f"{write_credits(credit.data, credit.out)} rows")
        elif command == "sheet":
            sheet = parse_arguments(SheetConfig, "nano sheet", rest, __doc__)
            tell(f"{write_sheet(sheet.data, sheet.out, sheet.presets)} strips")
        else:
            raise ConfigError(f"unknown command {command!r}", "Valid: credits, report, sheet, train")
    except StreamAvsError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
