"""The steps of a live stream, as modules with static shapes and explicit state: what is exported.

Only the newest frame's mask is computed. `WindowStep` takes the frames of a window each time, and
`EncodeStep` and `FuseStep` are its two halves for a caller that keeps each frame's features.
`CausalStep` takes one frame and carries what older frames left, so that everything is computed
once; it equals the causal network run over the whole stream.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stream_avs.errors import ConfigError
from stream_avs.models.ccformer.ccformer import CCFormer, Features, Integrated
from stream_avs.models.ccformer.config import Mode
from stream_avs.models.ccformer.early_integration import Context


class StepResult(NamedTuple):
    """The newest frame of each stream.

    Attributes:
        mask: logits [B, classes, H, W].
        sounding: logit [B] that anything visible sounds.
        queries: [B, N, d], inter-frame queries for the next step.
    """

    mask: Tensor
    sounding: Tensor
    queries: Tensor


class EncodeStep(nn.Module):
    """First half: each frame alone. Its results can be kept while the window slides over them."""

    def __init__(self, network: CCFormer) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, audio: Tensor) -> tuple[list[Tensor], Tensor]:
        """Encode.

        Args:
            frames: float [B, T, 3, H, W], RGB in 0..1.
            audio: [B, T, *audio_shape].

        Returns:
            Per scale [B, T, h * w, d], and [B, T, M, d].
        """
        features = self.network.encode(frames, audio)
        return features.visual, features.audio


class FuseStep(nn.Module):
    """Second half: the frames of the window meet.

    Args:
        network: the network.
        input_px: side of the square images the features come from.
    """

    def __init__(self, network: CCFormer, input_px: int) -> None:
        super().__init__()
        self.network = network
        self.sizes = network.sizes(input_px, input_px)

    def forward(self, visual: list[Tensor], audio: Tensor, queries: Tensor, reset: Tensor) -> StepResult:
        """Segment the newest frame.

        Args:
            visual: per scale [B, T, h * w, d], oldest frame first.
            audio: [B, T, M, d].
            queries: [B, N, d], from the step before; ignored without carry.
            reset: bool [B], True starts from the learned queries.
        """
        network = self.network
        features = Features(visual=visual, audio=audio, sizes=self.sizes)
        offered = network.offer(features)
        # the finest scale goes to the mask feature alone, so older frames need not enhance theirs
        features = replace(features, visual=[visual[0][:, -1:], *visual[1:]])
        T = audio.shape[1]
        mask = network.time_mask(T, audio.device)
        integrated = network.integrate(features, offered, mask)
        path = network.decoder.intra_path(network.intra_queries(integrated.audio), integrated.memory, mask)
        newest = path.layers[-1][:, -1]
        if network.config.iti:
            span = network.config.frames if network.config.mode is Mode.CAUSAL else T
            start = network.decoder.start(queries, reset, audio.shape[0])
            recent = [x[:, -span:] for x in path.heard]
            queries = network.decoder.inter_path(start[:, None], recent, None)[-1][:, 0]
            newest = newest + queries  # eq 10
        return _segment(network, integrated.newest(), audio[:, -1:], newest, queries)


class WindowStep(nn.Module):
    """One window in, the newest frame's mask out.

    Args:
        network: the network.
        input_px: side of the square images.
    """

    def __init__(self, network: CCFormer, input_px: int) -> None:
        super().__init__()
        self.encode = EncodeStep(network)
        self.fuse = FuseStep(network, input_px)

    def forward(self, frames: Tensor, audio: Tensor, queries: Tensor, reset: Tensor) -> StepResult:
        """Segment the newest frame.

        Args:
            frames: float [B, T, 3, H, W], RGB in 0..1, oldest first.
            audio: [B, T, *audio_shape].
            queries: [B, N, d], from the step before; ignored without carry.
            reset: bool [B], True starts from the learned queries.
        """
        return self.fuse(*self.encode(frames, audio), queries, reset)


class CausalState(NamedTuple):
    """What a causal stream remembers of its R = frames - 1 older frames.

    Attributes:
        keys: EIM's visual keys, per scale [B, R, h * w, d].
        values: EIM's visual values, per scale [B, R, h * w, d].
        audio: original audio [B, R, M, d].
        asked: intra-frame queries before each ITI layer [B, R, N, d].
        heard: intra-frame queries after each ITI layer [B, R, N, d].
        queries: inter-frame queries that left the newest frame [B, N, d].
        known: bool [B, R], False where the stream has no such frame yet.
    """

    keys: list[Tensor]
    values: list[Tensor]
    audio: Tensor
    asked: list[Tensor]
    heard: list[Tensor]
    queries: Tensor
    known: Tensor


class CausalStep(nn.Module):
    """One frame in, its mask out; equal, to rounding, to the causal network over the whole stream.

    Args:
        network: in causal mode.
        input_px: side of the square images.

    Raises:
        ConfigError: the network runs in window mode.
    """

    def __init__(self, network: CCFormer, input_px: int) -> None:
        super().__init__()
        if network.config.mode is not Mode.CAUSAL:
            raise ConfigError(
                "the network runs in window mode", "Use WindowStep, or set model.mode to causal"
            )
        self.network = network
        self.sizes = network.sizes(input_px, input_px)

    def initial_state(self, batch: int) -> CausalState:
        """State at the start of `batch` streams."""
        network, config = self.network, self.network.config
        older, like = config.frames - 1, network.decoder.position

        def zeros(*shape: int) -> Tensor:
            return like.new_zeros(batch, older, *shape, config.d)

        scales = [zeros(h * w) for h, w in self.sizes] if config.vae else []
        layers = [zeros(config.queries) for _ in range(config.ici_layers * config.iti_layers * config.iti)]
        return CausalState(
            keys=scales,
            values=[x.clone() for x in scales],
            audio=zeros(network.audio_tokens),
            asked=layers,
            heard=[x.clone() for x in layers],
            queries=network.no_queries(batch),
            known=torch.zeros(batch, older, dtype=torch.bool, device=like.device),
        )

    def forward(
        self, frame: Tensor, audio: Tensor, state: CausalState, reset: Tensor
    ) -> tuple[Tensor, Tensor, CausalState]:
        """Segment one frame.

        Args:
            frame: float [B, 3, H, W], RGB in 0..1.
            audio: [B, *audio_shape].
            state: from the step before, or `initial_state`.
            reset: bool [B], True forgets everything older.

        Returns:
            Mask logits [B, classes, H, W], sounding logit [B], and the state for the next step.
        """
        network = self.network
        features = network.encode(frame[:, None], audio[:, None])
        offered = network.offer(features)
        known = torch.cat([state.known & ~reset[:, None], torch.ones_like(reset)[:, None]], dim=1)

        def append(older: Tensor, new: Tensor) -> Tensor:
            # what a reset stream remembers is cut off here, so that not even NaN can pass the masks
            return torch.cat([older.masked_fill(reset[:, None, None, None], 0), new], dim=1)

        keys = [append(old, new) for old, new in zip(state.keys, offered.keys, strict=True)]
        values = [append(old, new) for old, new in zip(state.values, offered.values, strict=True)]
        heard_audio = append(state.audio, offered.audio)
        mask = known[:, None]  # [B, 1, R + 1]
        context = Context(keys=keys, values=values, audio=heard_audio)
        integrated = network.integrate(features, context, mask)

        remembered = [x.masked_fill(reset[:, None, None, None], 0) for x in state.asked]
        path = network.decoder.intra_path(
            network.intra_queries(integrated.audio), integrated.memory, mask, remembered
        )
        asked = [torch.cat([old, new], dim=1) for old, new in zip(remembered, path.asked, strict=True)]
        heard = [append(old, new) for old, new in zip(state.heard, path.heard, strict=True)]
        newest, queries = path.layers[-1][:, 0], state.queries
        if network.config.iti:
            start = network.decoder.start(state.queries, reset, frame.shape[0])
            queries = network.decoder.inter_path(start[:, None], heard, mask)[-1][:, 0]
            newest = newest + queries  # eq 10
        result = _segment(network, integrated, features.audio, newest, queries)
        following = CausalState(
            keys=[x[:, 1:] for x in keys],
            values=[x[:, 1:] for x in values],
            audio=heard_audio[:, 1:],
            asked=[x[:, 1:] for x in asked],
            heard=[x[:, 1:] for x in heard],
            queries=queries,
            known=known[:, 1:],
        )
        return result.mask, result.sounding, following


def _segment(
    network: CCFormer, integrated: Integrated, audio: Tensor, combined: Tensor, queries: Tensor
) -> StepResult:
    """Mask and score of one frame: `audio` is the original [B, 1, M, d], `combined` [B, N, d] of eq 10."""
    feature = network.mask_feature(integrated, audio)
    layer = network.config.ici_layers - 1
    mask = network.head(combined, network.decoder.reference_points(), feature, layer)
    sounding = network.sounding_logit(combined, integrated.audio.flatten(0, 1), mask)
    return StepResult(mask=mask, sounding=sounding, queries=queries)
