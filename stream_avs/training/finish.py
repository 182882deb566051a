"""The end of a run: score its best network and write the reports."""

from __future__ import annotations

import dataclasses
import json

from stream_avs.errors import ConfigError
from stream_avs.models.architectures import architecture
from stream_avs.training.config import TrainConfig
from stream_avs.training.files import write_text_whole
from stream_avs.training.final_report import Summary, to_html, to_json
from stream_avs.training.history import read_history
from stream_avs.training.scoring import Scored
from stream_avs.training.trainer import Trainer


def finish(trainer: Trainer, *, leads: bool) -> tuple[Scored, ...]:
    """Score the best network on val, and once on test; write report.json and report.html.

    The best network is the one with the highest J on val. Test plays no part in choosing it.

    Raises:
        ConfigError: a report cannot be written.
    """
    config, folder = trainer.config, trainer.folder
    trainer.load_best()
    model = f"{' + '.join(config.model.stands_on)}, step {trainer.progress.best_step}"
    scored = [trainer.score(trainer.val, "val", model)]
    if config.test:
        scored.append(trainer.score(trainer.open_split("test"), "test", model))
    if leads:
        summary = Summary(
            title=f"{architecture(config.architecture).title} on {config.data.kind}",
            settings=_settings(trainer),
            scored=scored,
            history=read_history(folder.log),
            config=json.loads(json.dumps(dataclasses.asdict(config))),
        )
        try:
            write_text_whole(folder.report_json, to_json(summary))
            write_text_whole(folder.report_html, to_html(summary))
        except OSError as error:
            raise ConfigError(f"cannot write to {folder.path}: {error}", "Free some space") from None
    return tuple(scored)


def _settings(trainer: Trainer) -> dict[str, str]:
    config, progress = trainer.config, trainer.progress
    return {
        "network": f"{architecture(config.architecture).title}: " + " + ".join(config.model.stands_on),
        "input": f"{config.model.frames} frames of {config.model.input_px} x {config.model.input_px} px",
        "training": f"{len(trainer.clips)} clips, {config.epochs} epochs, {_optimiser(config)}",
        "steps": f"{progress.step}; best on val after {progress.best_step}",
        "arithmetic": str(config.precision),
        "seed": str(config.seed),
        "chosen by": "J on val (mIoU with several classes)",
    }


def _optimiser(config: TrainConfig) -> str:
    return f"batch {config.batch}, AdamW {config.schedule.learning_rate:g} {config.schedule.decay}"
