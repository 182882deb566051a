"""Early Integration Module: audio and vision enhance one another, scale by scale (CCFormer III-B).

The tokens of all frames lie in one sequence, so this is where frames first mix ("cross-frame
bidirectional fusion", Fig. 2). One AVE and one VAE serve all scales: that is what the paper's 2.6 M
parameters for the module come to.

Frames that look (T) and frames that are looked at (S) are separate arguments, so that a live
stream can enhance its newest frame alone against what it remembers of the older ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from stream_avs.models.attention import FeedForward, MultiHeadAttention, Residual, token_mask
from stream_avs.models.ccformer.config import CCFormerConfig


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the frames that are looked at offer: features before any enhancement.

    Attributes:
        visual: per scale [B, S, h * w, d].
        position: per scale [h * w, d].
        audio: [B, S, M, d].
    """

    visual: Sequence[Tensor]
    position: Sequence[Tensor]
    audio: Tensor


class _Enhancement(nn.Module):
    """Cross-attention and feed-forward network, each with residual and LayerNorm; 1,315,072 parameters."""

    def __init__(self, config: CCFormerConfig) -> None:
        super().__init__()
        d, dropout = config.d, config.dropout
        self.attention = MultiHeadAttention(d, config.heads, dropout=dropout)
        self.attention_norm = Residual(d, dropout=dropout)
        self.ffn = FeedForward(d, config.ffn, dropout=dropout)
        self.ffn_norm = Residual(d, dropout=dropout)

    def _enhance(self, x: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention_norm(x, self.attention(query, key, value, mask))  # eqs 1, 3
        return self.ffn_norm(x, self.ffn(x))  # eqs 2, 4


class AudioGuidedVisionEnhancement(_Enhancement):
    """AVE, eqs 1-2: visual tokens ask the original audio of all frames."""

    def forward(self, visual: Tensor, position: Tensor, audio: Tensor, mask: Tensor | None) -> Tensor:
        """Enhance one scale.

        Args:
            visual: [B, T, h * w, d].
            position: [h * w, d].
            audio: [B, S, M, d], original.
            mask: bool [..., T, S] over frames, or None.

        Returns:
            [B, T, h * w, d].
        """
        T, cells = visual.shape[1:3]
        x = visual.flatten(1, 2)  # [B, T * h * w, d]
        keys = audio.flatten(1, 2)  # [B, S * M, d]
        query = (visual + position).flatten(1, 2)
        enhanced = self._enhance(x, query, keys, keys, token_mask(mask, cells, audio.shape[2]))
        return enhanced.unflatten(1, (T, cells))


class VisionGuidedAudioEnhancement(_Enhancement):
    """VAE, eqs 3-4: audio asks the original visual tokens of all frames, one scale after the other."""

    def forward(self, audio: Tensor, visual: Tensor, position: Tensor, mask: Tensor | None) -> Tensor:
        """Enhance the audio by one scale.

        Args:
            audio: [B, T, M, d], as the previous scale left it.
            visual: [B, S, h * w, d], original.
            position: [h * w, d].
            mask: bool [..., T, S] over frames, or None.

        Returns:
            [B, T, M, d].
        """
        T, M = audio.shape[1:3]
        x = audio.flatten(1, 2)  # [B, T * M, d]
        key = (visual + position).flatten(1, 2)  # [B, S * h * w, d]
        enhanced = self._enhance(x, x, key, visual.flatten(1, 2), token_mask(mask, M, visual.shape[2]))
        return enhanced.unflatten(1, (T, M))


class EarlyIntegrationModule(nn.Module):
    """EIM: AVE and VAE side by side over the scales, fine to coarse."""

    def __init__(self, config: CCFormerConfig) -> None:
        super().__init__()
        self.ave = AudioGuidedVisionEnhancement(config) if config.ave else None
        self.vae = VisionGuidedAudioEnhancement(config) if config.vae else None

    def forward(
        self, visual: Sequence[Tensor], audio: Tensor, context: Context, mask: Tensor | None
    ) -> tuple[list[Tensor], Tensor]:
        """Enhance both modalities.

        Args:
            visual: per scale [B, T, h * w, d].
            audio: [B, T, M, d].
            context: the frames looked at; in a window the same frames.
            mask: bool [..., T, S] over frames, True where a frame may look, or None.

        Returns:
            Enhanced visual tokens per scale and enhanced audio, shaped as they came. Without AVE
            or VAE the original of that modality.
        """
        enhanced_visual = list(visual)
        if self.ave is not None:
            enhanced_visual = [
                self.ave(tokens, position, context.audio, mask)
                for tokens, position in zip(visual, context.position, strict=True)
            ]
        if self.vae is not None:
            for tokens, position in zip(context.visual, context.position, strict=True):
                audio = self.vae(audio, tokens, position, mask)
        return enhanced_visual, audio
