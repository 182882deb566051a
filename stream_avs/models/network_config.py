"""What the configuration of every trainable network has in common. Imports no torch."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from stream_avs.config import require
from stream_avs.errors import ConfigError, nearest


class ImageEncoderName(enum.StrEnum):
    """Image encoders a network can stand on."""

    PVTV2_B0 = "pvt_v2_b0"
    PVTV2_B1 = "pvt_v2_b1"
    PVTV2_B2 = "pvt_v2_b2"
    PVTV2_B3 = "pvt_v2_b3"
    PVTV2_B4 = "pvt_v2_b4"
    PVTV2_B5 = "pvt_v2_b5"
    RESNET50 = "resnet50"
    ESPNETV2 = "espnetv2"
    TINY = "tiny"


class AudioEncoderName(enum.StrEnum):
    """Audio encoders a network can stand on."""

    VGGISH = "vggish"
    MN04 = "mn04"
    TINY = "tiny"


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Encoders, classes and the shape of a window; each architecture adds its own dimensions."""

    image_encoder: ImageEncoderName = ImageEncoderName.PVTV2_B5
    """Image encoder."""
    audio_encoder: AudioEncoderName = AudioEncoderName.VGGISH
    """Audio encoder."""
    classes: int = 1
    """1 for sounding / not sounding; otherwise the number of classes, background (0) included."""
    input_px: int = 224
    """Side of the square image the network is meant for."""
    frames: int = 5
    """Frames of a window; in causal mode the frames a frame sees, itself included."""

    def __post_init__(self) -> None:
        require(self.classes >= 1, "model.classes", self.classes, "1, or 2 and more with background")
        require(
            self.input_px >= 32 and self.input_px % 16 == 0,
            "model.input_px", self.input_px, "a multiple of 16, at least 32",
        )  # fmt: skip
        require(1 <= self.frames <= 64, "model.frames", self.frames, "1..64")

    @property
    def windowed(self) -> bool:
        """Whether a clip is cut into windows of `frames`; else it goes through whole, however long."""
        return True

    @property
    def carries(self) -> bool:
        """Whether what leaves one window enters the next."""
        return False

    @property
    def taught_labels(self) -> tuple[str, ...]:
        """Classes that classifiers inside the network learn, in the order of the data set's ids from 1."""
        return ()

    @property
    def stands_on(self) -> tuple[str, ...]:
        """The pretrained networks inside, for people."""
        return str(self.image_encoder), str(self.audio_encoder)

    @property
    def live_frames(self) -> int:
        """Frames a live step looks at for one mask, the newest included."""
        return self.frames


C = TypeVar("C", bound=NetworkConfig)


def choose_preset(title: str, presets: Mapping[str, C], name: str, changes: Mapping[str, Any]) -> C:
    """Return the preset `name` of an architecture called `title`, with some fields changed.

    Raises:
        ConfigError: no such preset, no such field, or a value out of range.
    """
    if name not in presets:
        raise ConfigError(f"{title} has no preset {name!r}", nearest(name, presets).capitalize())
    fields = {f.name for f in dataclasses.fields(presets[name])}
    for key in changes:
        if key not in fields:
            raise ConfigError(f"{title} has no setting {key!r}", nearest(key, fields).capitalize())
    return dataclasses.replace(presets[name], **changes)
