"""One frame's work per mask: encode the new frame once, fuse it with what is kept of the others.

`EncodeFrame` runs on each frame alone. Its results, and what fusing leaves behind, are kept in
`frames` slots per stream in any order: nothing in the network depends on the order of older
frames, only on which they are. So the caller writes the newest frame over the oldest and shifts
nothing. Every step has static shapes and flat, explicit state: what backends compile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stream_avs.models.ccformer.ccformer import CCFormer, Features, Integrated
from stream_avs.models.ccformer.config import Mode
from stream_avs.models.ccformer.early_integration import Context
from stream_avs.models.deformable_attention import Size


class Encoded(NamedTuple):
    """One frame of each stream, alone.

    Attributes:
        finest: [B, h * w, d], the finest scale; nobody but the frame's own mask needs it.
        coarser: per other scale [B, h * w, d].
        audio: [B, M, d].
        keys: what EIM's other frames look at, per scale [B, h * w, d]; empty without VAE.
        values: shaped like `keys`.
    """

    finest: Tensor
    coarser: list[Tensor]
    audio: Tensor
    keys: list[Tensor]
    values: list[Tensor]


class Fused(NamedTuple):
    """The newest frame of each stream.

    Attributes:
        mask: logits [B, classes, H, W].
        sounding: logit [B] that anything visible sounds.
        queries: [B, N, d], inter-frame queries that leave the frame.
        asked: causal mode: intra-frame queries before each ITI layer [B, N, d]; else empty.
        heard: causal mode: intra-frame queries after each ITI layer [B, N, d]; else empty.
    """

    mask: Tensor
    sounding: Tensor
    queries: Tensor
    asked: list[Tensor]
    heard: list[Tensor]


class EncodeFrame(nn.Module):
    """The encoders, the projections, and the keys and values other frames will ask for."""

    def __init__(self, network: CCFormer) -> None:
        super().__init__()
        self.network = network

    def forward(self, frame: Tensor, audio: Tensor) -> Encoded:
        """Encode one frame of each stream.

        Args:
            frame: float [B, 3, H, W], RGB in 0..1.
            audio: [B, *audio_shape].
        """
        features = self.network.encode(frame[:, None], audio[:, None])
        offered = self.network.offer(features)
        visual = [x[:, 0] for x in features.visual]
        return Encoded(
            finest=visual[0],
            coarser=visual[1:],
            audio=features.audio[:, 0],
            keys=[x[:, 0] for x in offered.keys],
            values=[x[:, 0] for x in offered.values],
        )


class CausalFuse(nn.Module):
    """Segment the newest frame, which looks at itself and at older frames.

    Args:
        network: in causal mode.
        sizes: (h, w) of every scale.
    """

    def __init__(self, network: CCFormer, sizes: Sequence[Size]) -> None:
        super().__init__()
        self.network = network
        self.sizes = list(sizes)

    def forward(
        self,
        finest: Tensor,
        coarser: list[Tensor],
        newest_audio: Tensor,
        keys: list[Tensor],
        values: list[Tensor],
        audio: Tensor,
        asked: list[Tensor],
        heard: list[Tensor],
        queries: Tensor,
        known: Tensor,
        older: Tensor,
        reset: Tensor,
    ) -> Fused:
        """Fuse.

        Args:
            finest, coarser, newest_audio: of the newest frame, see `Encoded`.
            keys, values: per scale [B, T, h * w, d], of the T slots, the newest frame's among them.
            audio: [B, T, M, d].
            asked, heard: per ITI layer [B, T, N, d]; the newest frame's slot is not read.
            queries: [B, N, d], that left the frame before.
            known: bool [B, T], which slots hold a frame to look at, the newest among them.
            older: bool [B, T], `known` without the newest.
            reset: bool [B], True starts from the learned inter-frame queries.
        """
        network = self.network
        visual = [x[:, None] for x in (finest, *coarser)]
        features = Features(visual=visual, audio=newest_audio[:, None], sizes=self.sizes)
        context = Context(keys=keys, values=values, audio=audio)
        integrated = network.integrate(features, context, known[:, None])
        mask = torch.cat([older, torch.ones_like(reset)[:, None]], dim=1)[:, None]  # [B, 1, T + 1]
        path = network.decoder.intra_path(
            network.intra_queries(integrated.audio), integrated.memory, mask, asked
        )
        newest = path.layers[-1][:, 0]
        if network.config.iti:
            start = network.decoder.start(queries, reset, newest.shape[0])
            listened = [torch.cat([old, new], dim=1) for old, new in zip(heard, path.heard, strict=True)]
            queries = network.decoder.inter_path(start[:, None], listened, mask)[-1][:, 0]
            newest = newest + queries  # eq 10
        return Fused(
            *_segment(network, integrated, features.audio, newest),
            queries=queries,
            asked=[x[:, 0] for x in path.asked],
            heard=[x[:, 0] for x in path.heard],
        )


class WindowFuse(nn.Module):
    """Segment the newest frame of a window whose frames all look at one another.

    Args:
        network: in window mode.
        sizes: (h, w) of every scale.
    """

    def __init__(self, network: CCFormer, sizes: Sequence[Size]) -> None:
        super().__init__()
        self.network = network
        self.sizes = list(sizes)

    def forward(
        self,
        finest: Tensor,
        coarser: list[Tensor],
        keys: list[Tensor],
        values: list[Tensor],
        audio: Tensor,
        queries: Tensor,
        newest: Tensor,
        reset: Tensor,
    ) -> Fused:
        """Fuse.

        Args:
            finest: of the newest frame [B, h * w, d].
            coarser: per other scale [B, T, h * w, d], of the T frames of the window in any order.
            keys, values: per scale [B, T, h * w, d].
            audio: [B, T, M, d].
            queries: [B, N, d], that left the window before.
            newest: int64 [B], place of the newest frame in the flattened B * T frames.
            reset: bool [B], True starts from the learned inter-frame queries.
        """
        network = self.network
        features = Features(visual=[finest[:, None], *coarser], audio=audio, sizes=self.sizes)
        integrated = network.integrate(features, Context(keys=keys, values=values, audio=audio), None)
        path = network.decoder.intra_path(network.intra_queries(integrated.audio), integrated.memory, None)

        def pick(x: Tensor) -> Tensor:
            return x.flatten(0, 1).index_select(0, newest)  # [B, T, ...] -> [B, ...]

        combined = pick(path.layers[-1])
        if network.config.iti:
            start = network.decoder.start(queries, reset, combined.shape[0])
            queries = network.decoder.inter_path(start[:, None], path.heard, None)[-1][:, 0]
            combined = combined + queries  # eq 10
        of_newest = Integrated(
            finest=integrated.finest,
            coarser=pick(integrated.coarser)[:, None],
            audio=pick(integrated.audio)[:, None],
            sizes=self.sizes,
        )
        result = _segment(network, of_newest, pick(audio)[:, None], combined)
        return Fused(*result, queries=queries, asked=[], heard=[])


def fuse_step(network: CCFormer, sizes: Sequence[Size]) -> CausalFuse | WindowFuse:
    """The second half for the network's mode."""
    return (CausalFuse if network.config.mode is Mode.CAUSAL else WindowFuse)(network, sizes)


def _segment(
    network: CCFormer, integrated: Integrated, audio: Tensor, combined: Tensor
) -> tuple[Tensor, Tensor]:
    """Mask and score of one frame: `audio` is the original [B, 1, M, d], `combined` [B, N, d] of eq 10."""
    feature = network.mask_feature(integrated, audio)
    layer = network.config.ici_layers - 1
    mask = network.head(combined, network.decoder.reference_points(), feature, layer)
    return mask, network.sounding_logit(combined, integrated.audio.flatten(0, 1), mask)
