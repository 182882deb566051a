"""Bi-modal Contrastive Learning: enhanced against original audio, frame by frame (III-E, eq 12)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_avs.models.attention import Mlp

TEMPERATURE = 0.07


class BimodalContrast(nn.Module):
    """BCL's two projections into the common space; 394,752 parameters at d = 256."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.original = Mlp(d, d, d, d)
        self.partner = Mlp(d, d, d, d)

    def forward(self, original: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
        """Project [B, T, d] original audio and [B, T, d] partner to unit vectors [B, T, d]."""
        return F.normalize(self.original(original), dim=-1), F.normalize(self.partner(partner), dim=-1)


def contrastive_loss(
    original: Tensor, partner: Tensor, valid: Tensor | None = None, temperature: float = TEMPERATURE
) -> Tensor:
    """Eq 12, in both directions: a frame's two vectors belong together.

    Negatives are the frames of the other samples of the batch. Other frames of the same sample
    may hold the same sounding object, so they count neither way. With one sample there are no
    negatives and the loss is zero.

    Args:
        original: unit vectors [B, T, d].
        partner: unit vectors [B, T, d].
        valid: bool [B, T], False for padded frames, which are left out; None for all.
        temperature: tau.

    Returns:
        Scalar: mean over the valid frames of the two directions' sum.
    """
    B, T, _ = original.shape
    similarity = original.flatten(0, 1) @ partner.flatten(0, 1).T / temperature  # [B * T, B * T]
    sample = torch.arange(B, device=original.device).repeat_interleave(T)
    counts = sample[:, None] != sample[None, :]
    if valid is None:
        valid = torch.ones(B, T, dtype=torch.bool, device=original.device)
    valid = valid.flatten()
    counts = (counts & valid[None, :] & valid[:, None]) | torch.eye(
        B * T, dtype=torch.bool, device=valid.device
    )
    logits = similarity.float().masked_fill(~counts, float("-inf"))
    both = -logits.log_softmax(1).diagonal() - logits.log_softmax(0).diagonal()
    return (both * valid).sum() / valid.sum().clamp(min=1)
