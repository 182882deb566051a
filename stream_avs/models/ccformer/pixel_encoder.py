"""The Transformer encoder of the Multi-query Transformer Module: deformable, frame by frame (III-C)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from stream_avs.models.attention import FeedForward, Residual
from stream_avs.models.ccformer.position import cell_centres
from stream_avs.models.deformable_attention import DeformableAttention, Size


class EncoderDimensions(Protocol):
    """What a network's configuration says about its Transformer encoder."""

    @property
    def d(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def ffn(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def points(self) -> int: ...
    @property
    def encoder_layers(self) -> int: ...


class EncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward network; 1,257,504 parameters with 3 levels."""

    def __init__(self, config: EncoderDimensions, levels: int) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout
        self.attention = DeformableAttention(d, config.heads, levels, config.points)
        self.attention_norm = Residual(d, dropout=dropout)
        self.ffn = FeedForward(d, config.ffn, dropout=dropout)
        self.ffn_norm = Residual(d, dropout=dropout)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, sizes: Sequence[Size]) -> Tensor:
        """[F, sum(h * w), d] -> the same."""
        x = self.attention_norm(x, self.attention(x + position, reference, x, sizes))
        return self.ffn_norm(x, self.ffn(x))


class TransformerEncoder(nn.Module):
    """Refine and mix the coarser scales of each frame.

    Args:
        config: the network's.
        levels: number of scales.
    """

    def __init__(self, config: EncoderDimensions, levels: int) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.randn(levels, config.d))
        self.layers = nn.ModuleList(EncoderLayer(config, levels) for _ in range(config.encoder_layers))

    def forward(self, tokens: Sequence[Tensor], position: Sequence[Tensor], sizes: Sequence[Size]) -> Tensor:
        """Run the layers.

        Args:
            tokens: per level [F, h * w, d].
            position: per level [h * w, d].
            sizes: (h, w) of each level.

        Returns:
            [F, sum(h * w), d], levels one after the other.
        """
        x = torch.cat(list(tokens), dim=1)
        code = torch.cat([p + level for p, level in zip(position, self.level, strict=True)])
        reference = cell_centres(list(sizes), like=x)
        for layer in self.layers:
            x = layer(x, code, reference, sizes)
        return x
