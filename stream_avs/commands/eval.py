"""`stream-avs eval`: score a checkpoint on a split: J, F, false alarms on silent frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import require
from stream_avs.datasets.sample import SPLITS, ClipDataset
from stream_avs.errors import ConfigError
from stream_avs.models.checkpoint import Loaded, load_network
from stream_avs.training.config import DataConfig, DatasetKind, Precision, train_config
from stream_avs.training.data import check_classes, open_split
from stream_avs.training.distributed import Group, pick_device
from stream_avs.training.files import make_folder, write_text_whole
from stream_avs.training.final_report import Summary, to_html
from stream_avs.training.progress_view import ProgressView
from stream_avs.training.scoring import Protocol, Scored, score
from stream_avs.training.sound import Sound

DESCRIPTION = """\
Score a checkpoint that `stream-avs train` wrote. Every clip is scored as a batch of its own, so the
result does not depend on --batch; --tpavi takes the mean over batches as the published code does.
--sound silence and --sound other show how much the network depends on what it hears.
"""


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """What to score, and how."""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """A .safetensors file that `stream-avs train` wrote: best, or last."""
    kind: DatasetKind | None = None
    """s4, ms3, avss or scenes; by default what the checkpoint was trained on."""
    root: str = ""
    """Folder of the data set; scenes need none, or one of pictures and recordings."""
    split: str = "test"
    """train, val or test."""
    sound: Sound = Sound.OWN
    """What is heard: own, silence, or the sound of other clips."""
    batch: int = 1
    """Clips per batch."""
    tpavi: bool = False
    """Average J and F over batches as the published code does, rather than over clips."""
    score_padding: bool = False
    """AVSS: score padded frames too, as the published code does."""
    input_px: int = 0
    """Side to run and to score at; 0 for the checkpoint's own."""
    limit: int = 0
    """Score only the first so many clips; 0 for all."""
    precision: Precision = Precision.FP32
    """Arithmetic."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """CPU threads for torch; 0 for torch's own choice."""
    workers: int = 0
    """Processes that read clips."""
    json: bool = False
    """Print JSON."""
    html: str = ""
    """Write a page with scores and pictures to this file."""
    pictures: int = 8
    """Clips shown in the page."""

    def __post_init__(self) -> None:
        require(self.split in SPLITS, "split", self.split, " or ".join(SPLITS))
        require(self.batch >= 1, "batch", self.batch, "1 or more clips")
        require(self.limit >= 0, "limit", self.limit, "0 or more clips")
        require(self.input_px >= 0 and self.input_px % 16 == 0, "input_px", self.input_px, "a multiple of 16")
        require(0 <= self.threads <= 256, "threads", self.threads, "0..256")
        require(0 <= self.workers <= 256, "workers", self.workers, "0..256")


def run(argv: list[str]) -> int:
    """Score and print; returns 0."""
    config = parse_arguments(EvalConfig, "eval", argv, DESCRIPTION)
    if config.html:
        make_folder(Path(config.html).parent)
    if config.threads:
        torch.set_num_threads(config.threads)
    group = Group(rank=0, size=1, device=pick_device(config.device))
    loaded = load_network(Path(config.checkpoint))
    data = data_of(config, loaded)
    clips = _open(config, data, loaded)
    loaded.network.to(group.device)
    with ProgressView(enabled=True) as view:
        task = view.task(f"{data.kind} {config.split}", len(clips))
        scored = score(loaded.network, clips, _protocol(config, data, loaded), group, task.advance)
        task.end()
    print(scored.report.to_json() if config.json else scored.report.to_text())
    if config.html:
        _write_page(Path(config.html), config, scored)
    return 0


def data_of(config: EvalConfig, loaded: Loaded) -> DataConfig:
    """Which clips to score: those asked for, else of the set the checkpoint was trained on.

    Raises:
        ConfigError: the checkpoint does not say, and neither does the command line; or a root is missing.
    """
    stored = loaded.description.about.get("training")
    trained = train_config(stored).data if stored else None
    kind = config.kind or (trained.kind if trained else None)
    if kind is None:
        raise ConfigError(
            f"{config.checkpoint} does not say what it was trained on", "Give --kind s4|ms3|avss|scenes"
        )
    base = trained if trained is not None and trained.kind is kind else DataConfig(kind=kind)
    data = replace(base, root=config.root or base.root, limit=config.limit, sound=config.sound)
    data.require_root()
    return data


def _open(config: EvalConfig, data: DataConfig, loaded: Loaded) -> ClipDataset:
    network = loaded.network
    size_px = config.input_px or network.config.input_px
    wanted = replace(network.config, input_px=size_px)
    clips = open_split(data, config.split, wanted, network.audio_input, network.config.frames)
    if len(clips.class_names) > 2:  # a set that tells only sounding from not sounding suits every network
        check_classes(network.config, clips)
    return clips


def _protocol(config: EvalConfig, data: DataConfig, loaded: Loaded) -> Protocol:
    notes = () if config.sound is Sound.OWN else (f"heard: {config.sound} sound instead of the clips' own",)
    return Protocol(
        dataset=str(data.kind), split=config.split,
        model=f"{Path(config.checkpoint).name}-{loaded.sha256[:8]}",
        size_px=config.input_px, batch=config.batch, tpavi=config.tpavi, score_padding=config.score_padding,
        precision=config.precision, workers=config.workers, examples=config.pictures if config.html else 0,
        notes=notes,
    )  # fmt: skip


def _write_page(path: Path, config: EvalConfig, scored: Scored) -> None:
    settings = {
        "checkpoint": config.checkpoint,
        "arithmetic": str(config.precision),
        "sound": str(config.sound),
    }
    page = Summary(title="Evaluation", settings=settings, scored=[scored], history=[], config={})
    try:
        write_text_whole(path, to_html(page))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", "Choose another --html file") from None
