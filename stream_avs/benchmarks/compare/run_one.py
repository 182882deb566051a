"""Train and score one entry with one seed; a run that was stopped goes on where it was."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from stream_avs.benchmarks.compare.entries import Entry
from stream_avs.benchmarks.compare.results import RunResult
from stream_avs.benchmarks.compare.scale import SIMILARITY, Scale, train_config
from stream_avs.benchmarks.compare.scene_sounds import write_similarity
from stream_avs.benchmarks.compare.scoring import score_network
from stream_avs.datasets.scenes import ProceduralSource
from stream_avs.training.config import same_run
from stream_avs.training.distributed import Group
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.run_folder import RunFolder
from stream_avs.training.state import read_state
from stream_avs.training.stop import StopRequest
from stream_avs.training.trainer import Trainer


def run_one(chosen: Entry, seed: int, scale: Scale, out: Path, stop: StopRequest) -> RunResult | None:
    """Train on the CPU, then score the network with the best J on val.

    Args:
        chosen: what to train.
        seed: see `train_config`.
        scale: common to all runs.
        out: folder of the comparison; the run keeps its checkpoints in a folder of its own there.
        stop: asked between steps.

    Returns:
        None if `stop` came first; what was trained is kept.

    Raises:
        ConfigError: the folder cannot be written, or holds a run with other settings.
    """
    folder = RunFolder(path=out / f"{chosen.name}-{seed}")
    resume = folder.last.exists()
    folder.open(resume=resume)
    config = train_config(scale, chosen, seed, folder.path)
    if chosen.measured and not resume:
        scenes = scale.scenes()
        source = ProceduralSource(shapes=scenes.shapes, colours=scenes.colours)
        write_similarity(folder.path / SIMILARITY, source, scenes.scene)
    state = read_state(folder.last) if resume else None
    if state is not None:
        same_run(config, state.config)
    alone = Group(rank=0, size=1, device=torch.device("cpu"))
    trainer = Trainer(config, alone, ProgressView(enabled=False), state)
    started_s = time.process_time()
    if not trainer.run(stop).finished:
        return None
    spent_s = time.process_time() - started_s
    trainer.load_best()
    scores, counts = score_network(trainer.network, scale)
    return RunResult(
        entry=chosen.name, seed=seed, steps=trainer.progress.step, best_step=trainer.progress.best_step,
        train_cpu_s=spent_s, scores=scores, counts=counts,
    )  # fmt: skip
