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
    """What the frames that are looked at offer, from their features before any enhancement.

    Attributes:
        keys: of VAE, per scale [B, S, h * w, d]; empty without VAE.
        values: of VAE, shaped like `keys`.
        audio: original, [B, S, M, d].
    """

    keys: list[Tensor]
    values: list[Tensor]
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

    def _enhance(self, x: Tensor, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        x = self.attention_norm(x, self.attention.attend(query, keys, values, mask))  # eqs 1, 3
        return self.ffn_norm(x, self.ffn(x))  # eqs 2, 4


class AudioGuidedVisionEnhancement(_Enhancement):
    """AVE, eqs 1-2: visual tokens ask the original audio of all frames."""

    def forward(self, visual: Tensor, position: Tensor, audio: Tensor, mask: Tensor | None) -> Tensor:
        """Enhance one scale.

        Args:
            visual: [B, T, h * w, d].
            position: [h * w, d].
            audio: [B, S, M, d], original.
            mask: bool [..., T', S] over frames, or None; with T < T' these are the newest T frames.

        Returns:
            [B, T, h * w, d].
        """
        T, cells = visual.shape[1:3]
        mask = None if mask is None else mask[..., -T:, :]
        x = visual.flatten(1, 2)  # [B, T * h * w, d]
        query = (visual + position).flatten(1, 2)
        heard = audio.flatten(1, 2)  # [B, S * M, d]
        keys, values = self.attention.key(heard), self.attention.value(heard)
        enhanced = self._enhance(x, query, keys, values, token_mask(mask, cells, audio.shape[2]))
        return enhanced.unflatten(1, (T, cells))


class VisionGuidedAudioEnhancement(_Enhancement):
    """VAE, eqs 3-4: audio asks the original visual tokens of all frames, one scale after the other."""

    def offer(self, visual: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of one scale, each [B, S, h * w, d], from [B, S, h * w, d] and [h * w, d]."""
        return self.attention.key(visual + position), self.attention.value(visual)

    def forward(self, audio: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Enhance the audio by one scale.

        Args:
            audio: [B, T, M, d], as the previous scale left it.
            keys: [B, S, h * w, d], from `offer`.
            values: the same.
            mask: bool [..., T, S] over frames, or None.

        Returns:
            [B, T, M, d].
        """
        T, M = audio.shape[1:3]
        x = audio.flatten(1, 2)  # [B, T * M, d]
        frame_wide = token_mask(mask, M, keys.shape[2])
        enhanced = self._enhance(x, x, keys.flatten(1, 2), values.flatten(1, 2), frame_wide)
        return enhanced.unflatten(1, (T, M))


class EarlyIntegrationModule(nn.Module):
    """EIM: AVE and VAE side by side over the scales, fine to coarse."""

    def __init__(self, config: CCFormerConfig) -> None:
        super().__init__()
        self.ave = AudioGuidedVisionEnhancement(config) if config.ave else None
        self.vae = VisionGuidedAudioEnhancement(config) if config.vae else None

    def offer(self, visual: Sequence[Tensor], audio: Tensor, positions: Sequence[Tensor]) -> Context:
        """Make of some frames' features what other frames look at; each frame on its own."""
        if self.vae is None:
            return Context(keys=[], values=[], audio=audio)
        pairs = [self.vae.offer(tokens, code) for tokens, code in zip(visual, positions, strict=True)]
        return Context(keys=[k for k, _ in pairs], values=[v for _, v in pairs], audio=audio)

    def forward(
        self,
        visual: Sequence[Tensor],
        audio: Tensor,
        positions: Sequence[Tensor],
        context: Context,
        mask: Tensor | None,
    ) -> tuple[list[Tensor], Tensor]:
        """Enhance both modalities.

        Args:
            visual: per scale [B, T, h * w, d]; a scale may have the newest frames alone.
            audio: [B, T, M, d].
            positions: per scale [h * w, d].
            context: `offer` of the frames looked at; in a window the same frames.
            mask: bool [..., T, S] over frames, True where a frame may look, or None.

        Returns:
            Enhanced visual tokens per scale and enhanced audio, shaped as they came. Without AVE
            or VAE the original of that modality.
        """
        enhanced_visual = list(visual)
        if self.ave is not None:
            enhanced_visual = [
                self.ave(tokens, code, context.audio, mask)
                for tokens, code in zip(visual, positions, strict=True)
            ]
        if self.vae is not None:
            for keys, values in zip(context.keys, context.values, strict=True):
                audio = self.vae(audio, keys, values, mask)
        return enhanced_visual, audio
