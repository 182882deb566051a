"""`stream-avs finetune`: a network for your own objects, from a few clips you have labelled."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from stream_avs.commands.arguments import parse_arguments
from stream_avs.commands.train import Request, train
from stream_avs.training.config import TrainConfig
from stream_avs.training.finetune import FinetuneConfig, open_clips, plan, score_preset
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.scoring import Scored

DESCRIPTION = """\
Train on your own labelled clips, in the layout of AVSBench S4 or MS3: five pictures a second apart,
their masks (white where something sounds), and the sound. Dozens of clips are few, hundreds are good.
What is trained starts from encoders that have seen and heard a lot; they come with the package.
At the end the network and the shipped presets are scored on the same clips it was not trained on.

examples:
  stream-avs finetune my_clips
  stream-avs finetune my_clips --steps 2000 --train-encoder
  stream-avs run --source webcam --model.preset ccformer --model.weights out/finetune/best.safetensors

without clips of your own, to see how it goes:
  stream-avs dataset write-scenes out/scenes --kind ms3 --clips 60
  stream-avs finetune out/scenes

Ctrl-C leaves a checkpoint; go on with: stream-avs train --resume out/finetune
"""


def run(argv: list[str]) -> int:
    """Train and compare; returns 0 when finished, 130 or 143 when a signal stopped it."""
    config = parse_arguments(FinetuneConfig, "finetune", argv, DESCRIPTION)
    settings = plan(config)
    trained = train(Request(config=settings, state=None))
    if trained.scored and config.compare:
        _compare(config, settings, trained.scored[-1])
    return trained.exit_code


def _compare(config: FinetuneConfig, settings: TrainConfig, own: Scored) -> None:
    """Print what the trained network and the shipped presets score on the last split scored."""
    split = own.report.split
    clips = open_clips(settings, split)
    table = Table("on the same clips", "J", "F", title=f"{config.root}, {split}, {own.report.clips} clips")
    with ProgressView(enabled=True) as view:
        for name in config.compare:
            task = view.task(f"{name} on {split}", len(clips))
            scores = score_preset(name, clips, config.threads, settings.model.input_px, task.advance)
            task.end()
            table.add_row(name, f"{scores.j:.3f}", f"{scores.f:.3f}")
    table.add_row("yours", f"{own.j:.3f}", f"{own.f:.3f}")
    Console().print(table)
