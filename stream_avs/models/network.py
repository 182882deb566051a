"""What every trainable network is to training, scoring and streaming; see `architectures` to add one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stream_avs.audio.front_end import AudioInput, FrontEnd
from stream_avs.models.encoders import (
    as_audio_encoder,
    as_image_encoder,
    build_audio_encoder,
    build_image_encoder,
)
from stream_avs.models.network_config import NetworkConfig
from stream_avs.models.preprocess import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A visual map and the sound it should share something with, for the losses that compare them.

    Attributes:
        visual: [B, T, d, h, w].
        audio: [B, T, d].
    """

    visual: Tensor
    audio: Tensor


@dataclass(frozen=True, kw_only=True)
class NetworkOutput:
    """What `Network.forward` returns.

    Attributes:
        masks: of each supervised layer (or the last only) logits [B, T, classes, H, W]; the last entry
            is the result. One class: sigmoid; several: softmax, class 0 is background.
        sounding: [B, T], logit that anything visible sounds.
        queries: [B, N, d] that leave the window, to be carried; None when nothing is.
        contrast: unit vectors [B, T, d] of two kinds for BCL, or None.
        paired: what the losses `match` and `avfs` compare; empty where the network has no such maps.
        mixed: channel mean of the map that masks are made of [B, T, h, w], for the loss `mix`, or None.
        classified: logits [B, T, K] of classifiers inside the network that learn the K classes of
            `config.taught_labels`.
    """

    masks: list[Tensor]
    sounding: Tensor
    queries: Tensor | None = None
    contrast: tuple[Tensor, Tensor] | None = None
    paired: Sequence[Paired] = field(default=())
    mixed: Tensor | None = None
    classified: Sequence[Tensor] = field(default=())


class Network(nn.Module):
    """Frames and their audio in, masks out. Builds the encoders; subclasses add the rest and `forward`.

    Args:
        config: every dimension and switch.
        also_hears: what parts beside the audio encoder listen to, in the order of `sounds`.
    """

    never_trained: tuple[str, ...] = ()
    """Names of children that stay as they are, such as a classifier that is only consulted."""
    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig, also_hears: Sequence[FrontEnd] = ()) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = build_image_encoder(config.image_encoder)
        self.audio_encoder = build_audio_encoder(config.audio_encoder)
        image, audio = as_image_encoder(self.image_encoder), as_audio_encoder(self.audio_encoder)
        self.strides = tuple(image.strides)
        self.visual_channels = tuple(image.channels)
        self.audio_channels = audio.channels
        self.audio_input = AudioInput((audio.front_end, *also_hears))
        self.audio_shape = self.audio_input.shape
        self.audio_tokens = audio.tokens
        for name, value in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    def look(self, frames: Tensor) -> list[Tensor]:
        """Image encoder: float [B, T, 3, H, W], RGB in 0..1 -> maps [B * T, C, h, w], fine to coarse."""
        return as_image_encoder(self.image_encoder)((frames.flatten(0, 1) - self.mean) / self.std)

    def begin(self) -> None:
        """Take what the configuration names files for; called once, when a training run begins.

        Raises:
            WeightsError: a file is missing, damaged or does not fit.
        """

    def load_published(self, folder: Path | None) -> None:
        """Fill what is published besides the encoders; most networks have nothing of the kind.

        Args:
            folder: where downloaded files are; None for the default.

        Raises:
            WeightsError: a file is missing, damaged or does not fit.
        """

    def sounds(self, audio: Tensor) -> list[Tensor]:
        """Take apart what is heard: [B, T, *audio_shape] -> [B * T, *shape] of each front end.

        The first is the audio encoder's, the others are those of `also_hears`.
        """
        flat, shapes = audio.flatten(0, 1), [f.shape for f in self.audio_input.front_ends]
        if len(shapes) == 1:
            return [flat]
        parts = flat.split([prod(shape) for shape in shapes], dim=1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]

    def listen(self, audio: Tensor) -> Tensor:
        """Audio encoder: [B, T, *audio_shape] -> tokens [B * T, M, C]; M is 1 with VGGish."""
        tokens = as_audio_encoder(self.audio_encoder)(self.sounds(audio)[0])
        return tokens.unsqueeze(1) if tokens.dim() == 2 else tokens

    def forward(
        self,
        frames: Tensor,
        audio: Tensor,
        queries: Tensor | None = None,
        reset: Tensor | None = None,
        *,
        every_layer: bool = True,
    ) -> NetworkOutput:
        """Segment all frames of a window, or of a whole clip where `config.windowed` is False.

        Args:
            frames: float [B, T, 3, H, W], RGB in 0..1.
            audio: [B, T, *audio_shape], log-mel of each frame's context; see `AudioInput`.
            queries: that left the previous window, or None; ignored by networks that carry nothing.
            reset: bool [B], True ignores `queries`; None for none.
            every_layer: all supervised masks instead of the last alone.
        """
        raise NotImplementedError


class FrameFeatures(NamedTuple):
    """What is computed of each frame alone, so that a live stream computes it once.

    Attributes:
        own: [B, T, ...] each; what only the frame's own mask needs.
        shared: [B, T, ...] each; what the masks of other frames of the window need too. Small, if it can
            be: a live stream keeps it for every frame.
    """

    own: list[Tensor]
    shared: list[Tensor]


class StatelessNetwork(Network):
    """A network that carries nothing: a mask depends on the frames of its window and on nothing else.

    Subclasses write `encode_frames` and `segment`; training, scoring, the live engine and the bench
    call them. `segment` must not depend on the order of the frames in `shared`.
    """

    def encode_frames(self, frames: Tensor, audio: Tensor) -> FrameFeatures:
        """Everything that is done on each frame alone; arguments as for `forward`."""
        raise NotImplementedError

    def segment(self, own: list[Tensor], shared: list[Tensor], *, every_layer: bool = True) -> NetworkOutput:
        """Segment some frames of a window.

        Args:
            own: of the S frames to segment, [B, S, ...] each; all of the window or the newest alone.
            shared: of all T frames of the window, [B, T, ...] each.
            every_layer: see `forward`.

        Returns:
            For the S frames.
        """
        raise NotImplementedError

    def forward(
        self,
        frames: Tensor,
        audio: Tensor,
        queries: Tensor | None = None,
        reset: Tensor | None = None,
        *,
        every_layer: bool = True,
    ) -> NetworkOutput:
        """See `Network.forward`; nothing is carried."""
        features = self.encode_frames(frames, audio)
        return self.segment(features.own, features.shared, every_layer=every_layer)


def loudest(mask: Tensor) -> Tensor:
    """Score that anything visible sounds, for networks without one: the surest pixel.

    Args:
        mask: [F, classes, h, w], logits.

    Returns:
        [F], logit.
    """
    if mask.shape[1] > 1:
        mask = mask[:, 1:].amax(1) - mask[:, 0]
    return mask.flatten(1).amax(1)


def sounding_probability(logits: Tensor) -> Tensor:
    """Probability that a pixel sounds: [F, classes, H, W] -> [F, H, W]."""
    if logits.shape[1] == 1:
        return logits[:, 0].sigmoid()
    return 1 - logits.softmax(1)[:, 0]
