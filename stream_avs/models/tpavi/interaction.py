"""Temporal pixel-wise audio-visual interaction: the module that gave the baseline its name."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TPAVI(nn.Module):
    """Every pixel of every frame attends to the sound of every frame; in the paper's letters

        alpha = theta(V) phi(A)^T / N        Z = V + mu(alpha g(V))        N = T h w

    A is the sound of each frame, repeated over its pixels. There is no softmax, so the product may be
    bracketed the other way: alpha g(V) = theta(V) (phi(A)^T g(V)) / N, and since A is the same for all
    pixels of a frame, frame s contributes phi(A_s) and the mean of g(V_s) alone: with G_s that mean,

        (alpha g(V))_p = 1/T sum_s (theta(V_p) . phi(A_s)) G_s

    which is exact, costs T instead of T h w products a pixel, and is all that must be kept of a frame.

    Args:
        d: channels of the map and of the aligned sound.
        inner: width of theta, phi and g.
        audio_channels: of the sound.
    """

    def __init__(self, d: int, inner: int, audio_channels: int) -> None:
        super().__init__()
        self.align = nn.Linear(audio_channels, d)
        self.theta = nn.Conv2d(d, inner, 1)
        self.phi = nn.Linear(d, inner)
        self.g = nn.Conv2d(d, inner, 1)
        self.mu = nn.Conv2d(inner, d, 1)
        # begins at zero, so that a new stage passes its map on as it is
        self.scale = nn.BatchNorm2d(d)
        nn.init.zeros_(self.scale.weight)
        self.norm = nn.LayerNorm(d)

    def offer(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """What a frame is to the other frames of its window, and its sound at the map's width.

        Args:
            visual: [F, d, h, w].
            audio: [F, audio_channels].

        Returns:
            phi(A) and the mean of g(V), [F, 2 inner]; and A, [F, d].
        """
        aligned = self.align(audio)
        return torch.cat([self.phi(aligned), self.g(visual).mean((-2, -1))], dim=-1), aligned

    def forward(self, visual: Tensor, offered: Tensor) -> Tensor:
        """Let the pixels of some frames attend.

        Args:
            visual: [B, S, d, h, w], of the S frames.
            offered: [B, T, 2 inner], `offer` of all T frames of the window, in any order.

        Returns:
            Z, layer-normed over channels, [B, S, d, h, w].
        """
        B, S, _, h, w = visual.shape
        flat = visual.flatten(0, 1)
        theta = self.theta(flat).flatten(2).transpose(1, 2)  # [B S, h w, c]
        theta = theta.unflatten(0, (B, S)).flatten(1, 2)  # [B, S h w, c]
        phi, mean_g = offered.chunk(2, dim=-1)
        attended = (theta @ phi.transpose(1, 2)) @ mean_g / offered.shape[1]
        attended = attended.unflatten(1, (S, h * w)).flatten(0, 1).transpose(1, 2).unflatten(2, (h, w))
        fused = flat + self.scale(self.mu(attended))
        normed: Tensor = self.norm(fused.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return normed.unflatten(0, (B, S))
