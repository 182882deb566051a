"""Attention Query Generator: how audio enters the intra-frame queries (CCFormer III-C, eqs 5-6)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from stream_avs.models.attention import FeedForward, MultiHeadAttention, Residual
from stream_avs.models.ccformer.config import QueryGenerator


class GeneratorDimensions(Protocol):
    """What a network's configuration says about its query generator."""

    @property
    def d(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def dropout(self) -> float: ...
    @property
    def queries(self) -> int: ...
    @property
    def query_generator(self) -> QueryGenerator: ...
    @property
    def generator_layers(self) -> int: ...
    @property
    def generator_ffn(self) -> int: ...


class GeneratorLayer(nn.Module):
    """Self-attention, cross-attention to the frame's audio, feed-forward network; 1,051,392 parameters.

    With a single audio token per frame (VGGish) the softmax of the cross-attention runs over one
    key: it adds a projection of the audio, and its query and key projections get no gradient.
    """

    def __init__(self, config: GeneratorDimensions) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout
        self.self_attention = MultiHeadAttention(d, config.heads, dropout=dropout, bias=False)
        self.self_norm = Residual(d, dropout=dropout)
        self.cross_attention = MultiHeadAttention(d, config.heads, dropout=dropout, bias=False)
        self.cross_norm = Residual(d, dropout=dropout)
        self.ffn = FeedForward(d, config.generator_ffn, dropout=dropout, gelu=True)
        self.ffn_norm = Residual(d, dropout=dropout)

    def forward(self, queries: Tensor, audio: Tensor) -> Tensor:
        """[B, N, d] queries, [B, M, d] audio -> [B, N, d]."""
        queries = self.self_norm(queries, self.self_attention(queries, queries, queries))  # eq 5
        queries = self.cross_norm(queries, self.cross_attention(queries, audio, audio))  # eq 6
        return self.ffn_norm(queries, self.ffn(queries))


class IntraFrameQueries(nn.Module):
    """Make each frame's intra-frame queries: the generator's output plus learnable queries."""

    def __init__(self, config: GeneratorDimensions) -> None:
        super().__init__()
        self.kind = config.query_generator
        self.learnable = nn.Parameter(torch.randn(config.queries, config.d))
        if self.kind is QueryGenerator.ATTENTION:
            self.audio_queries = nn.Parameter(torch.randn(config.queries, config.d))
            self.layers = nn.ModuleList(GeneratorLayer(config) for _ in range(config.generator_layers))

    def forward(self, audio: Tensor) -> Tensor:
        """Generate the queries of each frame from its own enhanced audio.

        Args:
            audio: [F, M, d], one row per frame.

        Returns:
            [F, N, d].
        """
        learnable = self.learnable.expand(audio.shape[0], -1, -1)
        if self.kind is QueryGenerator.NONE:
            return learnable
        if self.kind is QueryGenerator.REPEAT:
            return learnable + audio.mean(dim=1, keepdim=True)
        queries = self.audio_queries.expand(audio.shape[0], -1, -1)
        for layer in self.layers:
            queries = layer(queries, audio)
        return queries + learnable
