"""Multi-query Transformer Decoder: ITI nested in ICI (CCFormer III-C, eqs 7-10).

Intra-frame queries ask the picture of their own frame (ICI), then one another across frames (ITI,
eq 7). Inter-frame queries listen to them (eqs 8-9) and never answer: nothing flows back. So the
intra-frame path can run first and on its own, and a live stream can keep its results per frame.

In window mode there is one set of inter-frame queries for the whole window. In causal mode every
frame has its own, which listens to the intra-frame queries of that frame and those before it; with
carry it starts from the set that left the frame before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from stream_avs.models.attention import FeedForward, MultiHeadAttention, Residual, token_mask
from stream_avs.models.ccformer.config import CCFormerConfig
from stream_avs.models.deformable_attention import DeformableAttention, Size


@dataclass(frozen=True, kw_only=True)
class VisualMemory:
    """Output of the Transformer encoder.

    Attributes:
        tokens: [F, sum(h * w), d], one row per frame.
        sizes: (h, w) of each level.
    """

    tokens: Tensor
    sizes: Sequence[Size]


class IntraFrameCrossModalInteraction(nn.Module):
    """One ICI layer: a deformable Transformer decoder layer; 1,521,184 parameters with 3 levels."""

    def __init__(self, config: CCFormerConfig, levels: int) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout
        self.self_attention = MultiHeadAttention(d, config.heads, dropout=dropout)
        self.self_norm = Residual(d, dropout=dropout)
        self.cross_attention = DeformableAttention(d, config.heads, levels, config.points)
        self.cross_norm = Residual(d, dropout=dropout)
        self.ffn = FeedForward(d, config.ffn, dropout=dropout)
        self.ffn_norm = Residual(d, dropout=dropout)

    def forward(self, intra: Tensor, position: Tensor, reference: Tensor, memory: VisualMemory) -> Tensor:
        """Let each frame's queries look at that frame.

        Args:
            intra: [F, N, d].
            position: [N, d], identity of each query.
            reference: [N, 2], where each query looks first.
            memory: encoded picture of each frame.

        Returns:
            [F, N, d].
        """
        query = intra + position
        intra = self.self_norm(intra, self.self_attention(query, query, intra))
        seen = self.cross_attention(intra + position, reference, memory.tokens, memory.sizes)
        intra = self.cross_norm(intra, seen)
        return self.ffn_norm(intra, self.ffn(intra))


class InterFrameTemporalInteraction(nn.Module):
    """One ITI layer, eqs 7-9; 2,893,824 parameters."""

    def __init__(self, config: CCFormerConfig) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout

        def attention() -> MultiHeadAttention:
            return MultiHeadAttention(d, config.heads, dropout=dropout)

        self.intra_attention = attention()
        self.intra_norm = Residual(d, dropout=dropout)
        self.intra_ffn = FeedForward(d, config.ffn, dropout=dropout)
        self.intra_ffn_norm = Residual(d, dropout=dropout)
        self.cross_attention = attention()
        self.cross_norm = Residual(d, dropout=dropout)
        self.inter_attention = attention()
        self.inter_norm = Residual(d, dropout=dropout)
        self.inter_ffn = FeedForward(d, config.ffn, dropout=dropout)
        self.inter_ffn_norm = Residual(d, dropout=dropout)

    def relate(self, intra: Tensor, context: Tensor, position: Tensor, mask: Tensor | None) -> Tensor:
        """Self-attention over the intra-frame queries of all frames (eq 7).

        Args:
            intra: [B, T, N, d], the frames that look.
            context: [B, S, N, d], the frames looked at; in a window the same.
            position: [N, d], identity of each intra-frame query.
            mask: bool [..., T, S] over frames, or None.

        Returns:
            [B, T, N, d].
        """
        N = intra.shape[2]
        query, key = (intra + position).flatten(1, 2), (context + position).flatten(1, 2)
        x = self.intra_attention(query, key, context.flatten(1, 2), token_mask(mask, N, N))
        x = self.intra_norm(intra.flatten(1, 2), x)
        return self.intra_ffn_norm(x, self.intra_ffn(x)).view_as(intra)

    def listen(
        self,
        inter: Tensor,
        intra: Tensor,
        inter_position: Tensor,
        intra_position: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """Inter-frame queries attend to the intra-frame ones (eq 8), then to one another (eq 9).

        Args:
            inter: [B, G, N, d]; G is 1, or one set for each frame.
            intra: [B, S, N, d], from `relate`.
            inter_position: [N, d].
            intra_position: [N, d].
            mask: bool [..., G, S], or None.

        Returns:
            [B, G, N, d].
        """
        B, G, N, _ = inter.shape
        key = (intra + intra_position).flatten(1, 2)
        x = self.cross_attention(
            (inter + inter_position).flatten(1, 2), key, intra.flatten(1, 2), token_mask(mask, N, N)
        )
        inter = self.cross_norm(inter, x.view_as(inter)).flatten(0, 1)  # [B * G, N, d]
        query = inter + inter_position
        inter = self.inter_norm(inter, self.inter_attention(query, query, inter))
        return self.inter_ffn_norm(inter, self.inter_ffn(inter)).unflatten(0, (B, G))


class CarryGate(nn.Module):
    """How much of the queries that left the previous window enters the next.

    start = (1 - g) * initial + g * carried, with g in 0..1 from both. It begins almost closed.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * d, d)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, initial: Tensor, carried: Tensor, reset: Tensor) -> Tensor:
        """Mix.

        Args:
            initial: [N, d], learned.
            carried: [B, N, d].
            reset: bool [B], True takes `initial` alone.

        Returns:
            [B, N, d].
        """
        initial = initial.expand_as(carried)
        # what a reset row carries is cut off before the gate, so that not even NaN can pass
        carried = torch.where(reset[:, None, None], initial, carried)
        g = self.gate(torch.cat([initial, carried], dim=-1)).sigmoid()
        return initial + g * (carried - initial)


class DecoderLayer(nn.Module):
    """One ICI layer and the ITI layers nested in it."""

    def __init__(self, config: CCFormerConfig, levels: int) -> None:
        super().__init__()
        self.ici = IntraFrameCrossModalInteraction(config, levels) if config.ici else None
        self.iti = nn.ModuleList(
            InterFrameTemporalInteraction(config) for _ in range(config.iti_layers if config.iti else 0)
        )

    def iti_layers(self) -> list[InterFrameTemporalInteraction]:
        """The nested ITI layers in order; none without ITI."""
        return [cast(InterFrameTemporalInteraction, layer) for layer in self.iti]


@dataclass(frozen=True, kw_only=True)
class IntraPath:
    """What the intra-frame queries went through.

    Attributes:
        layers: [B, T, N, d] after each decoder layer.
        heard: [B, T, N, d] after each ITI layer, what the inter-frame queries listen to.
        asked: [B, T, N, d] before each ITI layer, what other frames look at.
    """

    layers: list[Tensor]
    heard: list[Tensor]
    asked: list[Tensor]


class MultiQueryDecoder(nn.Module):
    """MTD: intra-frame queries, inter-frame queries, and their sum (eq 10).

    Args:
        config: the network's.
        levels: levels of the visual memory.
    """

    def __init__(self, config: CCFormerConfig, levels: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(config.queries, config.d))
        self.reference = nn.Linear(config.d, 2)
        self.layers = nn.ModuleList(DecoderLayer(config, levels) for _ in range(config.ici_layers))
        if config.iti:
            self.inter_initial = nn.Parameter(torch.randn(config.queries, config.d))
            self.inter_position = nn.Parameter(torch.randn(config.queries, config.d))
        self.carry = CarryGate(config.d) if config.carry else None

    def reference_points(self) -> Tensor:
        """Where each query looks first, [N, 2] as (x, y) in 0..1."""
        return self.reference(self.position).sigmoid()

    def _decoder_layers(self) -> list[DecoderLayer]:
        return [cast(DecoderLayer, layer) for layer in self.layers]

    def intra_path(
        self,
        intra: Tensor,
        memory: VisualMemory,
        mask: Tensor | None,
        remembered: Sequence[Tensor] | None = None,
    ) -> IntraPath:
        """Run the intra-frame queries through all decoder layers (ICI and eq 7).

        Args:
            intra: [B, T, N, d].
            memory: of the B * T frames.
            mask: bool [..., T, S] over frames, or None.
            remembered: for each ITI layer [B, R, N, d], `asked` of R older frames to look at too;
                then S = R + T.

        Returns:
            See `IntraPath`.
        """
        B, T, _, _ = intra.shape
        reference = self.reference_points()
        path = IntraPath(layers=[], heard=[], asked=[])
        for layer in self._decoder_layers():
            if layer.ici is not None:
                intra = layer.ici(intra.flatten(0, 1), self.position, reference, memory).unflatten(0, (B, T))
            for iti in layer.iti_layers():
                older = [] if remembered is None else [remembered[len(path.asked)]]
                path.asked.append(intra)
                intra = iti.relate(intra, torch.cat([*older, intra], dim=1), self.position, mask)
                path.heard.append(intra)
            path.layers.append(intra)
        return path

    def inter_path(self, inter: Tensor, heard: Sequence[Tensor], mask: Tensor | None) -> list[Tensor]:
        """Run the inter-frame queries through all decoder layers (eqs 8-9).

        Args:
            inter: [B, G, N, d], from `start`.
            heard: for each ITI layer [B, S, N, d].
            mask: bool [..., G, S], or None.

        Returns:
            [B, G, N, d] after each decoder layer.
        """
        outputs, memories = [], iter(heard)
        for layer in self._decoder_layers():
            for iti in layer.iti_layers():
                inter = iti.listen(inter, next(memories), self.inter_position, self.position, mask)
            outputs.append(inter)
        return outputs

    def start(self, carried: Tensor | None, reset: Tensor | None, batch: int) -> Tensor:
        """The inter-frame queries to begin with, [B, N, d].

        Args:
            carried: [B, N, d] that left the previous window, or None at the start of a stream.
            reset: bool [B], True forgets `carried`; None for none.
            batch: B.
        """
        if self.carry is None or carried is None:
            return self.inter_initial.expand(batch, -1, -1)
        if reset is None:
            reset = carried.new_zeros(batch, dtype=torch.bool)
        return self.carry(self.inter_initial, carried, reset)
