"""What nano makes of what it has just seen and heard: one step of tensors in and tensors out.

Everything that costs time after the two encoders, in one module, so that it can be compiled whole.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from stream_avs.models.ccformer.step import CausalState, CausalStep
from stream_avs.models.nano.network import Nano, Seen
from stream_avs.models.nano.senses import Movements, Sound, motion


class Thought(NamedTuple):
    """About the newest frame.

    Attributes:
        sounds: [h, w], probability that the pixel sounds.
        winner: uint8 [h, w], id of the likeliest class heard; never 0.
        seen: [h, w], how sure the eye is of `winner`, 0..1.
        residual: [1, 1, h', w'], the trunk's mask, logits.
        sounding: [1], how sure that anything visible sounds, 0..1.
        causal: what the trunk remembers.
    """

    sounds: Tensor
    winner: Tensor
    seen: Tensor
    residual: Tensor
    sounding: Tensor
    causal: CausalState


class Mind(nn.Module):
    """Trunk, and consensus of eye and ear.

    Args:
        network: holds the weights.
        causal: of its trunk.
    """

    def __init__(self, network: Nano, causal: CausalStep) -> None:
        super().__init__()
        self.network = network
        self.causal = causal

    def forward(
        self,
        logits: Tensor,
        grey: Tensor,
        before: Tensor,
        movements: Movements,
        evidence: Tensor,
        levels: Tensor,
        heard: Tensor,
        audible: Tensor,
        state: CausalState,
        first: Tensor,
    ) -> Thought:
        """Think about one frame.

        Args:
            logits: of the eye [1, 21, h, w].
            grey: brightness [1, S, S], 0..1.
            before: of the frame before; `grey` itself where there is none.
            movements: up to this frame.
            evidence, levels: of `Sound`.
            heard: [1, classes], logits of the listener.
            audible: bool [classes], which may be in the mask.
            state: from the step before, or initial.
            first: bool [1], True carries nothing.
        """
        seen = Seen(motion=motion(grey, before), movements=movements, log_seen=logits.log_softmax(1))
        sound = Sound(evidence=evidence, levels=levels)
        residual, sounding, state = self.causal(
            self.network.maps(seen, heard),
            self.network.audio_tokens(sound, heard, movements),
            state,
            first,
        )
        sounds, winner = self.choose(self.network.combine(seen.log_seen, heard)[0], audible)
        sure = seen.log_seen[0].gather(0, winner[None].long())[0].exp()
        return Thought(sounds, winner, sure, residual, sounding.sigmoid(), state)

    def choose(self, logits: Tensor, audible: Tensor) -> tuple[Tensor, Tensor]:
        """[1 + classes, h, w] -> `Thought.sounds` and `winner`, of the audible classes alone."""
        allowed = torch.where(audible[:, None, None], logits[1:], -torch.inf)
        probability = torch.cat([logits[:1], allowed]).softmax(0)
        return 1 - probability[0], self.network.ids[allowed.argmax(0)].to(torch.uint8)
