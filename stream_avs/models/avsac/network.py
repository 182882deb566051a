"""The whole AVSAC: encoders, Transformer encoder, audio queries, bidirectional decoder, mask head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stream_avs.models.avsac.config import AvsacConfig
from stream_avs.models.avsac.decoder import BidirectionalDecoder
from stream_avs.models.avsac.head import MaskHead
from stream_avs.models.ccformer.pixel_encoder import TransformerEncoder
from stream_avs.models.ccformer.position import sine_position
from stream_avs.models.ccformer.query_generator import IntraFrameQueries
from stream_avs.models.network import FrameFeatures, NetworkOutput, Paired, StatelessNetwork, loudest


class Avsac(StatelessNetwork):
    """Frames and their audio in, masks out; each frame alone.

    Args:
        config: every dimension and switch.
    """

    config: AvsacConfig

    def __init__(self, config: AvsacConfig) -> None:
        super().__init__(config)
        d, (finest, *coarser) = config.d, self.visual_channels
        self.audio_projection = nn.Linear(self.audio_channels, d)
        self.visual_projection = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, d, 1), nn.GroupNorm(32, d)) for c in coarser
        )
        self.encoder = TransformerEncoder(config, len(coarser))
        self.query_generator = IntraFrameQueries(config)
        self.decoder = BidirectionalDecoder(config)
        self.head = MaskHead(config, finest)

    def encode_frames(self, frames: Tensor, audio: Tensor) -> FrameFeatures:
        """Own: the image encoder's maps [B, T, C, h, w], then audio tokens [B, T, M, d]; shared: none."""
        shape = frames.shape[:2]
        maps = [x.unflatten(0, shape) for x in self.look(frames)]
        return FrameFeatures(
            own=[*maps, self.audio_projection(self.listen(audio)).unflatten(0, shape)], shared=[]
        )

    def segment(self, own: list[Tensor], shared: list[Tensor], *, every_layer: bool = True) -> NetworkOutput:
        """See `StatelessNetwork.segment`; one mask is all there is to supervise."""
        shape = own[0].shape[:2]
        finest, *coarser, audio = (x.flatten(0, 1) for x in own)
        projected = [p(x) for p, x in zip(self.visual_projection, coarser, strict=True)]  # [F, d, h, w]
        sizes = [(x.shape[-2], x.shape[-1]) for x in projected]
        positions = [sine_position(h, w, self.config.d, like=audio) for h, w in sizes]
        memory = self.encoder([x.flatten(2).transpose(1, 2) for x in projected], positions, sizes)

        queries = self.query_generator(audio)  # F_a
        agv, vga = self.decoder(memory, torch.cat(positions), queries)
        levels = [
            tokens.transpose(1, 2).unflatten(2, size)
            for tokens, size in zip(agv.split([h * w for h, w in sizes], dim=1), sizes, strict=True)
        ]
        feature = self.head.feature(finest, levels[0])
        mask, mixed = self.head(feature, vga)
        heard = queries.mean(1).unflatten(0, shape)
        return NetworkOutput(
            masks=[mask.unflatten(0, shape)],
            sounding=loudest(mask).unflatten(0, shape),
            paired=[Paired(visual=x.unflatten(0, shape), audio=heard) for x in levels],
            mixed=mixed.unflatten(0, shape),
        )
