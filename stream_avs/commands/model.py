"""`stream-avs model`: which networks there are, what one costs, and what is kept of compiled ones."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from stream_avs.engine.backends import cache
from stream_avs.errors import ConfigError, nearest
from stream_avs.models.architectures import ARCHITECTURES, architecture_of, find_preset, preset_names
from stream_avs.models.ccformer.config import CCFormerConfig, Mode
from stream_avs.models.costs import Cost, count, kept_costs, recount
from stream_avs.models.network_config import NetworkConfig
from stream_avs.models.registry import PRESETS as LIVE

if TYPE_CHECKING:
    from stream_avs.models.flops import Budget, Row


def run(argv: list[str]) -> int:
    """Run `stream-avs model`; returns 0.

    Raises:
        ConfigError: no such preset, or an input size it cannot take.
    """
    parser = argparse.ArgumentParser(prog="stream-avs model", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="name every preset, with parameters and operations")
    listing.add_argument("--recount", action="store_true", help="count all again (a minute) and keep it")
    info = commands.add_parser(
        "info", aliases=["show"], help="parameters and multiply-accumulates, module by module"
    )
    info.add_argument("preset", help="a network to train, e.g. pvt2, tpavi-pvt2, avsac-tiny")
    info.add_argument(
        "--input-px", type=int, default=0, help="side of the square input; default the preset's"
    )
    info.add_argument("--mode", choices=[m.value for m in Mode], default="", help="CCFormer alone")
    info.add_argument(
        "--classes", type=int, default=0, help="classes, 1 for sounding / not; default the preset's"
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    kept = commands.add_parser(
        "cache", help="compiled networks on this machine; the least recently used go when they pass 2 GB"
    )
    kept.add_argument("--clear", action="store_true", help="remove them; they are compiled anew when needed")
    options = parser.parse_args(argv)
    if options.command == "cache":
        print("\n".join(_cache(options.clear)))
        return 0
    if options.command == "list":
        print("\n".join(_list(recount() if options.recount else kept_costs())))
        return 0
    config = _config(options)
    # counting needs torch, which takes seconds to import
    from stream_avs.models.budget import budget

    of_paper = options.preset == "pvt2" and config.input_px == 224
    counted = budget(config, paper=of_paper)
    if options.json:
        print(
            json.dumps({"preset": options.preset, "input_px": config.input_px, **asdict(counted)}, indent=2)
        )
    else:
        print("\n".join(_table(options.preset, config, counted, of_paper)))
    return 0


def _config(options: argparse.Namespace) -> NetworkConfig:
    names = preset_names()
    if options.preset not in names and options.preset in {*LIVE, *ARCHITECTURES}:
        raise ConfigError(
            f"preset {options.preset!r} is not one network to train",
            f"`stream-avs model info` counts: {', '.join(names)}",
        )
    if options.preset not in names:
        raise ConfigError(f"no preset {options.preset!r}", nearest(options.preset, {*names, *LIVE}))
    changes = {
        key: value for key, value in (("input_px", options.input_px), ("classes", options.classes)) if value
    }
    if options.mode:
        changes["mode"] = Mode(options.mode)
    return find_preset(options.preset, **changes)


def _list(costs: dict[str, Cost]) -> list[str]:
    names = preset_names()
    width = max(map(len, (*LIVE, *names)))
    lines = ["To run: stream-avs run --model.preset NAME"]
    lines += [f"  {name:<{width}}  {preset.summary}" for name, preset in LIVE.items()]
    lines += [
        "",
        "To train: stream-avs train --architecture ARCHITECTURE --network PRESET ...",
        f"  {'name':<{width}}  {'params M':>8}  {'GMAC':>6}  {'px':>3}  what",
    ]
    for name, (architecture, preset) in names.items():
        config, cost = architecture.presets[preset], costs.get(name) or count(name)
        lines.append(
            f"  {name:<{width}}  {cost.parameters / 1e6:>8.2f}  {cost.live_macs / 1e9:>6.2f}  "
            f"{config.input_px:>3}  {architecture.title} on {' + '.join(config.stands_on)}"
        )
    return [*lines, "", "params: without VGGish (72.1 M, frozen). GMAC: one new mask of a live stream."]


def _cache(clearing: bool) -> list[str]:
    folder = cache.DEFAULT_CACHE
    found = cache.clear(folder) if clearing else cache.entries(folder)
    lines = [
        f"{e.size_bytes / 1e6:8.1f} MB  {datetime.fromtimestamp(e.used_s):%Y-%m-%d %H:%M}  {e.path.name}"
        for e in found
    ]
    total = sum(e.size_bytes for e in found) / 1e6
    what = "removed" if clearing else f"in {folder}, at most {cache.LIMIT_BYTES / 1e6:.0f} MB"
    return [*lines, f"{total:8.1f} MB  {what}"]


def _table(name: str, config: NetworkConfig, counted: Budget, of_paper: bool) -> list[str]:
    architecture = architecture_of(config)
    mode = f", {config.mode} mode" if isinstance(config, CCFormerConfig) else ""
    lines = [
        f"{name}: {architecture.title} on {' + '.join(config.stands_on)}, "
        f"{config.input_px} x {config.input_px} px{mode}, "
        f"{config.classes} class{'es' * (config.classes > 1)}",
        "",
        f"{'':<22}{'params M':>10}{'GMAC':>9}"
        + (f"{'paper M':>11}{'diff':>8}{'paper G':>9}{'diff':>8}" * of_paper),
    ]
    lines += [_line(row) for row in counted.rows]
    lines += ["-" * len(lines[2]), _line(counted.total), "", *_notes(config, counted)]
    if of_paper:
        lines.append(
            "Paper: Table IV; its total, and what leaving out a module saves. Its FLOPs are MACs here."
        )
    published = architecture.published.get(name.removeprefix(f"{architecture.name}-"))
    return [*lines, f"Published: {published}"] if published else lines


def _notes(config: NetworkConfig, counted: Budget) -> list[str]:
    note = "for one frame with every mask that training supervises"
    if config.audio_encoder == "vggish":
        note += f"; parameters without VGGish, which stays frozen ({counted.all_parameters / 1e6:.2f} M with)"
    frames = config.live_frames
    fused = "fusion once" if not config.windowed or frames == 1 else f"fusion of {frames} frames"
    return [
        f"Total {note}.",
        f"Live, one new mask: {counted.live_macs / 1e9:.2f} GMAC (encoders once, {fused}, newest mask only).",
    ]


def _line(row: Row) -> str:
    text = f"{row.name:<22}{row.parameters / 1e6:>10.3f}{row.macs / 1e9:>9.3f}"
    if row.paper is None:
        return text
    parameters, flops = row.paper
    return (
        f"{text}{parameters / 1e6:>11.1f}{(row.parameters - parameters) / 1e6:>+8.2f}"
        f"{flops / 1e9:>9.1f}{(row.macs - flops) / 1e9:>+8.2f}"
    )
