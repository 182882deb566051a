"""Pyramid Vision Transformer v2 (Wang et al., arXiv 2106.13797), b0 to b5, without the classifier.

Key names are those of the published files (pvt_v2_b5.pth and so on); b5 has 81,443,008 parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPS = 1e-6
_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What differs between b0 and b5, per stage."""

    channels: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    mlp_ratios: tuple[int, int, int, int] = (8, 8, 4, 4)


_WIDE = (64, 128, 320, 512)
VARIANTS: dict[str, Variant] = {
    "b0": Variant(channels=(32, 64, 160, 256), depths=(2, 2, 2, 2)),
    "b1": Variant(channels=_WIDE, depths=(2, 2, 2, 2)),
    "b2": Variant(channels=_WIDE, depths=(3, 4, 6, 3)),
    "b3": Variant(channels=_WIDE, depths=(3, 4, 18, 3)),
    "b4": Variant(channels=_WIDE, depths=(3, 8, 27, 3)),
    "b5": Variant(channels=_WIDE, depths=(3, 6, 40, 3), mlp_ratios=(4, 4, 4, 4)),
}


class OverlapPatchEmbed(nn.Module):
    """A strided convolution whose patches overlap, then LayerNorm over channels."""

    def __init__(self, channels_in: int, channels: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels_in, channels, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.LayerNorm(channels)  # torch's own epsilon here and in `Attention`, as published

    def forward(self, image: Tensor) -> tuple[Tensor, int, int]:
        """[F, C, H, W] -> tokens [F, h * w, channels], h, w."""
        x = self.proj(image)
        h, w = x.shape[-2:]
        return self.norm(x.flatten(2).transpose(1, 2)), h, w


class Attention(nn.Module):
    """Self-attention whose keys and values come from a spatially reduced map."""

    def __init__(self, channels: int, *, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q = nn.Linear(channels, channels)
        self.kv = nn.Linear(channels, 2 * channels)
        self.proj = nn.Linear(channels, channels)
        if reduction > 1:
            self.sr = nn.Conv2d(channels, channels, reduction, stride=reduction)
            self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        """[F, h * w, C] -> the same."""
        source = x
        if self.reduction > 1:
            source = self.sr(x.transpose(1, 2).unflatten(2, (h, w)))
            source = self.norm(source.flatten(2).transpose(1, 2))
        q = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)  # [F, heads, L, C / heads]
        k, v = self.kv(source).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _DepthwiseConv(nn.Module):
    """3x3 depth-wise convolution on tokens; nested once more because the published keys are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        return self.dwconv(x.transpose(1, 2).unflatten(2, (h, w))).flatten(2).transpose(1, 2)


class Mlp(nn.Module):
    """Feed-forward network with a depth-wise convolution before its activation."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.dwconv = _DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        """[F, h * w, C] -> the same."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(x), h, w)))


class DropPath(nn.Module):
    """Leave out a residual branch for some samples of a training batch (stochastic depth)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """[F, L, C] -> the same, rows zeroed with probability `share` and the rest scaled up."""
        if not self.training or self.share == 0.0:
            return x
        keep = 1 - self.share
        return x * (x.new_empty(x.shape[0], 1, 1).bernoulli_(keep) / keep)


class Block(nn.Module):
    """Pre-norm Transformer block."""

    def __init__(
        self, channels: int, *, heads: int, reduction: int, mlp_ratio: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=_EPS)
        self.attn = Attention(channels, heads=heads, reduction=reduction)
        self.norm2 = nn.LayerNorm(channels, eps=_EPS)
        self.mlp = Mlp(channels, channels * mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        """[F, h * w, C] -> the same."""
        x = x + self.drop_path(self.attn(self.norm1(x), h, w))
        return x + self.drop_path(self.mlp(self.norm2(x), h, w))


class PVTv2(nn.Module):
    """Four maps at strides 4, 8, 16, 32.

    Args:
        variant: "b0" to "b5".
        drop_path: share of residual branches left out in training, at the last block.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, variant: str = "b5", *, drop_path: float = 0.1) -> None:
        super().__init__()
        spec = VARIANTS[variant]
        self.channels = spec.channels
        shares = iter(torch.linspace(0, drop_path, sum(spec.depths), device="cpu").tolist())
        channels_in = 3
        for i, (channels, depth) in enumerate(zip(spec.channels, spec.depths, strict=True)):
            kernel, stride = (7, 4) if i == 0 else (3, 2)
            embed = OverlapPatchEmbed(channels_in, channels, kernel=kernel, stride=stride)
            blocks = nn.ModuleList(
                Block(
                    channels, heads=_HEADS[i], reduction=_REDUCTIONS[i],
                    mlp_ratio=spec.mlp_ratios[i], drop_path=next(shares),
                )
                for _ in range(depth)
            )  # fmt: skip
            self.add_module(f"patch_embed{i + 1}", embed)
            self.add_module(f"block{i + 1}", blocks)
            self.add_module(f"norm{i + 1}", nn.LayerNorm(channels, eps=_EPS))
            channels_in = channels
        self.apply(_initialise)

    def forward(self, image: Tensor) -> list[Tensor]:
        """[F, 3, H, W] normalised RGB -> four maps [F, C, H / stride, W / stride]."""
        x, maps = image, []
        for i in range(1, 5):
            tokens, h, w = getattr(self, f"patch_embed{i}")(x)
            for block in getattr(self, f"block{i}"):
                tokens = block(tokens, h, w)
            x = getattr(self, f"norm{i}")(tokens).transpose(1, 2).unflatten(2, (h, w))
            maps.append(x)
        return maps


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
