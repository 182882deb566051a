"""From the two towers to mask logits (AVSAC eq 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stream_avs.models.avsac.config import AvsacConfig

_UPSAMPLE = 4


class MaskHead(nn.Module):
    """M = Linear(F_AGV + MLP(F_AGV . F_VGA)), at stride 4.

    The paper's product runs over the channels and leaves one map for each query; MLP takes these to
    the width of F_AGV. F_AGV at stride 4 is made as in AVSegFormer: the tower's finest level enlarged,
    added to the image encoder's stride-4 map, a 3x3 convolution. Linear is AVSegFormer's: 3x3 to half
    the width, enlarge four times, 3x3 to an eighth, 1x1 to the classes.
    """

    def __init__(self, config: AvsacConfig, finest_channels: int) -> None:
        super().__init__()
        d, hidden = config.d, config.mask_hidden
        self.lateral = nn.Sequential(nn.Conv2d(finest_channels, d, 1), nn.GroupNorm(32, d))
        self.smooth = nn.Sequential(nn.Conv2d(d, d, 3, padding=1), nn.GroupNorm(32, d), nn.ReLU())
        self.mlp = nn.Sequential(
            nn.Conv2d(config.queries, hidden, 1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 1), nn.ReLU(),
            nn.Conv2d(hidden, d, 1),
        )  # fmt: skip
        self.reduce = nn.Conv2d(d, d // 2, 3, padding=1)
        self.refine = nn.Conv2d(d // 2, d // 8, 3, padding=1)
        self.classify = nn.Conv2d(d // 8, config.classes, 1)

    def feature(self, finest: Tensor, tower: Tensor) -> Tensor:
        """F_AGV at stride 4.

        Args:
            finest: the image encoder's finest map [F, C, h, w].
            tower: the finest level of F_AGV [F, d, h / 2, w / 2].

        Returns:
            [F, d, h, w].
        """
        wide = F.interpolate(tower, size=finest.shape[-2:], mode="bilinear", align_corners=False)
        feature: Tensor = self.smooth(self.lateral(finest) + wide)
        return feature

    def forward(self, feature: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Apply eq 1.

        Args:
            feature: F_AGV [F, d, h, w].
            queries: F_VGA [F, N, d].

        Returns:
            Logits [F, classes, 4 h, 4 w], and the channel mean [F, h, w] of what Linear is applied to.
        """
        product = torch.einsum("fdhw,fnd->fnhw", feature, queries)
        joint = feature + self.mlp(product)
        x = self.reduce(joint)
        size = (_UPSAMPLE * x.shape[-2], _UPSAMPLE * x.shape[-1])
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        logits: Tensor = self.classify(F.relu(self.refine(x)))
        return logits, joint.mean(1)
