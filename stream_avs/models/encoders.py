"""The encoders by name, behind one interface.

Image encoders have `channels` and `strides` and give one map per stride. Audio encoders have
`channels`, `tokens` and `front_end` and give [F, channels] or [F, tokens, channels].
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from stream_avs.audio.front_end import MN04, FrontEnd
from stream_avs.models.backbones.espnetv2 import WIDTHS, EspNetV2Encoder
from stream_avs.models.backbones.mn04 import EMBEDDING, Mn04
from stream_avs.models.backbones.pvtv2 import PVTv2
from stream_avs.models.backbones.resnet50 import ResNet50
from stream_avs.models.backbones.tiny import TinyAudioEncoder, TinyImageEncoder
from stream_avs.models.backbones.vggish import VGGish
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName


class ImageEncoder(Protocol):
    """What the networks ask of an image encoder."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, image: Tensor) -> list[Tensor]:
        """[F, 3, H, W] normalised RGB -> maps [F, C, H / stride, W / stride], fine to coarse."""


class AudioEncoder(Protocol):
    """What the networks ask of an audio encoder."""

    channels: int
    tokens: int
    front_end: FrontEnd

    def __call__(self, log_mel: Tensor) -> Tensor:
        """[F, *front_end.shape] -> [F, channels] (one token) or [F, tokens, channels]."""


class EspNetV2Maps(nn.Module):
    """ESPNetv2's encoder without the stride-2 map; keys as in the published files (`base_net.`)."""

    strides = (4, 8, 16)

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.channels = WIDTHS[scale][1:]
        self.base_net = EspNetV2Encoder(scale)

    def forward(self, image: Tensor) -> list[Tensor]:
        """[F, 3, H, W] normalised RGB -> three maps [F, C, H / stride, W / stride]."""
        return list(self.base_net(image)[1:])


class Mn04Tokens(nn.Module):
    """mn04 without its classifier, one token for each 0.32 s; keys as in the published file."""

    channels = EMBEDDING
    tokens = 7
    front_end = MN04

    def __init__(self) -> None:
        super().__init__()
        self.features = Mn04().features

    def forward(self, log_mel: Tensor) -> Tensor:
        """[F, 1, 128, 200] -> [F, 7, 384], oldest first."""
        return self.features(log_mel).mean(2).transpose(1, 2)


def build_image_encoder(name: ImageEncoderName) -> nn.Module:
    """Build an `ImageEncoder` with fresh weights."""
    if name.startswith("pvt_v2_"):
        return PVTv2(name.removeprefix("pvt_v2_"))
    builders = {
        ImageEncoderName.RESNET50: ResNet50,
        ImageEncoderName.ESPNETV2: EspNetV2Maps,
        ImageEncoderName.TINY: TinyImageEncoder,
    }
    return builders[name]()


def build_audio_encoder(name: AudioEncoderName) -> nn.Module:
    """Build an `AudioEncoder` with fresh weights."""
    builders = {
        AudioEncoderName.VGGISH: VGGish,
        AudioEncoderName.MN04: Mn04Tokens,
        AudioEncoderName.TINY: TinyAudioEncoder,
    }
    return builders[name]()


def as_image_encoder(module: nn.Module) -> ImageEncoder:
    """The same object, seen as an `ImageEncoder`."""
    return cast(ImageEncoder, module)


def as_audio_encoder(module: nn.Module) -> AudioEncoder:
    """The same object, seen as an `AudioEncoder`."""
    return cast(AudioEncoder, module)
