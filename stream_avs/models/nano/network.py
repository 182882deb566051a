"""Nano: eye and ear must agree (C3N's cognitive consensus), and a CCFormer corrects where they are wrong.

The logit that class c sounds at pixel x is

    k (log seen_c(x) + log heard_c - 2 log 0.55) + r(x)

against 0 for "nothing sounds here". `seen` is ESPNetv2's probability; `heard` comes from the
`Listener`, which weighs mn04's evidence for what sounds at the very moment of the frame; `r`, capped, is
the mask of the trunk, a CCFormer. The trunk is shown where eye and ear agree, where people and
things are, what moves, how loud it is, and what has moved with the loudness for some seconds. It is not
shown the encoders' maps: with some eighty pictures and four talkers to learn from, it learned those by
heart and grew worse on others. Listener and trunk treat all classes but people alike, so a class without
a single training sound can still be found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_avs.models.backbones.pooling import adaptive_average_pool
from stream_avs.models.nano.config import NanoConfig
from stream_avs.models.nano.senses import LEVELS, MOMENTS, MOTION_CHANNELS, Movements, Sound
from stream_avs.models.nano.synchrony import CELLS, FORGET_S
from stream_avs.models.nano.trunk import Trunk, pack

_AGREE = -2 * math.log(0.55)
_SEEN_FLOOR = -7.0
PERSON = 15
"""VOC id of people: they alone are told apart from other things in what the trunk is shown."""
_POOL = 4
_VOICED = 3
_MAPS = 3 + 4 * MOTION_CHANNELS + 3 * _VOICED
_FACTS = 4 + LEVELS + 1 + 2
_OWN_GAIN, _OWN_MAX = 40.0, 4.0
_LEAST_GAIN, _EVEN_GAIN = 1e-3, 1e-2
_GAIN_RANGE = (-2.0, 3.0)
_KNOWN_S = (0.3, 1.4)
"""`Movements.seconds` from which on movements count, and count in full: 0.33 s and 2.4 s after a cut."""
_SPREAD_SCALE = 10.0
_RESIDUAL_CAP, _LEAK = 1.0, 0.05
"""The trunk may forbid as it likes and add hardly more than this: what the eye sees nowhere stays out."""
_WHOLE_FIRST, _TAKE_LITTLE = 8.0, -8.0
"""The listener begins as the evidence of the whole context."""


class Listener(nn.Module):
    """How likely each class sounds right now; the same small network for every class.

    It weighs the tagger's evidence of the moments and of the whole context, and may take away from
    it, by what the evidence and the loudness do over time. It can never hear what the tagger hears
    nowhere: trained on some hundred sounds, it must not make up its own idea of a class.

    Args:
        hidden: width.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, MOMENTS + 2)
        self.layers = nn.Sequential(
            nn.Linear(MOMENTS + 2 + LEVELS + 1, hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(),
            last,
        )  # fmt: skip
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([0.0] * MOMENTS + [_WHOLE_FIRST, _TAKE_LITTLE]))

    def forward(self, evidence: Tensor, levels: Tensor) -> Tensor:
        """[F, 8, classes] and [F, 26] of `Sound` -> logits [F, classes]."""
        whole = evidence[:, -1]
        classes = whole.shape[1]
        best = whole[:, None].expand(-1, classes, -1)
        others = best.masked_fill(torch.eye(classes, dtype=torch.bool, device=best.device), -8.0).amax(2)
        profile = evidence.transpose(1, 2)  # [F, classes, 8]
        facts = torch.cat([profile, others[..., None], levels[:, None].expand(-1, classes, -1)], dim=2)
        said = self.layers(facts / 4.0)
        weights = said[..., :-1].softmax(-1)
        return (weights * profile).sum(-1) - F.softplus(said[..., -1])


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What trunk and mask need of a picture.

    Attributes:
        motion: [F, 2, S / 8, S / 8].
        movements: up to the frame.
        log_seen: [F, 21, h, w], log-probability of each VOC class, at any size.
    """

    motion: Tensor
    movements: Movements
    log_seen: Tensor


@dataclass(frozen=True, kw_only=True)
class NanoOutput:
    """What training looks at.

    Attributes:
        logits: after the last decoder layer [B, T, 1 + classes, h, w]; channel 0 is nothing.
        heard: [B, T, classes], logits of the listener.
        residual: [B, T, 1, h', w'], mask of the trunk.
        sounding: [B, T], logit that anything visible sounds.
        queries: [B, N, d] that leave the clip.
    """

    logits: Tensor
    heard: Tensor
    residual: Tensor
    sounding: Tensor
    queries: Tensor


class Nano(nn.Module):
    """Listener and trunk; the senses are apart, since they are not trained.

    Args:
        config: dimensions.
        ids: VOC id of each class of the label table, in its order.
    """

    ids: Tensor

    def __init__(self, config: NanoConfig, ids: Sequence[int]) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("ids", torch.tensor(list(ids)), persistent=False)
        self.listener = Listener(config.listener_hidden)
        self.sharpness = nn.Parameter(torch.tensor(3.0))
        self.offset = nn.Parameter(torch.tensor(_AGREE))
        self.person = list(ids).index(PERSON)
        self.trunk = Trunk(config.trunk, map_channels=_MAPS, audio_channels=_FACTS)

    def hear(self, sound: Sound) -> Tensor:
        """Logits [F, classes] that each class sounds now."""
        if not self.config.refine_audio:
            return sound.evidence[:, -1]
        # evidence of single moments is noisy: it may end a sound early, not begin one
        return torch.minimum(self.listener(sound.evidence, sound.levels), sound.evidence[:, -1])

    def audio_tokens(self, sound: Sound, heard: Tensor, movements: Movements) -> Tensor:
        """[F, 7, channels] for the trunk: a voice, anything, how loud, and how long it was watched."""
        moments, said = sound.evidence[:, :-1], heard.detach()
        whole = torch.stack([said[:, self.person], said.amax(1)], dim=1)
        watched = torch.stack([movements.seconds / FORGET_S, movements.spread * _SPREAD_SCALE], dim=1)
        if not self.config.synchrony:
            watched = torch.zeros_like(watched)
        every = torch.cat([whole / 4.0, sound.levels, watched], dim=1)[:, None].expand(-1, MOMENTS, -1)
        own = torch.stack([moments[..., self.person], moments.amax(2)], dim=2) / 4.0
        return torch.cat([own, every], dim=2)

    def maps(self, seen: Seen, heard: Tensor) -> Tensor:
        """Packed maps [F, K] for the trunk: people, things, what agrees with the sound, what moves."""
        size = (seen.motion.shape[-2] // _POOL, seen.motion.shape[-1] // _POOL)
        probability = adaptive_average_pool(seen.log_seen.exp(), size)
        agreement = probability[:, self.ids] * heard.detach().sigmoid()[..., None, None]
        moved = seen.motion if self.config.motion else torch.zeros_like(seen.motion)
        moved = torch.cat([F.avg_pool2d(moved, _POOL), F.max_pool2d(moved, _POOL)], dim=1)
        agreed = agreement.sum(1, keepdim=True)
        voiced = self._voiced(seen.movements)
        side = CELLS // size[0]
        most = F.max_pool2d(voiced, side)
        maps = [1 - probability[:, :1], probability[:, PERSON : PERSON + 1], agreed, moved, agreed * moved]
        fine = torch.cat([*maps, F.avg_pool2d(voiced, side), most, agreed * most], dim=1)
        return pack(fine, F.avg_pool2d(fine, 2, ceil_mode=True))

    def _voiced(self, movements: Movements) -> Tensor:
        """[F, 3, 40, 40]: what moved last; what has moved with the loudness, by gain and by correlation."""
        least, full = _KNOWN_S
        known = ((movements.seconds - least) / (full - least)).clamp(0, 1)[:, None, None]
        own = (movements.own * _OWN_GAIN).clamp(max=_OWN_MAX)
        gain = (movements.gain.clamp(min=_LEAST_GAIN) / _EVEN_GAIN).log() / 2
        maps = [own, known * gain.clamp(*_GAIN_RANGE), known * 2 * movements.correlation]
        shown = (self.config.motion, self.config.synchrony, self.config.synchrony)
        return torch.stack(
            [m if on else torch.zeros_like(m) for m, on in zip(maps, shown, strict=True)], dim=1
        )

    def combine(self, log_seen: Tensor, heard: Tensor, residual: Tensor | None = None) -> Tensor:
        """Class logits [F, 1 + classes, h, w] at the size of `log_seen` [F, 21, h, w].

        Args:
            log_seen: of the picture.
            heard: [F, classes], logits.
            residual: [F, 1, h', w'], the trunk's mask; None leaves it out, as live decisions do, which
                average it over whole objects instead.
        """
        seen = log_seen[:, self.ids].clamp(min=_SEEN_FLOOR)
        agree = seen + F.logsigmoid(heard)[..., None, None] + self.offset
        logits = self.sharpness * agree
        if residual is not None and self.config.residual:
            logits = logits + _capped(_resized(residual, logits.shape[-2:]))
        return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)

    def forward(self, seen: Seen, sound: Sound, shape: tuple[int, int]) -> NanoOutput:
        """Run whole clips from stored senses.

        Args:
            seen: of F = B * T frames.
            sound: of the same frames.
            shape: (B, T).
        """
        heard = self.hear(sound)
        output = self.trunk(
            self.maps(seen, heard).unflatten(0, shape),
            self.audio_tokens(sound, heard, seen.movements).unflatten(0, shape),
            every_layer=False,
        )
        logits = self.combine(seen.log_seen, heard, output.masks[-1].flatten(0, 1)).unflatten(0, shape)
        return NanoOutput(
            logits=logits,
            heard=heard.unflatten(0, shape),
            residual=output.masks[-1],
            sounding=output.sounding,
            queries=output.queries,
        )


def _capped(residual: Tensor) -> Tensor:
    cap = torch.full_like(residual, _RESIDUAL_CAP)
    # 0 at 0; the leak keeps a gradient above the cap
    return F.softplus(cap) - F.softplus(cap - residual) + _LEAK * residual.relu()


def _resized(x: Tensor, size: tuple[int, ...]) -> Tensor:
    if x.shape[-2:] == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)
