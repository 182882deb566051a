"""Every setting of a training run, and the recipes by name."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from stream_avs.config import from_mapping, require
from stream_avs.datasets.augment import AugmentConfig
from stream_avs.datasets.scenes import LogMelTiming, SceneConfig
from stream_avs.errors import ConfigError, nearest
from stream_avs.models.architectures import DEFAULT, architecture
from stream_avs.models.ccformer.config import CCFormerConfig, ContrastPartner
from stream_avs.models.loss_config import OBJECT_LOSS, LossConfig
from stream_avs.models.network_config import NetworkConfig
from stream_avs.training.schedule import Decay, ScheduleConfig
from stream_avs.training.sound import Sound


class DatasetKind(enum.StrEnum):
    """Which data set."""

    S4 = "s4"  # AVSBench, one source; training labels on first frames alone
    MS3 = "ms3"  # AVSBench, several sources
    AVSS = "avss"  # AVSBench-semantic, 71 classes
    SCENES = "scenes"  # composed in memory; no files needed


class Precision(enum.StrEnum):
    """Arithmetic of the forward pass; weights and optimiser are float32 either way."""

    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True, kw_only=True)
class ScenesConfig:
    """Composed scenes: how many, of what. With `data.root` of real pictures and recordings (see
    `datasets.scenes.assets`), without it of shapes and tones."""

    train_clips: int = 4000
    """Clips of an epoch; each epoch composes new ones."""
    val_clips: int = 100
    """Clips of the val split."""
    test_clips: int = 200
    """Clips of the test split."""
    classes: tuple[str, ...] = ()
    """Classes of the folder to use, in the order of their ids; none for all."""
    shapes: int = 3
    """Without a folder: shapes, 1..4; each has its timbre."""
    colours: int = 2
    """Without a folder: colours, 2 or 3; each has its pitch."""
    seed: int = 0
    """Same seed, same clips."""
    scene: SceneConfig = field(default_factory=SceneConfig)
    """What happens in them. Frames and size follow the network's window and input."""

    def __post_init__(self) -> None:
        for name in ("train_clips", "val_clips", "test_clips"):
            require(getattr(self, name) >= 1, f"data.scenes.{name}", getattr(self, name), "at least 1")
        require(self.seed >= 0, "data.scenes.seed", self.seed, "0 or more")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which clips."""

    kind: DatasetKind = DatasetKind.SCENES
    """s4, ms3, avss or scenes."""
    root: str = ""
    """Folder the data set was unpacked to; scenes need none, or one of pictures and recordings."""
    sound: Sound = Sound.OWN
    """What is heard: own, silence, or the sound of other clips; to see what a network does without."""
    limit: int = 0
    """Use only the first so many clips of each split; 0 for all."""
    scenes: ScenesConfig = field(default_factory=ScenesConfig)

    def __post_init__(self) -> None:
        require(self.limit >= 0, "data.limit", self.limit, "0 or more clips")

    def require_root(self) -> None:
        """Check that a data set of files has a folder.

        Raises:
            ConfigError: it has none.
        """
        if self.kind is not DatasetKind.SCENES and not self.root:
            raise ConfigError(
                f"data set {self.kind} needs a folder", "Give the one it was unpacked to with --root DIR"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. Defaults are the paper's where it speaks."""

    out: str = "out/train"
    """Folder for checkpoints, log, curves and report."""
    data: DataConfig = field(default_factory=DataConfig)
    architecture: str = DEFAULT
    """What to train: ccformer, tpavi, avsac, ...; `stream-avs model list` shows all."""
    model: NetworkConfig = field(default_factory=CCFormerConfig)
    loss: LossConfig = OBJECT_LOSS
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    pretrained: bool = True
    """Start from the encoders' published weights, where the encoder has any."""
    weights_dir: str = ""
    """Folder of the published weight files; empty for the one `stream-avs weights` fills."""
    init_from: str = ""
    """Checkpoint to take the whole network from, e.g. one trained on S4 for MS3."""

    epochs: int = 60
    """Passes over the training split."""
    batch: int = 2
    """Clips per optimiser step, over all processes and micro-batches."""
    accumulation: int = 1
    """Micro-batches a process cuts its share into, to save memory. BCL sees one of them at a time."""
    weight_decay: float = 0.01
    """Of AdamW, on everything that trains."""
    clip_gradient_norm: float = 0.0
    """Scale gradients down to this norm; 0 for never."""
    frozen_image_epochs: int = 10
    """Epochs at the start in which the image encoder stays as it is."""
    train_audio_encoder: bool = False
    """Train the audio encoder too; the paper does not train VGGish."""
    unroll: int = 1
    """Consecutive windows of a clip, one frame apart, through which inter-frame queries are carried;
    scenes grow by as many frames."""
    augment: bool = True
    """Flip, photometric distortion, random resize and crop, drawn once per clip."""
    augmentation: AugmentConfig = field(default_factory=AugmentConfig)
    """How far; `size_px` follows the network's input."""
    precision: Precision = Precision.FP32
    """Arithmetic of the forward pass."""
    seed: int = 0
    """Decides initial weights, data order and augmentation."""

    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """CPU threads for torch; 0 for torch's own choice."""
    workers: int = 2
    """Processes that read and augment clips; 0 reads in the training process."""
    checkpoint_steps: int = 200
    """Steps between checkpoints to resume from."""
    val_epochs: int = 1
    """Epochs between scorings of the val split; the last epoch is always scored."""
    max_steps: int = 0
    """Stop for good after so many steps; 0 for never."""
    test: bool = True
    """At the end score the best checkpoint once on the test split."""
    tensorboard: bool = True
    """Write TensorBoard curves and overlays to OUT/curves."""
    pictures: int = 8
    """Clips shown in the report and in TensorBoard."""

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, expected: str) -> None:
            require(ok, name, getattr(self, name), expected)

        check("out", bool(self.out), "a folder")
        wanted = architecture(self.architecture)
        require(
            type(self.model) is wanted.config,
            "architecture", self.architecture, f"the one whose settings are {type(self.model).__name__}",
        )  # fmt: skip
        wanted.check_loss(self.loss)
        check("epochs", self.epochs >= 1, "1 or more")
        check("batch", self.batch >= 1, "1 or more clips")
        check("accumulation", self.accumulation >= 1, "1 or more")
        check(
            "batch", self.batch % self.accumulation == 0, f"a multiple of accumulation ({self.accumulation})"
        )
        check("weight_decay", 0 <= self.weight_decay < 1, "[0, 1)")
        check("clip_gradient_norm", self.clip_gradient_norm >= 0, "0 or more")
        check("frozen_image_epochs", self.frozen_image_epochs >= 0, "0 or more")
        check("unroll", 1 <= self.unroll <= 16, "1..16")
        check(
            "unroll",
            self.unroll == 1 or self.model.carries,
            "1, unless the network carries queries from window to window (model.carry, not causal)",
        )
        check("seed", self.seed >= 0, "0 or more")
        check("threads", 0 <= self.threads <= 256, "0..256")
        check("workers", 0 <= self.workers <= 256, "0..256")
        check("checkpoint_steps", self.checkpoint_steps >= 1, "1 or more")
        check("val_epochs", self.val_epochs >= 1, "1 or more")
        check("max_steps", self.max_steps >= 0, "0 or more")
        check("pictures", 0 <= self.pictures <= 100, "0..100")

    @property
    def clip_frames(self) -> int:
        """Frames of a clip: a window, and one more for each further window."""
        return self.model.frames + self.unroll - 1


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train on, and how; any architecture can follow it.

    Attributes:
        network: preset of the architecture.
        model: fields of the network that differ from the preset, whatever the architecture.
        own_model: the same for CCFormer alone.
        semantic: whether the several-class loss of the architecture is meant.
        settings: in which the recipe differs from `TrainConfig`'s defaults.
    """

    network: str
    model: dict[str, Any]
    own_model: dict[str, Any] = field(default_factory=dict)
    semantic: bool = False
    settings: dict[str, Any]


def _paper(kind: DatasetKind, **settings: Any) -> dict[str, Any]:
    return {"data": {"kind": str(kind)}, "out": f"out/{kind}", **settings}


_LISTEN = SceneConfig(
    frames=3, size_px=64, objects_min=2, objects_max=2, object_side_min=0.3, object_side_max=0.5,
    p_silence=0.0, p_noise_only=0.0, p_off_screen=0.0, p_off_screen_mix=0.0, p_several=0.0, p_switch=0.0,
    p_distractor=1.0, p_noise=0.0, log_mel=LogMelTiming.TRAILING,
)  # fmt: skip
_LISTEN_SCENES = ScenesConfig(train_clips=400, val_clips=32, test_clips=100, scene=_LISTEN)

RECIPES: dict[str, Recipe] = {
    "s4": Recipe(
        network="pvt2", model={},
        settings=_paper(DatasetKind.S4, epochs=60, batch=2, frozen_image_epochs=10),
    ),
    "ms3": Recipe(
        network="pvt2", model={},
        settings=_paper(DatasetKind.MS3, epochs=120, batch=2, frozen_image_epochs=20),
    ),
    "avss": Recipe(
        network="pvt2", model={"classes": 71, "frames": 10}, own_model={"contrast": ContrastPartner.NONE},
        semantic=True,
        settings=_paper(DatasetKind.AVSS, epochs=40, batch=6, frozen_image_epochs=7),
    ),
    "scenes-tiny": Recipe(
        network="tiny", model={"input_px": 64, "frames": 3}, own_model={"carry": False, "sounding": False},
        settings={
            "data": {"kind": str(DatasetKind.SCENES), "scenes": asdict(_LISTEN_SCENES)},
            "out": "out/scenes-tiny", "epochs": 5, "batch": 8, "frozen_image_epochs": 0,
            "train_audio_encoder": True, "clip_gradient_norm": 1.0, "augment": False, "workers": 0,
            "pretrained": False, "threads": 1,
            "schedule": asdict(ScheduleConfig(learning_rate=1e-3, warmup_steps=30, decay=Decay.COSINE)),
        },
    ),
}  # fmt: skip
"""By name; the figures of s4, ms3 and avss are CCFormer's."""


def recipe(
    name: str,
    *,
    root: str = "",
    network: str = "",
    settings: dict[str, Any] | None = None,
    kind: str = "",
) -> TrainConfig:
    """Build the configuration of a recipe.

    Args:
        name: s4, ms3, avss or scenes-tiny.
        root: folder of the data set; scenes need none.
        network: preset to take instead of the recipe's, e.g. r50; frames and classes stay.
        settings: nested plain values that win over the recipe's, as read from a YAML file.
        kind: architecture; by default the one in `settings`, or CCFormer.

    Raises:
        ConfigError: no such recipe, architecture or preset, or a setting is unknown or out of range.
    """
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe {name!r}", nearest(name, RECIPES).capitalize())
    chosen, changes = RECIPES[name], settings or {}
    wanted = architecture(kind or str(changes.get("architecture", DEFAULT)))
    own = chosen.own_model if wanted.name == DEFAULT else {}
    if network:  # a preset asked for by name keeps its own size
        fields = {key: value for key, value in chosen.model.items() if key in ("frames", "classes")}
        model = wanted.preset(network, **fields)
    else:
        model = wanted.preset(chosen.network, **chosen.model, **own)
    loss = wanted.semantic_loss if chosen.semantic else wanted.loss
    base = {**chosen.settings, "model": asdict(model), "loss": asdict(loss)}
    values = {**_merged(base, changes), "architecture": wanted.name}
    if root:
        values["data"] = {**values["data"], "root": root}
    return train_config(values)


def train_config(values: Any) -> TrainConfig:
    """Build the configuration from nested plain values.

    What `model` may hold, and the weights of the loss that are not given, follow `architecture`.

    Raises:
        ConfigError: an unknown architecture or setting, or a value out of range.
    """
    if not isinstance(values, dict):
        return from_mapping(values, TrainConfig)
    wanted = architecture(str(values.get("architecture", DEFAULT)))
    loss = values.get("loss", {})
    if isinstance(loss, dict):
        loss = {**asdict(wanted.loss), **loss}
    return from_mapping({"model": {}, **values, "loss": loss}, TrainConfig, types={"model": wanted.config})


def shareable(config: TrainConfig) -> dict[str, Any]:
    """The settings as plain values without the folders of this machine, for checkpoints to be shared."""
    local = {"out": TrainConfig.out, "weights_dir": "", "init_from": Path(config.init_from).name}
    model = {
        key: Path(value).name if key == "similarity" else value for key, value in asdict(config.model).items()
    }
    return {**asdict(config), **local, "model": model, "data": {**asdict(config.data), "root": ""}}


def same_run(config: TrainConfig, stored: TrainConfig) -> None:
    """Check that `config` continues the run that `stored` began: what decides its course is equal.

    Raises:
        ConfigError: naming the first setting that differs.
    """
    free = {"out", "device", "threads", "workers", "checkpoint_steps", "val_epochs", "max_steps"}
    free |= {"test", "tensorboard", "pictures", "weights_dir"}
    if config.schedule.decay is Decay.CONSTANT:
        free.add("epochs")  # a longer run begins like a shorter one
    mine, theirs = _flat(asdict(config)), _flat(asdict(stored))
    for key, value in mine.items():
        if key.split(".")[0] not in free and key != "data.root" and theirs.get(key) != value:
            raise ConfigError(
                f"the run was started with {key} {theirs.get(key)!r}, not {value!r}",
                "Resume without that option, or start a new run in another --out",
            )


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay `changes` over `base`, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _flat(values: dict[str, Any], where: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{where}{key}.")
        else:
            flat[f"{where}{key}"] = value
    return flat
