"""Every dimension and switch of AVSAC, and the presets. Imports no torch.

No code of AVSAC is public. What it takes over from AVSegFormer is that network's; of its own decoder
the number of layers and the width of their feed-forward networks are not known here. The published
total, 181 M with VGGish, leaves about 6.9 M for the decoder once the encoders (153.6 M) and the parts
of AVSegFormer (20.6 M) are taken off: three layers of width 2048 (7.9 M) come near.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stream_avs.config import require
from stream_avs.models.ccformer.config import QueryGenerator
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName, NetworkConfig


class Bridges(enum.StrEnum):
    """Which tower of the decoder hears from the other (the ablation of directions)."""

    BOTH = "both"  # the paper
    AUDIO_TO_VISION = "audio_to_vision"
    VISION_TO_AUDIO = "vision_to_audio"


@dataclass(frozen=True, kw_only=True)
class AvsacConfig(NetworkConfig):
    """One AVSAC. Frames do not meet: a mask depends on its own frame and that frame's sound."""

    d: int = 256
    """Width of all features after the projections."""
    heads: int = 8
    """Attention heads."""
    ffn: int = 2048
    """Hidden width of the encoder's feed-forward networks."""
    dropout: float = 0.1
    """Share of activations dropped in training."""

    encoder_layers: int = 6
    """Layers of the deformable Transformer encoder."""
    points: int = 4
    """Sampling points of deformable attention per head and level."""

    queries: int = 300
    """Audio queries of each frame."""
    query_generator: QueryGenerator = QueryGenerator.ATTENTION
    """How audio enters the queries."""
    generator_layers: int = 6
    """Layers of the query generator."""
    generator_ffn: int = 1024
    """Hidden width of its feed-forward networks."""

    bridges: Bridges = Bridges.BOTH
    """Between the towers of the decoder: both, audio_to_vision or vision_to_audio."""
    decoder_layers: int = 3
    """Layers of each tower, bridged one by one."""
    decoder_ffn: int = 2048
    """Hidden width of their feed-forward networks."""

    mask_hidden: int = 2048
    """Hidden width of the MLP of eq 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.d % 32 == 0, "model.d", self.d, "a multiple of 32")
        require(
            self.heads >= 1 and self.d % self.heads == 0, "model.heads", self.heads, f"a divisor of {self.d}"
        )
        require(0 <= self.dropout < 1, "model.dropout", self.dropout, "[0, 1)")
        for name in (
            "ffn", "encoder_layers", "points", "queries", "generator_layers", "generator_ffn",
            "decoder_layers", "decoder_ffn", "mask_hidden",
        ):  # fmt: skip
            require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "1 or more")

    @property
    def windowed(self) -> bool:
        """A clip of any length goes through whole."""
        return False

    @property
    def live_frames(self) -> int:
        """The newest frame alone."""
        return 1


PRESETS: dict[str, AvsacConfig] = {
    "pvt2": AvsacConfig(),
    "r50": AvsacConfig(image_encoder=ImageEncoderName.RESNET50),
    "nano": AvsacConfig(
        image_encoder=ImageEncoderName.ESPNETV2,
        audio_encoder=AudioEncoderName.MN04,
        d=96, heads=4, ffn=256, dropout=0.0, encoder_layers=1, queries=32,
        generator_layers=2, generator_ffn=256, decoder_layers=2, decoder_ffn=256, mask_hidden=64,
    ),
    "tiny": AvsacConfig(
        image_encoder=ImageEncoderName.TINY,
        audio_encoder=AudioEncoderName.TINY,
        input_px=64, d=64, heads=4, ffn=128, dropout=0.0, encoder_layers=1, queries=8,
        generator_layers=1, generator_ffn=128, decoder_layers=2, decoder_ffn=128, mask_hidden=32,
    ),
}  # fmt: skip
"""Ready-made networks by name. `pvt2` and `r50` are of the paper's size."""
