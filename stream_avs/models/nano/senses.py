"""The two frozen encoders of nano: what is seen, what is heard, what moved.

Both keep their published weights and always run in evaluation mode, so that their results can be
computed once and stored while the rest is trained.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_avs.models.backbones.espnetv2 import CLASSES, EspNetV2
from stream_avs.models.backbones.mn04 import EMBEDDING, Mn04
from stream_avs.models.consensus.table import LabelTable

FINE_CHANNELS = 48
"""Of the decoder's map at stride 8."""
COARSE_CHANNELS = 512
"""Of the encoder's map at stride 16."""
SEEN_CLASSES = CLASSES
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


class Sight(NamedTuple):
    """One picture.

    Attributes:
        fine: [F, 48, S / 8, S / 8].
        coarse: [F, 512, S / 16, S / 16].
        logits: [F, 21, S / 2, S / 2], VOC classes, 0 is background.
    """

    fine: Tensor
    coarse: Tensor
    logits: Tensor


class Sound(NamedTuple):
    """One audio context.

    Attributes:
        tokens: [F, 7, 384].
        evidence: [F, 8, classes], log-odds that each class of the table sounds: in each moment, and
            last in the whole context.
        levels: [F, 26], loudness of 25 blocks against the loudest, and of that one; in mel units.
    """

    tokens: Tensor
    evidence: Tensor
    levels: Tensor


class _Frozen(nn.Module):
    def train(self, mode: bool = True) -> _Frozen:
        """Stay in evaluation mode, whatever is asked."""
        return super().train(False)


class Eye(_Frozen):
    """ESPNetv2 with its decoder: pictures to maps and class logits."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EspNetV2(2.0)
        self.requires_grad_(False)
        self.train(False)

    def forward(self, image: Tensor) -> Sight:
        """Look at normalised RGB [F, 3, S, S]; S a multiple of 16."""
        net = self.network
        taps = net.taps(image)
        z = net.bu_dec_l1(taps.f4)
        fine = net.bu_dec_l2(net.bu_br_l2(_double(z) + net.merge_enc_dec_l2(taps.f3)))
        z = net.bu_dec_l3(net.bu_br_l3(_double(fine) + net.merge_enc_dec_l3(taps.f2)))
        logits = net.bu_dec_l4(net.bu_br_l4(_double(z) + net.merge_enc_dec_l4(taps.f1)))
        return Sight(fine=fine, coarse=taps.f4, logits=logits)


class Ear(_Frozen):
    """mn04 and the label table: log-mels to tokens, evidence for each class, loudness."""

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
        tokens = heard.features.mean(2).transpose(1, 2)  # [F, 7, 384]
        moments = self.network.classifier[2:](tokens)
        tags = torch.cat([moments, heard.logits[:, None]], dim=1)  # [F, 8, 527]
        # noisy-or: log(1 - p) of all labels of a class, added up
        silent = F.logsigmoid(-tags) @ self.labels.T
        none = silent.exp().clamp(_ODDS_FLOOR, 1 - _ODDS_FLOOR)
        odds = torch.log1p(-none) - none.log() - self.even
        return Sound(tokens=tokens, evidence=odds.clamp(-_ODDS_MAX, _ODDS_MAX), levels=_levels(log_mel))


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


def _levels(log_mel: Tensor) -> Tensor:
    level = log_mel.mean((1, 2)).unflatten(1, (LEVELS, -1)).mean(2)  # [F, 25]
    loudest = level.amax(1, keepdim=True)
    return torch.cat([level - loudest, loudest], dim=1)


def _double(x: Tensor) -> Tensor:
    size = (2 * x.shape[-2], 2 * x.shape[-1])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


AUDIO_CHANNELS = EMBEDDING
