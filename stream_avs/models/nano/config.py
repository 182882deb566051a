"""The dimensions of nano. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_avs.config import require
from stream_avs.models.ccformer.config import (
    CCFormerConfig,
    ContrastPartner,
    Controllers,
    Mode,
)
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName

CONTEXT_S = 2.0
"""Audio that nano hears for each frame."""


def trunk_config(**changes: object) -> CCFormerConfig:
    """CCFormer as nano uses it: causal, carrying, one sounding channel."""
    values: dict[str, object] = {
        "image_encoder": ImageEncoderName.ESPNETV2,
        "audio_encoder": AudioEncoderName.MN04,
        "classes": 1,
        "input_px": 320,
        "frames": 5,
        "mode": Mode.CAUSAL,
        "d": 64,
        "heads": 4,
        "ffn": 192,
        "dropout": 0.0,
        "queries": 5,
        "contrast": ContrastPartner.NONE,
        "encoder_layers": 1,
        "generator_layers": 2,
        "generator_ffn": 128,
        "ici_layers": 2,
        "iti_layers": 1,
        "mask_hidden": 64,
        "upsample": 2,
        "controllers": Controllers.SHARED,
        "carry": True,
        "sounding": True,
    }
    return CCFormerConfig(**{**values, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class NanoConfig:
    """One nano."""

    trunk: CCFormerConfig = field(default_factory=trunk_config)
    """The CCFormer between the encoders and the mask; live streams need a causal one."""
    listener_hidden: int = 48
    """Hidden width of the listener."""
    refine_audio: bool = True
    """Let the listener correct the tagger's likelihoods; off: the label table alone."""
    motion: bool = True
    """Show the trunk what moved since the frame before."""
    residual: bool = True
    """Let the trunk correct the consensus of eye and ear; off: consensus alone."""
    synchrony: bool = True
    """Show the trunk what has moved with the loudness for some seconds."""
    split: bool = True
    """Tell people apart who stand side by side."""

    def __post_init__(self) -> None:
        require(self.trunk.classes == 1, "nano.trunk.classes", self.trunk.classes, "1")
        require(self.listener_hidden >= 1, "nano.listener_hidden", self.listener_hidden, "1 or more")
