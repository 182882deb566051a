"""ESPNetv2 segmentation: 21 Pascal VOC classes, encoder taps usable alone.

Mehta et al., arXiv 1811.11431. Module names are those of the published weight files
(EdgeNets `espnetv2_s_*_pascal_*.pth`, MIT), so they load strictly. Parameters: 80 353, 234 021 and
789 253 for scales 0.5, 1.0 and 2.0. Every resize has align_corners = true; cell i of a level of
stride r is centred on pixel r * i.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_avs.models.backbones.pooling import adaptive_average_pool

CLASSES = 21
STRIDE = 16
"""Height and width of the input must be multiples of this."""
WIDTHS: dict[float, tuple[int, int, int, int]] = {
    0.5: (16, 32, 64, 128),
    1.0: (32, 64, 128, 256),
    1.25: (32, 80, 160, 320),
    1.5: (32, 96, 192, 384),
    2.0: (32, 128, 256, 512),
}
"""Channels of the taps at strides 2, 4, 8, 16, by scale."""
_PYRAMID = 10  # channels of a pyramid branch
_PYRAMID_SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
_PYRAMID_MIN_PX = 5


class Taps(NamedTuple):
    """Encoder maps f1..f4 at strides 2, 4, 8, 16: [N, C, H / stride, W / stride]."""

    f1: Tensor
    f2: Tensor
    f3: Tensor
    f4: Tensor


class EspNetV2Encoder(nn.Module):
    """The encoder alone; its keys carry the prefix `base_net.` in the published files."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        c1, c2, c3, c4 = WIDTHS[scale]
        dense, narrow = (1, 2, 3, 4), (1, 1, 2, 3)
        self.level1 = ConvBNAct(3, c1, 3, stride=2)
        self.level2_0 = Down(c1, c2, dense)
        self.level3_0 = Down(c2, c3, dense)
        self.level3 = nn.ModuleList(EESP(c3, c3, 1, dense) for _ in range(3))
        self.level4_0 = Down(c3, c4, dense)
        self.level4 = nn.ModuleList(EESP(c4, c4, 1, narrow) for _ in range(7))

    def forward(self, image: Tensor) -> Taps:
        """Encode normalised RGB [N, 3, H, W]; H and W multiples of 16."""
        half = _pool(image)  # the image again, at the scale of each level
        f1 = self.level1(image)
        half = _pool(half)
        f2 = self.level2_0(f1, half)
        half = _pool(half)
        f3 = self.level3_0(f2, half)
        for block in self.level3:
            f3 = block(f3)
        half = _pool(half)
        f4 = self.level4_0(f3, half)
        for block in self.level4:
            f4 = block(f4)
        return Taps(f1, f2, f3, f4)


class EspNetV2(nn.Module):
    """Normalised RGB in, logits of the 21 VOC classes out.

    Args:
        scale: width of the encoder, a key of `WIDTHS`.
    """

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        c1, c2, c3, c4 = WIDTHS[scale]
        self.base_net = EspNetV2Encoder(scale)
        self.bu_dec_l1 = EfficientPyramidPool(c4, 64)
        self.merge_enc_dec_l2 = Gate(c3, 64)
        self.bu_br_l2 = _bn_act(64)
        self.bu_dec_l2 = EfficientPyramidPool(64, 48)
        self.merge_enc_dec_l3 = Gate(c2, 48)
        self.bu_br_l3 = _bn_act(48)
        self.bu_dec_l3 = EfficientPyramidPool(48, 32)
        self.merge_enc_dec_l4 = Gate(c1, 32)
        self.bu_br_l4 = _bn_act(32)
        self.bu_dec_l4 = EfficientPyramidPool(32, CLASSES, last=True)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits [N, 21, H, W] for normalised RGB [N, 3, H, W]; H and W multiples of 16."""
        return _up(self.logits_half(image), image.shape[-2:])

    def taps(self, image: Tensor) -> Taps:
        """Return the encoder maps f1..f4; the decoder is not run."""
        return self.base_net(image)

    def logits_half(self, image: Tensor) -> Tensor:
        """Return logits [N, 21, H / 2, W / 2]: what `forward` resizes at its end."""
        return self.decode(self.taps(image))

    def decode(self, taps: Taps) -> Tensor:
        """Turn encoder maps into logits at stride 2."""
        z = self.bu_dec_l1(taps.f4)  # stride 16
        z = self.bu_dec_l2(self.bu_br_l2(_double(z) + self.merge_enc_dec_l2(taps.f3)))
        z = self.bu_dec_l3(self.bu_br_l3(_double(z) + self.merge_enc_dec_l3(taps.f2)))
        return self.bu_dec_l4(self.bu_br_l4(_double(z) + self.merge_enc_dec_l4(taps.f1)))


class ConvBNAct(nn.Module):
    """Convolution, batch norm, and PReLU unless `act` is false."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        self.conv = _conv(channels, out, kernel, stride, groups)
        self.bn = nn.BatchNorm2d(out)
        self.act = nn.PReLU(out) if act else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.conv(x))
        return y if self.act is None else self.act(y)


class BNAct(nn.Module):
    """Batch norm and PReLU under the encoder's names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(x))


class DilatedDepthwise(nn.Module):
    """One branch of the spatial pyramid: a dilated depthwise 3x3."""

    def __init__(self, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, 3, stride, padding=dilation, dilation=dilation, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class EESP(nn.Module):
    """Extremely efficient spatial pyramid: reduce, four dilated branches, sum upwards, expand."""

    def __init__(self, channels: int, out: int, stride: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        branch = out // 4
        self.proj_1x1 = ConvBNAct(channels, branch, 1, groups=4)
        self.spp_dw = nn.ModuleList(DilatedDepthwise(branch, stride, d) for d in dilations)
        self.br_after_cat = BNAct(out)
        self.conv_1x1_exp = ConvBNAct(out, out, 1, groups=4, act=False)
        # With stride 2 this is in the weight file and never used.
        self.module_act = nn.PReLU(out)
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.proj_1x1(x)
        sums = [self.spp_dw[0](reduced)]
        for branch in self.spp_dw[1:]:
            sums.append(sums[-1] + branch(reduced))
        y = self.conv_1x1_exp(self.br_after_cat(torch.cat(sums, 1)))
        return self.module_act(x + y) if self.residual else y


class Down(nn.Module):
    """Halve the map: pooled input beside an EESP of stride 2, plus the image at that scale."""

    def __init__(self, channels: int, out: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.eesp = EESP(channels, out - channels, 2, dilations)
        self.inp_reinf = nn.Sequential(ConvBNAct(3, 3, 3), ConvBNAct(3, out, 1, act=False))
        self.act = nn.PReLU(out)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        y = torch.cat([_pool(x), self.eesp(x)], 1)
        return self.act(y + self.inp_reinf(image))


class EfficientPyramidPool(nn.Module):
    """See a map at five scales, mix the scales of each channel, project.

    Args:
        channels: input channels.
        out: output channels.
        last: project with a bias and without norm and activation.
    """

    def __init__(self, channels: int, out: int, *, last: bool = False) -> None:
        super().__init__()
        scales = len(_PYRAMID_SCALES)
        self.projection_layer = CBR(channels, _PYRAMID, 1)
        self.stages = nn.ModuleList(_conv(_PYRAMID, _PYRAMID, 3, 1, _PYRAMID) for _ in _PYRAMID_SCALES)
        self.merge_layer = nn.Sequential(
            BR(_PYRAMID * scales),
            Shuffle(scales),
            CBR(_PYRAMID * scales, _PYRAMID, 3, groups=_PYRAMID),
            nn.Conv2d(_PYRAMID, out, 1, bias=last),
        )
        self.br = None if last else BR(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection_layer(x)  # [N, 10, h, w]
        h, w = int(x.shape[-2]), int(x.shape[-1])
        views = []
        for scale, stage in zip(_PYRAMID_SCALES, self.stages, strict=True):
            size = (
                max(_PYRAMID_MIN_PX, math.ceil(scale * h)),
                max(_PYRAMID_MIN_PX, math.ceil(scale * w)),
            )
            if scale > 1:
                views.append(adaptive_average_pool(stage(_up(x, size)), (h, w)))
            elif scale == 1:
                views.append(stage(x))
            else:
                views.append(_up(stage(adaptive_average_pool(x, size)), (h, w)))
        y = self.merge_layer(torch.cat(views, 1))  # [N, 50, h, w] -> [N, out, h, w]
        return y if self.br is None else self.br(y)


class Shuffle(nn.Module):
    """Reorder channels: those at the same place of each group come to stand together."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class Gate(nn.Module):
    """Bring an encoder map to the decoder's width, each channel scaled by a global gate."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, out, 1, bias=False), nn.Sigmoid()
        )
        self.expansion_layer = CBR(channels, out, 3, groups=math.gcd(channels, out))

    def forward(self, x: Tensor) -> Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)


class CBR(nn.Module):
    """Convolution, batch norm, PReLU under the decoder's names."""

    def __init__(self, channels: int, out: int, kernel: int, *, groups: int = 1) -> None:
        super().__init__()
        self.cbr = nn.Sequential(_conv(channels, out, kernel, 1, groups), nn.BatchNorm2d(out), nn.PReLU(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.cbr(x)


class BR(nn.Module):
    """Batch norm and PReLU under the decoder's names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.br = _bn_act(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.br(x)


def _bn_act(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))


def _conv(channels: int, out: int, kernel: int, stride: int, groups: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, padding=(kernel - 1) // 2, groups=groups, bias=False)


def _pool(x: Tensor) -> Tensor:
    # Padded zeros count: always a ninth of the sum.
    return F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=True)


def _up(x: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def _double(x: Tensor) -> Tensor:
    return _up(x, (2 * x.shape[-2], 2 * x.shape[-1]))
