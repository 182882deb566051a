"""A mask of a network that carries nothing, in two halves: what backends compile, and what is counted.

Shapes are static and everything is an explicit tensor. CCFormer's halves are in `ccformer.cached_step`.
"""

from __future__ import annotations

from torch import Tensor, nn

from stream_avs.models.network import FrameFeatures, NetworkOutput, StatelessNetwork


class EncodeFrame(nn.Module):
    """The half of a mask that looks at one frame alone."""

    def __init__(self, network: StatelessNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, audio: Tensor) -> FrameFeatures:
        """[B, 3, S, S] RGB in 0..1, [B, *audio_shape] -> features, [B, ...] each."""
        features = self.network.encode_frames(frame[:, None], audio[:, None])
        return FrameFeatures(own=[x[:, 0] for x in features.own], shared=[x[:, 0] for x in features.shared])


class SegmentNewest(nn.Module):
    """The half that puts the newest frame among those of its window."""

    def __init__(self, network: StatelessNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, own: list[Tensor], shared: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Features [B, ...] of the newest, [B, T, ...] of all -> mask [B, classes, H, W], sounding [B]."""
        output: NetworkOutput = self.network.segment([x[:, None] for x in own], shared, every_layer=False)
        return output.masks[-1][:, 0], output.sounding[:, 0]
