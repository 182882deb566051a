"""The loss of one micro-batch, weighed so that micro-batches and processes add up to one large batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stream_avs.models.ccformer.ccformer import CCFormer, CCFormerOutput
from stream_avs.models.ccformer.loss import LossConfig, Targets, total_loss
from stream_avs.training.batch import Batch

TERMS = ("loss", "dice", "cross_entropy", "contrast", "sounding")
"""What `Objective` reports, in this order; "loss" is the weighted sum that is minimised."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much of the whole step a micro-batch is; all of a step's shares, over all processes, sum to 1.

    Attributes:
        labelled: its part of the frames that have a mask; weighs the mask and sounding terms.
        valid: its part of the frames that are no padding; weighs BCL.
    """

    labelled: float
    valid: float


class Objective(nn.Module):
    """A network and its loss as one module, which is what runs in parallel over several processes.

    Args:
        network: the one to train.
        config: weight of each term.
        unroll: consecutive windows of the clip, one frame apart; the inter-frame queries that leave
            one enter the next, and gradients flow back along them.
    """

    def __init__(self, network: CCFormer, config: LossConfig, unroll: int = 1) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.unroll = unroll

    def forward(self, batch: Batch, shares: Shares) -> tuple[Tensor, Tensor]:
        """Compute the micro-batch's part of the step's loss.

        Returns:
            The part to call backward on, a scalar; and the terms, float32 [len(TERMS)], detached,
            weighed alike, so that sums over a step are means over its frames.
        """
        pictures, targets = batch.pictures(), batch.targets()
        frames = pictures.shape[1] - self.unroll + 1
        queries: Tensor | None = None
        total, terms = pictures.new_zeros(()), pictures.new_zeros(len(TERMS))
        for first in range(self.unroll):
            window = slice(first, first + frames)
            output = self.network(pictures[:, window], batch.audio[:, window], queries)
            queries = output.queries
            part, reported = self._weigh(output, _cut(targets, window), shares)
            total, terms = total + part / self.unroll, terms + reported / self.unroll
        return total, terms

    def _weigh(self, output: CCFormerOutput, targets: Targets, shares: Shares) -> tuple[Tensor, Tensor]:
        losses = total_loss(output, targets, self.config)
        weigh = self.config
        contrast = shares.valid * losses.contrast
        dice, cross_entropy, sounding = (
            shares.labelled * term for term in (losses.dice, losses.cross_entropy, losses.sounding)
        )
        total = (
            weigh.dice * dice
            + weigh.cross_entropy * cross_entropy
            + weigh.contrast * contrast
            + weigh.sounding * sounding
            + 0.0 * output.masks[-1].float().mean()  # something to call backward on when no frame is labelled
        )
        return total, torch.stack([total, dice, cross_entropy, contrast, sounding]).detach()


def _cut(targets: Targets, window: slice) -> Targets:
    return Targets(
        masks=targets.masks[:, window], labelled=targets.labelled[:, window], valid=targets.valid[:, window]
    )


@torch.no_grad()
def segment(network: CCFormer, batch: Batch) -> Tensor:
    """Logits of every frame of every clip, [B, T, classes, S, S].

    In window mode clips longer than the network's window are run as a live stream would: the first
    window gives its frames, every further one its newest, and the queries are carried.
    """
    pictures = batch.pictures()
    frames = network.config.frames
    if network.config.mode != "window" or pictures.shape[1] <= frames:
        return network(pictures, batch.audio, every_layer=False).masks[-1].float()
    masks, queries = [], None
    for first in range(pictures.shape[1] - frames + 1):
        window = slice(first, first + frames)
        output = network(pictures[:, window], batch.audio[:, window], queries, every_layer=False)
        queries = output.queries
        masks.append(output.masks[-1].float() if first == 0 else output.masks[-1][:, -1:].float())
    return torch.cat(masks, dim=1)
