"""Every dimension of the TPAVI baseline, and the presets. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from stream_avs.config import require
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class TpaviConfig(NetworkConfig):
    """One TPAVI baseline; the defaults are the paper's."""

    d: int = 256
    """Channels of every map after the ASPP."""
    inner: int = 128
    """Width in which pixels and sounds are compared."""
    dilations: tuple[int, ...] = (3, 6, 12, 18)
    """Of the parallel convolutions of the ASPP."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.d >= 8 and self.d % 8 == 0, "model.d", self.d, "a multiple of 8")
        require(self.inner >= 1, "model.inner", self.inner, "1 or more")
        require(
            len(self.dilations) >= 1 and all(r >= 1 for r in self.dilations),
            "model.dilations", self.dilations, "at least one, each 1 or more",
        )  # fmt: skip


PRESETS: dict[str, TpaviConfig] = {
    "pvt2": TpaviConfig(),
    "r50": TpaviConfig(image_encoder=ImageEncoderName.RESNET50),
    "nano": TpaviConfig(
        image_encoder=ImageEncoderName.ESPNETV2,
        audio_encoder=AudioEncoderName.MN04,
        d=96, inner=48, dilations=(1, 3, 6),
    ),
    "tiny": TpaviConfig(
        image_encoder=ImageEncoderName.TINY,
        audio_encoder=AudioEncoderName.TINY,
        input_px=64, d=32, inner=32, dilations=(1, 3),
    ),
}  # fmt: skip
"""Ready-made networks by name. `pvt2` and `r50` are the paper's."""
