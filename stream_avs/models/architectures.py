"""Every trainable network by name, behind one interface. Imports no torch.

To add a network, say "echo":

1. `models/echo/config.py`, without torch: a frozen dataclass `EchoConfig(NetworkConfig)` with the
   network's dimensions, and `PRESETS` by name, a "tiny" one among them.
2. `models/echo/network.py`: `Echo(StatelessNetwork)`, built from an `EchoConfig`. The base class
   builds the encoders; write `encode_frames` (each frame alone) and `segment` (frames meet, masks
   come out). A network that carries state from window to window subclasses `Network` and brings an
   engine of its own, as CCFormer does.
3. One entry in `ARCHITECTURES` below.

That is all: `train --architecture echo`, `eval`, `model list` and `info`, `bench engine` and
`run --model.preset echo --model.weights FILE` follow. What training asks of a network:

    masks       logits of each supervised layer; the loss adds them up
    paired      visual maps beside their sound, for the losses `match` and `avfs`
    others      what further terms of `LossConfig` need; name those terms in `own_terms`
    encoders    `image_encoder` (frozen at first) and `audio_encoder` (frozen unless asked otherwise);
                children named in `never_trained` stay frozen for good; `load_published` fills what
                else comes published
    also_hears  an argument of `Network`: log-mels for parts beside the audio encoder, handed out by
                `sounds`; data sets, streams and engines make and carry whatever a network names

A checkpoint is one safetensors file whose metadata holds the architecture's name, the config and
the labels; see `models.checkpoint`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stream_avs.errors import ConfigError, nearest
from stream_avs.models.avsac.config import PRESETS as AVSAC_PRESETS
from stream_avs.models.avsac.config import AvsacConfig
from stream_avs.models.c3n.config import PRESETS as C3N_PRESETS
from stream_avs.models.c3n.config import C3NConfig
from stream_avs.models.ccformer.config import PRESETS as CCFORMER_PRESETS
from stream_avs.models.ccformer.config import CCFormerConfig
from stream_avs.models.loss_config import OBJECT_LOSS, SEMANTIC_LOSS, LossConfig
from stream_avs.models.network_config import NetworkConfig, choose_preset
from stream_avs.models.tpavi.config import PRESETS as TPAVI_PRESETS
from stream_avs.models.tpavi.config import TpaviConfig

if TYPE_CHECKING:
    from stream_avs.models.network import Network


COMMON_TERMS = frozenset({"dice", "cross_entropy", "sounding", "match", "avfs"})
"""Terms of the loss that every network has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A trainable network.

    Attributes:
        name: as on the command line and in checkpoints.
        title: as in its paper.
        summary: one line for a list.
        config: class of its configuration.
        presets: ready-made configurations.
        network: "module:class"; imported, and torch with it, when a network is built.
        loss: of its paper for one class (S4, MS3).
        semantic_loss: of its paper for several (AVSS).
        own_terms: of `LossConfig`, beside those every network has.
        published: what is published of a preset's size, and why ours differs, by preset.
    """

    name: str
    title: str
    summary: str
    config: type[NetworkConfig]
    presets: Mapping[str, NetworkConfig]
    network: str
    loss: LossConfig
    semantic_loss: LossConfig
    own_terms: frozenset[str] = frozenset()
    published: Mapping[str, str] = field(default_factory=dict)

    def check_loss(self, loss: LossConfig) -> None:
        """Refuse a loss with a term that the network has nothing for.

        Raises:
            ConfigError: naming it.
        """
        for name, weight in dataclasses.asdict(loss).items():
            if weight and name not in COMMON_TERMS | self.own_terms:
                raise ConfigError(
                    f"loss.{name} is {weight}, and {self.title} has no such term", "Set it to 0"
                )

    def preset(self, name: str, **changes: Any) -> NetworkConfig:
        """Return the preset `name`, with some fields changed.

        Raises:
            ConfigError: no such preset, no such field, or a value out of range.
        """
        return choose_preset(self.title, self.presets, name, changes)

    def build(self, config: NetworkConfig) -> Network:
        """Build a network with fresh weights."""
        module, name = self.network.split(":")
        network: Network = getattr(importlib.import_module(module), name)(config)
        return network


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            name="ccformer",
            title="CCFormer",
            summary="complementary and contrastive Transformer; inter-frame queries may be carried",
            config=CCFormerConfig,
            presets=CCFORMER_PRESETS,
            network="stream_avs.models.ccformer.ccformer:CCFormer",
            loss=OBJECT_LOSS,
            semantic_loss=SEMANTIC_LOSS,
            own_terms=frozenset({"contrast"}),
        ),
        Architecture(
            name="tpavi",
            title="TPAVI",
            summary="the first baseline of AVSBench: every pixel attends to the sound of every frame",
            config=TpaviConfig,
            presets=TPAVI_PRESETS,
            network="stream_avs.models.tpavi.network:TpaviNetwork",
            # the paper leaves matching out for S4
            loss=LossConfig(dice=0.0, cross_entropy=1.0, contrast=0.0, match=0.5),
            semantic_loss=LossConfig(dice=0.0, cross_entropy=1.0, contrast=0.0, match=0.5),
            published={
                "pvt2": "101.32 M without VGGish; the published code also builds, and never runs, a residual "
                "unit of 1.18 M at the coarsest stage, which is left out here"
            },
        ),
        Architecture(
            name="avsac",
            title="AVSAC",
            summary="two towers, sight led by sound and sound by sight, bridged at every layer",
            config=AvsacConfig,
            presets=AVSAC_PRESETS,
            network="stream_avs.models.avsac.network:Avsac",
            # dice and mix as in AVSegFormer; the paper's weight of AVFS is not known: see audio_visual_loss
            loss=LossConfig(contrast=0.0, mix=0.1, avfs=0.01),
            semantic_loss=LossConfig(dice=0.0, cross_entropy=1.0, contrast=0.0, mix=0.1, avfs=0.01),
            own_terms=frozenset({"mix"}),
            published={
                "pvt2": "181 M with VGGish; the layers and widths of the two towers are not known and were "
                "chosen to come near"
            },
        ),
        Architecture(
            name="c3n",
            title="C3N",
            summary="cognitive consensus: the label on which eye and ear agree guides the attention",
            config=C3NConfig,
            presets=C3N_PRESETS,
            network="stream_avs.models.c3n.network:C3N",
            loss=LossConfig(dice=1.0, cross_entropy=1.0, contrast=0.0, classify=1.0),
            semantic_loss=LossConfig(dice=0.0, cross_entropy=1.0, contrast=0.0, classify=1.0),
            own_terms=frozenset({"classify"}),
            published={
                "pvt2": "VGGish with a classifier of AudioSet's 527 labels, 128 -> 3 x 1024 -> 527; "
                "here mn04, the tagger that comes with the package, takes its place"
            },
        ),
    )
}
"""By name; the first is what is meant when none is named."""

DEFAULT = next(iter(ARCHITECTURES))


def architecture(name: str) -> Architecture:
    """The architecture called `name`.

    Raises:
        ConfigError: there is none; with the nearest name.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(f"there is no architecture {name!r}", nearest(name, ARCHITECTURES).capitalize())
    return ARCHITECTURES[name]


def architecture_of(config: NetworkConfig) -> Architecture:
    """The architecture that a configuration belongs to."""
    return next(a for a in ARCHITECTURES.values() if a.config is type(config))


def build(config: NetworkConfig) -> Network:
    """Build the network of a configuration, with fresh weights."""
    return architecture_of(config).build(config)


def preset_names() -> dict[str, tuple[Architecture, str]]:
    """Every preset of every architecture by the name that commands use.

    The default architecture's are bare ("pvt2"); the others' carry its name ("tpavi-pvt2").
    """
    return {
        (preset if name == DEFAULT else f"{name}-{preset}"): (one, preset)
        for name, one in ARCHITECTURES.items()
        for preset in one.presets
    }


def find_preset(name: str, **changes: Any) -> NetworkConfig:
    """The configuration of a preset by the name that commands use, with some fields changed.

    Raises:
        ConfigError: no such preset or field, or a value out of range.
    """
    names = preset_names()
    if name not in names:
        raise ConfigError(f"no preset {name!r}", nearest(name, names).capitalize())
    one, preset = names[name]
    return one.preset(preset, **changes)
