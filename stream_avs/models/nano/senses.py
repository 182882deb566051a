"""The two frozen encoders of nano: what is seen, what is heard, what moved, and what moved with the voice.

Both keep their published weights and always run in evaluation mode, so that their results can be
computed once and stored while the rest is trained.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_avs.models.backbones.espnetv2 import EspNetV2
from stream_avs.models.backbones.mn04 import Mn04
from stream_avs.models.consensus.table import LabelTable
from stream_avs.models.nano.synchrony import Synchrony

MOMENTS = 7
"""Audio tokens of a 2 s context, one for each 0.32 s, oldest first."""
LEVELS = 25
"""Blocks of 0.08 s whose loudness is told."""
MOTION_CHANNELS = 2
_MOTION_CELL_PX = 8
_MOTION_GAIN = (20.0, 4.0)
_MOTION_MAX = 4.0
_ODDS_FLOOR = 1e-6
_ODDS_MAX = 8.0


class Sound(NamedTuple):
    """One audio context.

    Attributes:
        evidence: [F, 8, classes], log-odds that each class of the table sounds: in each moment, and
            last in the whole context.
        levels: [F, 26], loudness of 25 blocks against the loudest, and of that one; in mel units.
    """

    evidence: Tensor
    levels: Tensor


class Movements(NamedTuple):
    """How movements went along with the loudness up to each frame; see `Synchrony`.

    Attributes:
        own: [F, 40, 40].
        gain: [F, 40, 40].
        correlation: [F, 40, 40].
        seconds: [F].
        spread: [F].
    """

    own: Tensor
    gain: Tensor
    correlation: Tensor
    seconds: Tensor
    spread: Tensor


class _Frozen(nn.Module):
    def train(self, mode: bool = True) -> _Frozen:
        """Stay in evaluation mode, whatever is asked."""
        return super().train(False)


class Eye(_Frozen):
    """ESPNetv2 with its decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EspNetV2(2.0)
        self.requires_grad_(False)
        self.train(False)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the 21 VOC classes [F, 21, S / 2, S / 2] for normalised RGB [F, 3, S, S]."""
        return self.network.logits_half(image)


class Ear(_Frozen):
    """mn04 and the label table: log-mels to evidence for each class, and loudness."""

    labels: Tensor
    even: Tensor

    def __init__(self, table: LabelTable) -> None:
        super().__init__()
        self.network = Mn04()
        member = torch.zeros(len(table.entries), 527)
        for row, entry in enumerate(table.entries):
            member[row, list(entry.audioset.values())] = 1.0
        half = torch.tensor([entry.half for entry in table.entries])
        self.register_buffer("labels", member, persistent=False)
        self.register_buffer("even", torch.log(half / (1 - half)), persistent=False)
        self.requires_grad_(False)
        self.train(False)

    def forward(self, log_mel: Tensor) -> Sound:
        """Listen to log-mels [F, 1, 128, 200] of `stream_avs.audio.mn_mel`."""
        heard = self.network(log_mel)
        moments = self.network.classifier[2:](heard.features.mean(2).transpose(1, 2))  # [F, 7, 527]
        tags = torch.cat([moments, heard.logits[:, None]], dim=1)  # [F, 8, 527]
        # noisy-or: log(1 - p) of all labels of a class, added up
        silent = F.logsigmoid(-tags) @ self.labels.T
        none = silent.exp().clamp(_ODDS_FLOOR, 1 - _ODDS_FLOOR)
        odds = torch.log1p(-none) - none.log() - self.even
        return Sound(evidence=odds.clamp(-_ODDS_MAX, _ODDS_MAX), levels=_levels(log_mel))


def luminance(pixels: Tensor) -> Tensor:
    """Brightness 0..1, [F, S, S], of RGB uint8 [F, 3, S, S]."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=pixels.device).view(1, 3, 1, 1) / 255.0
    return (pixels.float() * weights).sum(1)


def motion(now: Tensor, before: Tensor) -> Tensor:
    """What moved: mean and largest change of brightness in each cell of 8 px.

    Args:
        now: [F, S, S] in 0..1.
        before: of the frame before; `now` itself where there is none.

    Returns:
        [F, 2, S / 8, S / 8], 0..4.
    """
    change = (now - before).abs()[:, None]
    mean = F.avg_pool2d(change, _MOTION_CELL_PX) * _MOTION_GAIN[0]
    largest = F.max_pool2d(F.avg_pool2d(change, 2), _MOTION_CELL_PX // 2) * _MOTION_GAIN[1]
    return torch.cat([mean, largest], dim=1).clamp(max=_MOTION_MAX)


def movements(known: Synchrony) -> Movements:
    """Of one frame."""
    maps = (torch.from_numpy(x)[None] for x in (known.own, known.gain, known.correlation))
    numbers = (torch.tensor([x], dtype=torch.float32) for x in (known.seconds, known.spread))
    return Movements(*maps, *numbers)


def loudness(sound: Sound) -> float:
    """Of the newest 0.08 s of the first context, in mel units (1 is 21.7 dB)."""
    return float(sound.levels[0, LEVELS - 1] + sound.levels[0, LEVELS])


def _levels(log_mel: Tensor) -> Tensor:
    level = log_mel.mean((1, 2)).unflatten(1, (LEVELS, -1)).mean(2)  # [F, 25]
    loudest = level.amax(1, keepdim=True)
    return torch.cat([level - loudest, loudest], dim=1)
