"""EfficientAT mn04: a MobileNetV3 of width 0.4 that tags audio with the 527 AudioSet labels.

Schmid et al., arXiv 2211.04772. Module names are those of the published weight file
(`mn04_as_mAP_432.pt`, MIT), so it loads strictly. 983 599 parameters, 23 MMAC for 2 s of audio.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

CLASSES = 527
EMBEDDING = 384
BATCH_NORM_EPS = 1e-3


class BlockSpec(NamedTuple):
    """One row of the MobileNetV3-Large table, scaled by 0.4."""

    expanded: int
    out: int
    kernel: int
    stride: int
    squeeze: int  # 0 for none
    hardswish: bool


BLOCKS = (
    BlockSpec(8, 8, 3, 1, 0, False),
    BlockSpec(24, 16, 3, 2, 0, False),
    BlockSpec(32, 16, 3, 1, 0, False),
    BlockSpec(32, 16, 5, 2, 8, False),
    BlockSpec(48, 16, 5, 1, 16, False),
    BlockSpec(48, 16, 5, 1, 16, False),
    BlockSpec(96, 32, 3, 2, 0, True),
    BlockSpec(80, 32, 3, 1, 0, True),
    BlockSpec(72, 32, 3, 1, 0, True),
    BlockSpec(72, 32, 3, 1, 0, True),
    BlockSpec(192, 48, 3, 1, 48, True),
    BlockSpec(272, 48, 3, 1, 72, True),
    BlockSpec(272, 64, 5, 2, 72, True),
    BlockSpec(384, 64, 5, 1, 96, True),
    BlockSpec(384, 64, 5, 1, 96, True),
)
STEM = 8
HIDDEN = 512


class Heard(NamedTuple):
    """What the network says about a batch of clips.

    Attributes:
        logits: [N, 527], apply a sigmoid; order of the AudioSet class list.
        embedding: [N, 384], mean of `features` over frequency and time.
        features: [N, 384, 4, T / 32], columns centred on mel frames 0, 32, 64, ...
    """

    logits: Tensor
    embedding: Tensor
    features: Tensor


class Mn04(nn.Module):
    """Log-mel in, AudioSet logits, embedding and feature map out."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(1, STEM, 3, 2, nn.Hardswish())]
        channels = STEM
        for spec in BLOCKS:
            layers.append(InvertedResidual(channels, spec))
            channels = spec.out
        layers.append(_conv(channels, EMBEDDING, 1, 1, nn.Hardswish()))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(EMBEDDING, HIDDEN),
            nn.Hardswish(),
            nn.Dropout(0.2),
            nn.Linear(HIDDEN, CLASSES),
        )

    def forward(self, log_mel: Tensor) -> Heard:
        """Tag clips.

        Args:
            log_mel: [N, 1, 128, T], see `stream_avs.audio.mn_mel`.
        """
        features = self.features(log_mel)  # [N, 384, 4, T / 32]
        embedding = features.mean((2, 3))  # [N, 384]
        return Heard(logits=self.classifier[2:](embedding), embedding=embedding, features=features)


class InvertedResidual(nn.Module):
    """Expand, depthwise, squeeze-excitation, project; the input is added where shapes allow."""

    def __init__(self, channels: int, spec: BlockSpec) -> None:
        super().__init__()
        act = nn.Hardswish if spec.hardswish else nn.ReLU
        layers: list[nn.Module] = []
        if spec.expanded != channels:
            layers.append(_conv(channels, spec.expanded, 1, 1, act()))
        layers.append(_conv(spec.expanded, spec.expanded, spec.kernel, spec.stride, act(), spec.expanded))
        if spec.squeeze:
            layers.append(ConcurrentSqueeze(spec.expanded, spec.squeeze))
        layers.append(_conv(spec.expanded, spec.out, 1, 1, None))
        self.block = nn.Sequential(*layers)
        self.residual = spec.stride == 1 and spec.out == channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.residual else y


class ConcurrentSqueeze(nn.Module):
    """Holder of the published name; this file has one squeeze, over channels."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([SqueezeExcitation(channels, squeezed)])

    def forward(self, x: Tensor) -> Tensor:
        return self.conc_se_layers[0](x)


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate from the mean over frequency and time."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.fc2(torch.relu(self.fc1(x.mean((2, 3))))))
        return x * gate[:, :, None, None]


def _conv(
    channels: int, out: int, kernel: int, stride: int, act: nn.Module | None, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, padding=(kernel - 1) // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, nn.BatchNorm2d(out, eps=BATCH_NORM_EPS, momentum=0.01)]
    if act is not None:
        layers.append(act)
    return nn.Sequential(*layers)
