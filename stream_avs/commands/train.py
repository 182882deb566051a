"""`stream-avs train`: train a network on AVSBench or composed scenes; go on where a run stopped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from stream_avs.commands.arguments import parse_arguments, take
from stream_avs.config import read_yaml
from stream_avs.errors import ConfigError
from stream_avs.models.architectures import ARCHITECTURES
from stream_avs.training.config import RECIPES, TrainConfig, recipe, same_run, train_config
from stream_avs.training.curves import require_tensorboard
from stream_avs.training.distributed import Group, join
from stream_avs.training.finish import finish
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.run_folder import RunFolder
from stream_avs.training.scoring import Scored
from stream_avs.training.state import TrainingState, read_state
from stream_avs.training.stop import StopRequest, stop_request
from stream_avs.training.trainer import Trainer

DESCRIPTION = f"""\
Train a network. Say what to train by one of:

  --preset NAME     a recipe: {", ".join(RECIPES)}; --root DIR is the data set's folder,
                    --architecture NAME another network than CCFormer: {", ".join(ARCHITECTURES)}
                    --network NAME another of its presets than the recipe's (pvt2, r50, nano, tiny)
  --config FILE     settings from YAML, named like the options below; with --preset on top of it
  --resume OUT      go on with the run in that folder

The options below win over all of these. Ctrl-C or SIGTERM leaves a checkpoint to resume from.

Several GPUs: torchrun --nproc-per-node N -m stream_avs train ...
"""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for.

    Attributes:
        config: all settings.
        state: of the run to go on with, or None.
    """

    config: TrainConfig
    state: TrainingState | None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How a run ended.

    Attributes:
        exit_code: 0 when it is finished, 130 or 143 when a signal stopped it.
        scored: its best network on val, and on test if that was asked for; empty when stopped.
    """

    exit_code: int
    scored: tuple[Scored, ...] = ()


def run(argv: list[str]) -> int:
    """Train; returns 0 when the run is finished, 130 or 143 when a signal stopped it."""
    return train(parse(argv)).exit_code


def train(request: Request) -> Trained:
    """Train until the end or a signal, and print scores or how to go on."""
    config = request.config
    if config.threads:
        torch.set_num_threads(config.threads)
    with join(config.device) as group, stop_request() as stop, ProgressView(enabled=group.leads) as view:
        return _train(request, group, view, stop)


def parse(argv: list[str]) -> Request:
    """Build the settings from recipe, YAML file or stored run, and options.

    Raises:
        ConfigError: nothing says what to train, a setting is unknown or out of range, or differs from
            the run to go on with.
        WeightsError: there is a run, but its training state is damaged.
    """
    resume, argv = take(argv, "--resume")
    name, argv = take(argv, "--preset")
    kind, argv = take(argv, "--architecture")
    network, argv = take(argv, "--network")
    file, argv = take(argv, "--config")
    root, argv = take(argv, "--root")
    helps = "--help" in argv or "-h" in argv
    if resume:
        for flag, value in (
            ("--preset", name),
            ("--architecture", kind),
            ("--network", network),
            ("--config", file),
        ):
            if value:
                raise ConfigError(f"{flag} does not go with --resume", "The run has its settings with it")
        folder = RunFolder(path=Path(resume))
        folder.open(resume=True)
        state = read_state(folder.last)
        default = replace(state.config, out=resume)
        if root:
            default = replace(default, data=replace(default.data, root=root))
        config = parse_arguments(TrainConfig, "train", argv, DESCRIPTION, default)
        same_run(config, state.config)
        return Request(config=config, state=state)
    settings = _read_settings(Path(file)) if file else {}
    if name:
        default = recipe(name, root=root, network=network, settings=settings, kind=kind)
    elif file:
        named = {**settings, "architecture": kind} if kind else settings
        default = train_config(_with_root(named, root))
    elif helps:
        default = train_config({"architecture": kind} if kind else {})
    else:
        raise ConfigError(
            "nothing says what to train", f"Give --preset {'|'.join(RECIPES)}, --config or --resume"
        )
    config = parse_arguments(TrainConfig, "train", argv, DESCRIPTION, default)
    config.data.require_root()
    return Request(config=config, state=None)


def _train(request: Request, group: Group, view: ProgressView, stop: StopRequest) -> Trained:
    config, state = request.config, request.state
    folder = RunFolder(path=Path(config.out))
    if config.tensorboard:
        require_tensorboard()
    if group.leads:
        folder.open(resume=state is not None)
    trainer = Trainer(config, group, view, state)
    if group.leads:
        folder.write_config(config)
    view.say(_opening(trainer, group))
    outcome = trainer.run(stop)
    if not outcome.finished:
        view.say(
            f"stopped after step {outcome.progress.step} of {trainer.last_step}; "
            f"go on with: stream-avs train --resume {folder.path}"
        )
        return Trained(exit_code=stop.exit_code)
    scored = finish(trainer, leads=group.leads)
    if group.leads:
        print("\n\n".join(s.report.to_text() for s in scored))
        print(f"\ncheckpoint {folder.best}\nreport     {folder.report_html}")
    return Trained(exit_code=0, scored=scored)


def _opening(trainer: Trainer, group: Group) -> str:
    config = trainer.config
    trains = sum(p.numel() for p in trainer.parameters.values())
    several = f" on {group.size} processes" if group.several else ""
    return (
        f"{config.data.kind}: {len(trainer.clips)} clips, {config.epochs} epochs of "
        f"{trainer.order.steps_per_epoch} steps, {trains / 1e6:.1f} M parameters train, "
        f"{group.device}{several}, {config.precision}; from step {trainer.progress.step}; "
        f"to {trainer.folder.path}"
    )


def _read_settings(path: Path) -> dict[str, Any]:
    settings = read_yaml(path)
    if not isinstance(settings, dict):
        raise ConfigError(f"config file {path} holds {type(settings).__name__}", "Expected keys and values")
    return settings


def _with_root(settings: dict[str, Any], root: str) -> dict[str, Any]:
    return {**settings, "data": {**settings.get("data", {}), "root": root}} if root else settings
