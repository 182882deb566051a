"""Bidirectional Audio-Visual Decoder: two towers, bridged both ways at every layer (AVSAC, Fig. 3)."""

from __future__ import annotations

from torch import Tensor, nn

from stream_avs.models.attention import FeedForward, MultiHeadAttention, Residual
from stream_avs.models.avsac.config import AvsacConfig, Bridges


class BridgedLayer(nn.Module):
    """One layer of a tower: cross-attention over the bridge, feed-forward network; 1,315,072 parameters.

        F' = LN(F + Attention(Q = F, K = G, V = G))        F'' = LN(F' + FFN(F'))

    with F of this tower and G of the other, both as the layer before left them.
    """

    def __init__(self, config: AvsacConfig) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout
        self.bridge = MultiHeadAttention(d, config.heads, dropout=dropout)
        self.bridge_norm = Residual(d, dropout=dropout)
        self.ffn = FeedForward(d, config.decoder_ffn, dropout=dropout)
        self.ffn_norm = Residual(d, dropout=dropout)

    def forward(self, own: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Ask the other tower.

        Args:
            own: [F, L, d], this tower.
            query: [F, L, d], the same with its position code.
            key: [F, M, d], the other tower with its position code.
            value: [F, M, d], the other tower.

        Returns:
            [F, L, d].
        """
        own = self.bridge_norm(own, self.bridge(query, key, value))
        return self.ffn_norm(own, self.ffn(own))


class BidirectionalDecoder(nn.Module):
    """The towers: audio-guided vision (AGV) and vision-guided audio (VGA).

    Layer i of both reads what layer i - 1 of both left. A tower that no bridge leads to stays as it
    entered.
    """

    def __init__(self, config: AvsacConfig) -> None:
        super().__init__()
        to_vision = config.bridges is not Bridges.VISION_TO_AUDIO
        to_audio = config.bridges is not Bridges.AUDIO_TO_VISION
        layers = range(config.decoder_layers)
        self.agv = nn.ModuleList(BridgedLayer(config) for _ in layers) if to_vision else None
        self.vga = nn.ModuleList(BridgedLayer(config) for _ in layers) if to_audio else None
        self.layers = config.decoder_layers

    def forward(self, visual: Tensor, position: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Let both towers influence one another.

        Args:
            visual: [F, L, d], tokens of each frame from the Transformer encoder.
            position: [L, d], their position code.
            queries: F_a [F, N, d], audio queries of each frame.

        Returns:
            F_AGV [F, L, d] and F_VGA [F, N, d].
        """
        for layer in range(self.layers):
            seen, heard = visual, queries
            placed = seen + position
            if self.agv is not None:
                visual = self.agv[layer](seen, placed, heard, heard)
            if self.vga is not None:
                queries = self.vga[layer](heard, heard, placed, seen)
        return visual, queries
