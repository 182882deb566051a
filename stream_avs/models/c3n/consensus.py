"""C3IM, Cross-modal Cognitive Consensus Inference: one label for what is both seen and heard."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Consensus(NamedTuple):
    """What eye and ear agree on, for F frames.

    Attributes:
        label: int64 [F], index of the class seen: the unified-modal label.
        heard: int64 [F], index of the class heard that spoke for it.
        confidence: [F], the entry of the re-weighted matrix, 0..1.
    """

    label: Tensor
    heard: Tensor
    confidence: Tensor


def infer_consensus(seen: Tensor, heard: Tensor, similarity: Tensor, power: float) -> Consensus:
    """Find the largest entry of M_cof[i, j] = P_v(i)^power S(i, j) P_a(j)^power.

    A small power flattens the confidences, so that a class which one sense barely notices still wins
    when the other sense is sure and the labels fit. The logits are taken as they are: the label is a
    choice, and no gradient flows through it.

    Args:
        seen: [F, V], logits of the visual classifier.
        heard: [F, A], logits of the audio classifier.
        similarity: [V, A], 0..1, of the labels.
        power: the paper's alpha, 0.1.
    """
    p_seen = seen.detach().softmax(-1).pow(power)
    p_heard = heard.detach().softmax(-1).pow(power)
    matrix = p_seen[:, :, None] * similarity * p_heard[:, None, :]  # [F, V, A]
    confidence, place = matrix.flatten(1).max(1)
    classes = similarity.shape[1]
    return Consensus(label=place // classes, heard=place % classes, confidence=confidence)
