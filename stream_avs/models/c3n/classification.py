"""What C3N's classifiers learn where they are not published ones: the classes that sound and are seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def classification_loss(classified: Sequence[Tensor], present: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy with the sounding classes of each frame, which share the probability evenly.

    A visual classifier cannot know which of two things seen makes the sound, and so learns to see both.

    Args:
        classified: logits [B, T, K] of each classifier.
        present: bool [B, T, K], classes in the true mask.
        counted: bool [B, T], frames that count; those without any class do not.

    Returns:
        Scalar, mean over classifiers and frames.
    """
    counted = counted & present.any(-1)
    if not bool(counted.any()):
        return classified[0].new_zeros((), dtype=torch.float32)
    wanted = present[counted].float()
    wanted = wanted / wanted.sum(-1, keepdim=True)
    terms = [-(wanted * logits[counted].float().log_softmax(-1)).sum(-1).mean() for logits in classified]
    return torch.stack(terms).mean()
