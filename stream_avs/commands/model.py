"""`stream-avs model`: which networks there are, and what one costs."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from stream_avs.errors import ConfigError, nearest
from stream_avs.models.ccformer.config import PRESETS as CCFORMER
from stream_avs.models.ccformer.config import CCFormerConfig, Mode, preset
from stream_avs.models.registry import PRESETS as LIVE

if TYPE_CHECKING:
    from stream_avs.models.ccformer.budget import Budget, Row


def run(argv: list[str]) -> int:
    """Run `stream-avs model`; returns 0.

    Raises:
        ConfigError: no such preset, or an input size it cannot take.
    """
    parser = argparse.ArgumentParser(prog="stream-avs model", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name every preset")
    info = commands.add_parser("info", help="parameters and multiply-accumulates, module by module")
    info.add_argument("preset", help="a CCFormer preset, e.g. pvt2")
    info.add_argument(
        "--input-px", type=int, default=0, help="side of the square input; default the preset's"
    )
    info.add_argument("--mode", choices=[m.value for m in Mode], default="", help="default the preset's")
    info.add_argument(
        "--classes", type=int, default=0, help="classes, 1 for sounding / not; default the preset's"
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    if options.command == "list":
        print("\n".join(_list()))
        return 0
    config = _config(options)
    # counting needs torch, which takes seconds to import
    from stream_avs.models.ccformer.budget import budget

    of_paper = options.preset == "pvt2" and config.input_px == 224
    counted = budget(config, config.input_px, paper=of_paper)
    if options.json:
        print(
            json.dumps({"preset": options.preset, "input_px": config.input_px, **asdict(counted)}, indent=2)
        )
    else:
        print("\n".join(_table(options.preset, config, counted, of_paper)))
    return 0


def _config(options: argparse.Namespace) -> CCFormerConfig:
    if options.preset not in CCFORMER and options.preset in LIVE:
        raise ConfigError(
            f"preset {options.preset!r} is not a CCFormer",
            f"`stream-avs model info` counts: {', '.join(CCFORMER)}",
        )
    if options.preset not in CCFORMER:
        raise ConfigError(f"no preset {options.preset!r}", nearest(options.preset, {*CCFORMER, *LIVE}))
    changes = {
        key: value for key, value in (("input_px", options.input_px), ("classes", options.classes)) if value
    }
    if options.mode:
        changes["mode"] = Mode(options.mode)
    return preset(options.preset, **changes)


def _list() -> list[str]:
    rows = {name: p.summary for name, p in LIVE.items()}
    for name, config in CCFORMER.items():
        built = f"CCFormer on {config.image_encoder} and {config.audio_encoder}, {config.input_px} px"
        rows.setdefault(name, f"{built}; to be trained")
    width = max(map(len, rows))
    return [f"{name:<{width}}  {summary}" for name, summary in rows.items()]


def _table(name: str, config: CCFormerConfig, counted: Budget, of_paper: bool) -> list[str]:
    lines = [
        f"{name}: {config.image_encoder} + {config.audio_encoder}, {config.input_px} x {config.input_px} px, "
        f"{config.mode} mode, {config.classes} class{'es' * (config.classes > 1)}",
        "",
        f"{'':<22}{'params M':>10}{'GMAC':>9}"
        + (f"{'paper M':>11}{'diff':>8}{'paper G':>9}{'diff':>8}" * of_paper),
    ]
    lines += [_line(row) for row in counted.rows]
    lines += ["-" * len(lines[2]), _line(counted.total), ""]
    fused = "fusion once" if config.mode is Mode.CAUSAL else f"fusion of {config.frames} frames"
    note = "for one frame with the mask of every decoder layer, as in training"
    if config.audio_encoder == "vggish":
        note += "; parameters without VGGish, which stays frozen"
    lines += [
        f"Total {note}.",
        f"Live, one new mask: {counted.live_macs / 1e9:.2f} GMAC (encoders once, {fused}, newest mask only).",
    ]
    if of_paper:
        lines.append(
            "Paper: Table IV; its total, and what leaving out a module saves. Its FLOPs are MACs here."
        )
    return lines


def _line(row: Row) -> str:
    text = f"{row.name:<22}{row.parameters / 1e6:>10.3f}{row.macs / 1e9:>9.3f}"
    if row.paper is None:
        return text
    parameters, flops = row.paper
    return (
        f"{text}{parameters / 1e6:>11.1f}{(row.parameters - parameters) / 1e6:>+8.2f}"
        f"{flops / 1e9:>9.1f}{(row.macs - flops) / 1e9:>+8.2f}"
    )
