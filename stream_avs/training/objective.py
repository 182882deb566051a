"""The loss of one micro-batch, weighed so that micro-batches and processes add up to one large batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_avs.models.loss import Losses, Targets, total_loss
from stream_avs.models.loss_config import LossConfig
from stream_avs.models.network import Network, NetworkOutput
from stream_avs.training.batch import Batch

LABELLED = ("dice", "cross_entropy", "sounding", "classify", "mix")
"""Terms that are means over the labelled frames."""
VALID = ("contrast", "match", "avfs")
"""Terms that are means over all frames that are no padding."""
TERMS = ("loss", *LABELLED, *VALID)
"""What `Objective` reports, in this order; "loss" is the weighted sum that is minimised."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much of the whole step a micro-batch is; all of a step's shares, over all processes, sum to 1.

    Attributes:
        labelled: its part of the frames that have a mask; weighs the terms `LABELLED`.
        valid: its part of the frames that are no padding; weighs the terms `VALID`.
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

    def __init__(self, network: Network, config: LossConfig, unroll: int = 1) -> None:
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

    def _weigh(self, output: NetworkOutput, targets: Targets, shares: Shares) -> tuple[Tensor, Tensor]:
        losses = total_loss(output, targets, self.config)
        terms = [shares.labelled * _term(losses, name) for name in LABELLED]
        terms += [shares.valid * _term(losses, name) for name in VALID]
        weights: list[float] = [getattr(self.config, name) for name in (*LABELLED, *VALID)]
        total = 0.0 * output.masks[-1].float().mean()  # something to call backward on without any label
        for weight, term in zip(weights, terms, strict=True):
            total = total + weight * term
        return total, torch.stack([total, *terms]).detach()


def _term(losses: Losses, name: str) -> Tensor:
    term: Tensor = getattr(losses, name)
    return term


def _cut(targets: Targets, window: slice) -> Targets:
    return Targets(
        masks=targets.masks[:, window],
        labelled=targets.labelled[:, window],
        valid=targets.valid[:, window],
        present=None if targets.present is None else targets.present[:, window],
    )


@torch.no_grad()
def segment(network: Network, batch: Batch) -> Tensor:
    """Logits of every frame of every clip, [B, T, classes, S, S].

    Clips longer than the network's window are run as a live stream would: the first window gives its
    frames, every further one its newest, and the queries, if any, are carried.
    """
    pictures = batch.pictures()
    frames = network.config.frames
    if not network.config.windowed or pictures.shape[1] <= frames:
        whole: NetworkOutput = network(pictures, batch.audio, every_layer=False)
        return _enlarged(whole.masks[-1], pictures)
    masks: list[Tensor] = []
    queries: Tensor | None = None
    for first in range(pictures.shape[1] - frames + 1):
        window = slice(first, first + frames)
        output: NetworkOutput = network(
            pictures[:, window], batch.audio[:, window], queries, every_layer=False
        )
        queries = output.queries
        masks.append(output.masks[-1].float() if first == 0 else output.masks[-1][:, -1:].float())
    return _enlarged(torch.cat(masks, dim=1), pictures)


def _enlarged(logits: Tensor, pictures: Tensor) -> Tensor:
    """Masks of a network that decides at a lower resolution, at the size of its pictures."""
    size = pictures.shape[-2:]
    if logits.shape[-2:] == size:
        return logits.float()
    flat = F.interpolate(logits.flatten(0, 1).float(), size=size, mode="bilinear", align_corners=False)
    return flat.unflatten(0, logits.shape[:2])
