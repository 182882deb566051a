"""What is before and after the interaction: the ASPP of each stage, and the decoder over all stages."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class DilatedSum(nn.Module):
    """ASPP in the form of DeepLab-v2: parallel 3x3 convolutions of different dilation, added up.

    Args:
        channels: of the input.
        d: of the output.
        dilations: one convolution for each.
    """

    def __init__(self, channels: int, d: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(channels, d, 3, padding=r, dilation=r) for r in dilations)
        for branch in self.branches:
            nn.init.normal_(branch.weight, std=0.01)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """[F, channels, h, w] -> [F, d, h, w]."""
        first, *others = self.branches
        total: Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        return total


class ResidualUnit(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, added to the input (RefineNet's residual convolution unit)."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(d, d, 3, padding=1)
        self.conv2 = nn.Conv2d(d, d, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[F, d, h, w] -> the same."""
        update: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        return x + update


class Fusion(nn.Module):
    """Join a stage with what comes from the coarser ones, and enlarge to the next finer size.

    Args:
        d: channels.
        coarsest: there is nothing coarser to join with.
    """

    def __init__(self, d: int, *, coarsest: bool) -> None:
        super().__init__()
        self.stage = None if coarsest else ResidualUnit(d)
        self.joint = ResidualUnit(d)

    def forward(self, stage: Tensor, coarser: Tensor | None, size: tuple[int, int]) -> Tensor:
        """[F, d, h, w], [F, d, h, w] or None -> [F, d, *size]."""
        if self.stage is not None and coarser is not None:
            stage = coarser + self.stage(stage)
        return _enlarged(self.joint(stage), size)


class Decoder(nn.Module):
    """From the maps of all stages to mask logits (panoptic-FPN in the paper's figure).

    Args:
        d: channels of the maps.
        stages: how many.
        classes: of the mask.
    """

    def __init__(self, d: int, stages: int, classes: int) -> None:
        super().__init__()
        self.fusions = nn.ModuleList(Fusion(d, coarsest=k == stages - 1) for k in range(stages))
        self.reduce = nn.Conv2d(d, d // 2, 3, padding=1)
        self.refine = nn.Conv2d(d // 2, 32, 3, padding=1)
        self.classify = nn.Conv2d(32, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps [F, d, h, w], fine to coarse -> logits [F, classes, 4 h, 4 w] of the finest."""
        joint: Tensor | None = None
        for k in reversed(range(len(maps))):
            h, w = maps[k - 1].shape[-2:] if k else (2 * maps[0].shape[-2], 2 * maps[0].shape[-1])
            joint = self.fusions[k](maps[k], joint, (h, w))
        reduced = self.reduce(joint)
        wide = _enlarged(reduced, (2 * reduced.shape[-2], 2 * reduced.shape[-1]))
        logits: Tensor = self.classify(F.relu(self.refine(wide)))
        return logits


def _enlarged(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
