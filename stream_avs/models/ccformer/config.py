"""Every dimension and switch of CCFormer, and the presets. Imports no torch.

The defaults are the paper's network where it is explicit, and where it is silent the choice that
reproduces its parameter counts (d = 256, two feed-forward networks in each ITI layer, EIM weights
shared over scales).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from stream_avs.config import require
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName, NetworkConfig, choose_preset


class Mode(enum.StrEnum):
    """Which frames a frame may attend to, wherever frames mix (EIM and ITI)."""

    WINDOW = "window"  # all frames of the window, earlier and later: the paper
    CAUSAL = "causal"  # itself and the `frames - 1` before it


class QueryGenerator(enum.StrEnum):
    """How audio enters the intra-frame queries (Table V)."""

    NONE = "none"  # learnable queries alone
    REPEAT = "repeat"  # the frame's audio feature, repeated for each query
    ATTENTION = "attention"  # the Attention Query Generator, eqs 5-6


class ContrastPartner(enum.StrEnum):
    """What BCL compares with the original audio (Tables IV and IX)."""

    NONE = "none"  # without BCL
    ENHANCED_AUDIO = "enhanced_audio"  # the paper
    ORIGINAL_VISUAL = "original_visual"  # largest scale before EIM, averaged over space
    ENHANCED_VISUAL = "enhanced_visual"  # largest scale after EIM, averaged over space


class Controllers(enum.StrEnum):
    """Kernel predictors of the segmentation head."""

    SHARED = "shared"  # one for all decoder layers
    PER_LAYER = "per_layer"  # one for each


@dataclass(frozen=True, kw_only=True)
class CCFormerConfig(NetworkConfig):
    """One CCFormer. Table numbers are the paper's."""

    mode: Mode = Mode.WINDOW
    """Which frames a frame may attend to."""

    d: int = 256
    """Width of all features after the projections."""
    heads: int = 8
    """Attention heads."""
    ffn: int = 2048
    """Hidden width of the feed-forward networks."""
    dropout: float = 0.1
    """Share of activations dropped in training."""
    queries: int = 5
    """Intra-frame queries of each frame, and inter-frame queries."""

    ave: bool = True
    """Audio-guided vision enhancement (Table VI)."""
    vae: bool = True
    """Vision-guided audio enhancement (Table VI)."""
    contrast: ContrastPartner = ContrastPartner.ENHANCED_AUDIO
    """Partner of the original audio in BCL (Table IX)."""

    encoder_layers: int = 3
    """Layers of the deformable Transformer encoder."""
    points: int = 4
    """Sampling points of deformable attention per head and level."""
    extra_level: bool = False
    """Give the encoder one coarser level, made by a strided convolution (stride 64 for PVTv2)."""

    query_generator: QueryGenerator = QueryGenerator.ATTENTION
    """How audio enters the intra-frame queries (Table V)."""
    generator_layers: int = 6
    """Layers of the Attention Query Generator."""
    generator_ffn: int = 1024
    """Hidden width of its feed-forward networks."""

    ici: bool = True
    """Intra-frame Cross-modal Interaction (Table IV)."""
    ici_layers: int = 3
    """Decoder layers, each one ICI layer followed by `iti_layers` ITI layers (Table VII)."""
    iti: bool = True
    """Inter-frame Temporal Interaction (Table IV)."""
    iti_layers: int = 3
    """ITI layers after each ICI layer (Table VIII)."""

    dynamic_channels: int = 8
    """Channels between the dynamic convolutions."""
    relative_coordinates: bool = True
    """Show each dynamic convolution where its query's reference point is."""
    controllers: Controllers = Controllers.PER_LAYER
    """Kernel predictors: one, or one for each decoder layer."""
    mask_hidden: int = 2048
    """Hidden width of the MLP over the intermediate masks; 2048 is half of the network's cost."""
    upsample: int = 4
    """How much the last layers enlarge the mask; 4 gives full resolution from a stride-4 map."""

    carry: bool = False
    """Start the inter-frame queries from those that left the previous window, through a gate."""
    sounding: bool = False
    """Predict for each frame whether anything visible sounds (not in the paper)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.d % 32 == 0, "model.d", self.d, "a multiple of 32")
        require(
            self.heads >= 1 and self.d % self.heads == 0, "model.heads", self.heads, f"a divisor of {self.d}"
        )
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "[0, 1)")
        for name in (
            "ffn",
            "queries",
            "points",
            "ici_layers",
            "iti_layers",
            "dynamic_channels",
            "mask_hidden",
        ):
            require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "1 or more")
        for name in ("encoder_layers", "generator_layers"):
            require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "1 or more")
        require(self.upsample in (1, 2, 4), "model.upsample", self.upsample, "1, 2 or 4")
        require(self.iti or not self.carry, "model.carry", self.carry, "false when model.iti is false")

    @property
    def windowed(self) -> bool:
        """Whether a clip is cut into windows of `frames`."""
        return self.mode is Mode.WINDOW

    @property
    def carries(self) -> bool:
        """Whether what leaves one window enters the next."""
        return self.carry and self.windowed

    @property
    def receptive_frames(self) -> int:
        """Causal mode: frames that can influence a frame's mask, itself included.

        Each layer that mixes frames looks `frames - 1` further back, as in any attention with a
        sliding span; without carry nothing older has any influence.
        """
        mixing_layers = int(self.ave or self.vae) + (self.ici_layers * self.iti_layers if self.iti else 0)
        if self.iti:
            mixing_layers += 1  # inter-frame queries look back once more, at the last intra-frame queries
        return 1 + (self.frames - 1) * mixing_layers


PRESETS: dict[str, CCFormerConfig] = {
    "pvt2": CCFormerConfig(),
    "r50": CCFormerConfig(image_encoder=ImageEncoderName.RESNET50),
    "nano": CCFormerConfig(
        image_encoder=ImageEncoderName.ESPNETV2,
        audio_encoder=AudioEncoderName.MN04,
        d=96, heads=4, ffn=256, dropout=0.0,
        encoder_layers=1, generator_layers=2, generator_ffn=256, ici_layers=2, iti_layers=1,
        mask_hidden=64, upsample=2, controllers=Controllers.SHARED,
        carry=True, sounding=True,
    ),
    "tiny": CCFormerConfig(
        image_encoder=ImageEncoderName.TINY,
        audio_encoder=AudioEncoderName.TINY,
        input_px=64, d=64, heads=4, ffn=128, dropout=0.0,
        encoder_layers=1, generator_layers=1, generator_ffn=128, ici_layers=2, iti_layers=1,
        mask_hidden=32,
        carry=True, sounding=True,
    ),
}  # fmt: skip
"""Ready-made networks by name. `pvt2` and `r50` are the paper's and nothing else."""


def preset(name: str, **changes: Any) -> CCFormerConfig:
    """Return the preset `name`, with some fields changed.

    Raises:
        ConfigError: no such preset, no such field, or a value out of range.
    """
    return choose_preset("CCFormer", PRESETS, name, changes)
