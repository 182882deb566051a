"""CCAM, Cognitive Consensus guided Attention: the unified label highlights its channels and places.

The module has no parameters. Its channel weights are Grad-CAM's: the spatial mean of the gradient of
the label's class score with respect to the feature map F [C, h, w].

When no gradient is needed. Let the class score be linear in the globally pooled map,

    s = w . p + b,    p_k = 1 / (h w) sum_ij F_kij.

Then ds / dF_kij = w_k / (h w) at every place, its spatial mean is a_k = w_k / (h w), and because CCAM
normalises a over channels, a / |a| = w / |w|: the row of the classifier's weight matrix, whatever the
picture. So for the map that a linear classifier pools, the gradient form equals a table look-up, and
the network runs under `no_grad` and exports. This does not hold for earlier maps, whose scores pass
through later stages: there the gradient depends on the picture. `channel_weights_by_gradient` is the
paper's form for those; or each map gets a linear classifier of its own, and the look-up is exact
for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def channel_weights_by_gradient(score: Tensor, maps: Sequence[Tensor]) -> list[Tensor]:
    """Grad-CAM's channel weights.

    Args:
        score: [F], the class score of each frame, computed from `maps` with gradients on.
        maps: each [F, C, h, w], part of the graph of `score`.

    Returns:
        For each map [F, C], no part of any graph; the graph of `score` stays.
    """
    gradients = torch.autograd.grad(score.sum(), list(maps), retain_graph=True)
    return [gradient.mean((2, 3)) for gradient in gradients]


def channel_weights_by_row(weight: Tensor, label: Tensor) -> Tensor:
    """The same, up to a positive factor, where a linear classifier pools the map.

    Args:
        weight: [V, C], of the classifier.
        label: int64 [F].

    Returns:
        [F, C], no part of any graph.
    """
    return weight.detach()[label]


def attend(image: Tensor, channel_weights: Tensor) -> Tensor:
    """Gate the channels, then the places.

    F' = F sigmoid(a / |a|) by channel, and F'' = F' sigmoid(mean over channels of F') by place.

    Args:
        image: [F, C, h, w].
        channel_weights: [F, C], a.

    Returns:
        [F, C, h, w].
    """
    gate = F.normalize(channel_weights, dim=1).sigmoid()
    image = image * gate[:, :, None, None]
    return image * image.mean(1, keepdim=True).sigmoid()
