"""Segmentation head: cross-modal FPN, dynamic kernels, mask MLP and final layers (CCFormer III-D, eq 11)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_avs.models.attention import FeedForward, Mlp, MultiHeadAttention, Residual
from stream_avs.models.ccformer.config import CCFormerConfig, Controllers
from stream_avs.models.ccformer.position import cell_centres
from stream_avs.models.deformable_attention import Size

_FINEST_KEY_STRIDE = 32
"""Keys of the spatial-reduction attention are thinned until their stride in pixels is this."""


class CrossModalBlock(nn.Module):
    """Spatial-reduction self-attention, cross-attention to audio, feed-forward network; 1,578,752 parameters.

    Args:
        config: the network's.
        reduction: only every so many rows and columns serve as keys.
    """

    def __init__(self, config: CCFormerConfig, reduction: int) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout
        self.reduction = reduction
        self.self_attention = MultiHeadAttention(d, config.heads, dropout=dropout)
        self.self_norm = Residual(d, dropout=dropout)
        self.cross_attention = MultiHeadAttention(d, config.heads, dropout=dropout)
        self.cross_norm = Residual(d, dropout=dropout)
        self.ffn = FeedForward(d, config.ffn, dropout=dropout)
        self.ffn_norm = Residual(d, dropout=dropout)

    def forward(self, image: Tensor, position: Tensor, audio: Tensor) -> Tensor:
        """[F, d, h, w] image, [h * w, d] position, [F, M, d] audio -> [F, d, h, w]."""
        h, w = image.shape[-2:]
        step = self.reduction
        code = position.view(h, w, -1).permute(2, 0, 1)  # [d, h, w]
        value = image[..., ::step, ::step]
        key = value + code[..., ::step, ::step]
        x = image.flatten(2).transpose(1, 2)  # [F, h * w, d]
        key, value = key.flatten(2).transpose(1, 2), value.flatten(2).transpose(1, 2)
        x = self.self_norm(x, self.self_attention(x + position, key, value))
        x = self.cross_norm(x, self.cross_attention(x + position, audio, audio))
        x = self.ffn_norm(x, self.ffn(x))
        return x.transpose(1, 2).unflatten(2, (h, w))


class CrossModalFPN(nn.Module):
    """Feature pyramid that meets the original audio at each scale, coarse to fine; 9,530,624 parameters.

    Args:
        config: the network's.
        strides: of the maps, fine to coarse.
    """

    def __init__(self, config: CCFormerConfig, strides: Sequence[int]) -> None:
        super().__init__()
        d = config.d

        def conv_norm(kernel: int) -> nn.Sequential:
            conv = nn.Conv2d(d, d, kernel, padding=kernel // 2, bias=False)
            return nn.Sequential(conv, nn.GroupNorm(8, d))

        self.lateral = nn.ModuleList(conv_norm(1) for _ in strides)
        self.fusion = nn.ModuleList(CrossModalBlock(config, max(1, _FINEST_KEY_STRIDE // s)) for s in strides)
        self.smooth = nn.ModuleList(conv_norm(3) for _ in strides)
        self.out = nn.Conv2d(d, d, 3, padding=1)

    def forward(self, maps: Sequence[Tensor], position: Sequence[Tensor], audio: Tensor) -> Tensor:
        """Merge all scales into the mask feature.

        Args:
            maps: per scale, fine to coarse, [F, d, h, w].
            position: per scale [h * w, d].
            audio: [F, M, d], original.

        Returns:
            [F, d, h, w] at the finest scale.
        """
        merged: Tensor | None = None
        for i in reversed(range(len(maps))):
            x = self.fusion[i](self.lateral[i](maps[i]), position[i], audio)
            if merged is not None:
                x = x + _enlarged(merged, (x.shape[-2], x.shape[-1]))
            merged = F.relu(self.smooth[i](x))
        assert merged is not None
        return self.out(merged)


class DynamicMasks(nn.Module):
    """Three 1x1 convolutions whose kernels are predicted from each query: d (+2) -> c -> c -> 1.

    Args:
        config: the network's.
    """

    def __init__(self, config: CCFormerConfig) -> None:
        super().__init__()
        c, d = config.dynamic_channels, config.d
        self.sizes = [c * d, c * 2 if config.relative_coordinates else 0, c, c * c, c, c, 1]
        self.channels = c
        self.controller = Mlp(d, d, d, sum(self.sizes))

    def forward(self, queries: Tensor, reference: Tensor, feature: Tensor) -> Tensor:
        """Make one intermediate mask for each query.

        Args:
            queries: [F, N, d], combined (eq 10).
            reference: [N, 2], each query's reference point as (x, y) in 0..1.
            feature: [F, d, h, w], mask feature.

        Returns:
            [F, N, h, w], logits.
        """
        (B, N, d), (h, w), c = queries.shape, feature.shape[-2:], self.channels
        w1, w1_xy, b1, w2, b2, w3, b3 = self.controller(queries).split(self.sizes, dim=-1)
        x = w1.reshape(B, N * c, d) @ feature.flatten(2)  # [F, N * c, h * w]
        x = x.view(B, N, c, h * w) + b1.unsqueeze(-1)
        if self.sizes[1]:
            offset = cell_centres([(h, w)], like=feature).to(x.dtype) - reference[:, None]  # [N, h * w, 2]
            x = x + w1_xy.view(B, N, c, 2) @ offset.transpose(1, 2)
        x = w2.view(B, N, c, c) @ F.relu(x) + b2.unsqueeze(-1)
        x = w3.unsqueeze(2) @ F.relu(x) + b3.unsqueeze(-1)  # [F, N, 1, h * w]
        return x.view(B, N, h, w)


class SegmentationHead(nn.Module):
    """Masks from queries and mask feature (eq 11): FC(mask feature + MLP(intermediate masks)).

    Args:
        config: the network's.
        strides: of the maps given to the FPN, fine to coarse.
    """

    def __init__(self, config: CCFormerConfig, strides: Sequence[int]) -> None:
        super().__init__()
        d, hidden = config.d, config.mask_hidden
        self.fpn = CrossModalFPN(config, strides)
        shared = config.controllers is Controllers.SHARED
        self.dynamic = nn.ModuleList(DynamicMasks(config) for _ in range(1 if shared else config.ici_layers))
        self.mask_mlp = nn.Sequential(
            nn.Conv2d(config.queries, hidden, 1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 1), nn.ReLU(),
            nn.Conv2d(hidden, d, 1),
        )  # fmt: skip
        self.reduce = nn.Conv2d(d, d // 2, 3, padding=1)
        self.upsample = config.upsample
        self.refine = nn.Conv2d(d // 2, d // 8, 3, padding=1)
        self.classify = nn.Conv2d(d // 8, config.classes, 1, bias=False)

    def mask_feature(self, maps: Sequence[Tensor], position: Sequence[Tensor], audio: Tensor) -> Tensor:
        """See `CrossModalFPN.forward`."""
        return self.fpn(maps, position, audio)

    def forward(self, queries: Tensor, reference: Tensor, feature: Tensor, layer: int) -> Tensor:
        """Predict the masks of one decoder layer.

        Args:
            queries: [F, N, d], combined (eq 10).
            reference: [N, 2].
            feature: [F, d, h, w], from `mask_feature`.
            layer: index of the decoder layer the queries left, from 0.

        Returns:
            [F, classes, h * upsample, w * upsample], logits.
        """
        masks = self.dynamic[layer % len(self.dynamic)](queries, reference, feature)
        x = self.reduce(feature + self.mask_mlp(masks))
        if self.upsample > 1:
            x = F.interpolate(x, scale_factor=self.upsample, mode="bilinear", align_corners=False)
        return self.classify(F.relu(self.refine(x)))


def _enlarged(x: Tensor, size: Size) -> Tensor:
    """Nearest-neighbour enlargement of [F, d, h, w] to `size`."""
    # OpenVINO (2026.4) gives wrong numbers for an interpolation between transposed maps
    F_, d, h, w = x.shape
    if size == (2 * h, 2 * w):
        return x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(F_, d, 2 * h, 2 * w)
    rows = torch.arange(size[0], device=x.device) * h // size[0]
    columns = torch.arange(size[1], device=x.device) * w // size[1]
    return x[:, :, rows][:, :, :, columns]
