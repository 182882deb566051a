"""The whole network: encoders, EIM, Transformer encoder, query generator, decoder, head (Fig. 2).

`encode` looks at each frame alone, so its result can be kept while a window slides; `forward` is
training and evaluation on whole windows. The steps of a live stream are in `step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stream_avs.models.attention import Mlp, frame_mask
from stream_avs.models.ccformer.config import CCFormerConfig, ContrastPartner, Mode
from stream_avs.models.ccformer.contrastive import BimodalContrast
from stream_avs.models.ccformer.early_integration import Context, EarlyIntegrationModule
from stream_avs.models.ccformer.multi_query_decoder import MultiQueryDecoder, VisualMemory
from stream_avs.models.ccformer.pixel_encoder import TransformerEncoder
from stream_avs.models.ccformer.position import sine_position
from stream_avs.models.ccformer.query_generator import IntraFrameQueries
from stream_avs.models.ccformer.segmentation_head import SegmentationHead
from stream_avs.models.deformable_attention import Size
from stream_avs.models.network import Network, NetworkOutput, Paired, loudest


@dataclass(frozen=True, kw_only=True)
class Features:
    """Each frame's picture and sound, projected to width d; no frame has met another yet.

    Attributes:
        visual: per scale, fine to coarse, [B, T, h * w, d].
        audio: [B, T, M, d], M tokens per frame (1 with VGGish).
        sizes: (h, w) of every scale.
    """

    visual: list[Tensor]
    audio: Tensor
    sizes: list[Size]


@dataclass(frozen=True, kw_only=True)
class Integrated:
    """What EIM and the Transformer encoder make of some frames.

    Attributes:
        finest: [B, T, h * w, d], the enhanced finest scale, which by-passes the encoder; T may be
            smaller here, for the newest frames alone.
        coarser: [B, T, sum(h * w), d], the other scales, enhanced and encoded.
        audio: [B, T, M, d], enhanced.
        sizes: (h, w) of every scale.
    """

    finest: Tensor
    coarser: Tensor
    audio: Tensor
    sizes: list[Size]

    @property
    def memory(self) -> VisualMemory:
        """The coarser scales of the B * T frames, for the decoder."""
        return VisualMemory(tokens=self.coarser.flatten(0, 1), sizes=self.sizes[1:])

    def newest(self) -> Integrated:
        """The last frame alone."""
        last = slice(-1, None)
        return Integrated(
            finest=self.finest[:, last],
            coarser=self.coarser[:, last],
            audio=self.audio[:, last],
            sizes=self.sizes,
        )


@dataclass(frozen=True, kw_only=True)
class CCFormerOutput(NetworkOutput):
    """What `CCFormer.forward` returns: masks after each decoder layer, and the inter-frame queries.

    Attributes:
        queries: [B, N, d], the inter-frame queries that leave the window, to be carried.
        contrast: unit vectors [B, T, d] of original audio and of its partner for BCL, or None.
    """

    queries: Tensor


class CCFormer(Network):
    """Frames and their audio in, masks out.

    Args:
        config: every dimension and switch.
    """

    config: CCFormerConfig

    def __init__(self, config: CCFormerConfig) -> None:
        super().__init__(config)
        d = config.d
        self.audio_projection = nn.Linear(self.audio_channels, d)
        self.visual_projection = nn.ModuleList(_projection(c, d, 1) for c in self.visual_channels)
        if config.extra_level:
            self.visual_projection.append(_projection(self.visual_channels[-1], d, 3))
        levels = len(self.visual_projection) - 1  # the finest by-passes the Transformer encoder

        self.eim = EarlyIntegrationModule(config)
        self.encoder = TransformerEncoder(config, levels)
        self.query_generator = IntraFrameQueries(config)
        self.decoder = MultiQueryDecoder(config, levels)
        self.head = SegmentationHead(config, self.strides)
        self.sounding = Mlp(2 * d, d, 1) if config.sounding else None
        self.contrast = None if config.contrast is ContrastPartner.NONE else BimodalContrast(d)

    # each frame alone

    def encode(self, frames: Tensor, audio: Tensor) -> Features:
        """Run the encoders and project.

        Args:
            frames: float [B, T, 3, H, W], RGB in 0..1.
            audio: [B, T, *audio_shape], log-mel of each frame's context.
        """
        B, T = frames.shape[:2]
        maps = self.look(frames)
        if self.config.extra_level:
            maps = [*maps, maps[-1]]
        projected = [p(x) for p, x in zip(self.visual_projection, maps, strict=True)]  # [B * T, d, h, w]
        return Features(
            visual=[x.flatten(2).transpose(1, 2).unflatten(0, (B, T)) for x in projected],
            audio=self.audio_projection(self.listen(audio)).unflatten(0, (B, T)),
            sizes=self.sizes(frames.shape[-2], frames.shape[-1]),
        )

    def sizes(self, height: int, width: int) -> list[Size]:
        """(h, w) of every scale for images of this size, fine to coarse."""
        sizes = [(-(-height // s), -(-width // s)) for s in self.strides]
        if self.config.extra_level:
            h, w = sizes[-1]
            sizes.append(((h + 1) // 2, (w + 1) // 2))
        return sizes

    def offer(self, features: Features) -> Context:
        """What other frames look at in EIM; each frame on its own."""
        return self.eim.offer(features.visual, features.audio, self._positions(features))

    # where frames mix

    def time_mask(self, frames: int, device: torch.device) -> Tensor | None:
        """Which frames a frame may look at: bool [T, T], or None for all."""
        if self.config.mode is Mode.WINDOW:
            return None
        return frame_mask(frames, self.config.frames, device=device)

    def integrate(self, features: Features, context: Context, mask: Tensor | None) -> Integrated:
        """Early integration, then the Transformer encoder.

        Args:
            features: the T frames that look.
            context: `offer` of the S frames they look at.
            mask: bool [..., T, S] over frames, or None.
        """
        positions = self._positions(features)
        visual, audio = self.eim(features.visual, features.audio, positions, context, mask)
        coarser = [tokens.flatten(0, 1) for tokens in visual[1:]]  # [B * T, h * w, d]
        encoded = self.encoder(coarser, positions[1:], features.sizes[1:])
        return Integrated(
            finest=visual[0],
            coarser=encoded.unflatten(0, audio.shape[:2]),
            audio=audio,
            sizes=features.sizes,
        )

    def intra_queries(self, audio: Tensor) -> Tensor:
        """Intra-frame queries [B, T, N, d] from enhanced audio [B, T, M, d]."""
        return self.query_generator(audio.flatten(0, 1)).unflatten(0, audio.shape[:2])

    # masks

    def mask_feature(self, integrated: Integrated, audio: Tensor) -> Tensor:
        """Cross-modal FPN over the enhanced finest scale, the encoded coarser ones and original audio.

        Args:
            integrated: of B * T = F frames.
            audio: original, [B, T, M, d].

        Returns:
            [F, d, h, w] at the finest scale.
        """
        scales = len(self.strides)  # an extra level has no place in the pyramid
        sizes = integrated.sizes
        finest, memory = integrated.finest.flatten(0, 1), integrated.memory
        levels = [finest, *memory.tokens.split([h * w for h, w in memory.sizes], dim=1)]
        maps = [x.transpose(1, 2).unflatten(2, size) for x, size in zip(levels, sizes, strict=True)]
        positions = [sine_position(h, w, self.config.d, like=audio) for h, w in sizes]
        return self.head.mask_feature(maps[:scales], positions[:scales], audio.flatten(0, 1))

    def sounding_logit(self, queries: Tensor, audio: Tensor, mask: Tensor) -> Tensor:
        """Logit that anything visible sounds.

        Args:
            queries: [F, N, d], combined.
            audio: [F, M, d], enhanced.
            mask: [F, classes, h, w], logits; decides alone when the network has no sounding score.

        Returns:
            [F].
        """
        if self.sounding is not None:
            return self.sounding(torch.cat([queries.mean(1), audio.mean(1)], dim=-1)).squeeze(-1)
        return loudest(mask)

    # whole windows

    def forward(
        self,
        frames: Tensor,
        audio: Tensor,
        queries: Tensor | None = None,
        reset: Tensor | None = None,
        *,
        every_layer: bool = True,
    ) -> CCFormerOutput:
        """Segment all frames of a window, or in causal mode of a whole stream.

        Args:
            frames: float [B, T, 3, H, W], RGB in 0..1; consecutive, any T.
            audio: [B, T, *audio_shape], log-mel of each frame's context.
            queries: [B, N, d] that left the previous window, or None; used if `config.carry`.
            reset: bool [B], True starts from the learned queries; None for none.
            every_layer: masks of every decoder layer (deep supervision) instead of the last alone.
        """
        B, T = frames.shape[:2]
        features = self.encode(frames, audio)
        mask = self.time_mask(T, frames.device)
        integrated = self.integrate(features, self.offer(features), mask)

        path = self.decoder.intra_path(self.intra_queries(integrated.audio), integrated.memory, mask)
        inter, leaving = self._inter_frame(path.heard, queries, reset, (B, T))
        combined = list(path.layers)
        if inter is not None:
            combined = [a + b for a, b in zip(path.layers, inter, strict=True)]  # eq 10

        feature = self.mask_feature(integrated, features.audio)
        reference = self.decoder.reference_points()
        last = len(combined) - 1
        masks = [
            self.head(combined[layer].flatten(0, 1), reference, feature, layer)
            for layer in (range(last + 1) if every_layer else [last])
        ]
        sounding = self.sounding_logit(
            combined[last].flatten(0, 1), integrated.audio.flatten(0, 1), masks[-1]
        )
        return CCFormerOutput(
            masks=[x.unflatten(0, (B, T)) for x in masks],
            sounding=sounding.unflatten(0, (B, T)),
            queries=leaving,
            contrast=self._contrast(features, integrated),
            paired=[
                Paired(visual=_as_map(integrated.finest, features.sizes[0]), audio=integrated.audio.mean(2))
            ],
        )

    def no_queries(self, batch: int) -> Tensor:
        """Zeros [batch, N, d] to hand in where nothing is carried, together with `reset`."""
        return self.decoder.position.new_zeros(batch, self.config.queries, self.config.d)

    def _positions(self, features: Features) -> list[Tensor]:
        return [sine_position(h, w, self.config.d, like=features.audio) for h, w in features.sizes]

    def _inter_frame(
        self,
        heard: Sequence[Tensor],
        carried: Tensor | None,
        reset: Tensor | None,
        shape: tuple[int, int],
    ) -> tuple[list[Tensor] | None, Tensor]:
        """Inter-frame queries after each decoder layer [B, 1 or T, N, d], and those that leave [B, N, d]."""
        (B, T), decoder, config = shape, self.decoder, self.config
        if not config.iti:
            return None, self.no_queries(B)
        start = decoder.start(carried, reset, B)
        if config.mode is Mode.WINDOW:
            inter = decoder.inter_path(start[:, None], heard, None)
            return inter, inter[-1][:, 0]
        if not config.carry:
            mask = self.time_mask(T, start.device)
            inter = decoder.inter_path(start[:, None].expand(-1, T, -1, -1), heard, mask)
            return inter, inter[-1][:, -1]
        per_frame = []
        for t in range(T):
            recent = slice(max(0, t + 1 - config.frames), t + 1)
            per_frame.append(decoder.inter_path(start[:, None], [x[:, recent] for x in heard], None))
            start = decoder.start(per_frame[-1][-1][:, 0], None, B)
        inter = [torch.cat(layer, dim=1) for layer in zip(*per_frame, strict=True)]
        return inter, inter[-1][:, -1]

    def _contrast(self, features: Features, integrated: Integrated) -> tuple[Tensor, Tensor] | None:
        if self.contrast is None:
            return None
        partner = {
            ContrastPartner.ENHANCED_AUDIO: integrated.audio,
            ContrastPartner.ORIGINAL_VISUAL: features.visual[0],
            ContrastPartner.ENHANCED_VISUAL: integrated.finest,
        }[self.config.contrast]
        return self.contrast(features.audio.mean(2), partner.mean(2))


def _as_map(tokens: Tensor, size: Size) -> Tensor:
    """[B, T, h * w, d] -> [B, T, d, h, w]."""
    return tokens.transpose(2, 3).unflatten(3, size)


def _projection(channels: int, d: int, kernel: int) -> nn.Sequential:
    """To width d; a kernel of 3 also halves the map."""
    conv = nn.Conv2d(channels, d, kernel, stride=1 if kernel == 1 else 2, padding=kernel // 2)
    return nn.Sequential(conv, nn.GroupNorm(32, d))
