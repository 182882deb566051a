"""The whole baseline: encoders, ASPP, TPAVI and decoder, at every stage of the image encoder."""

from __future__ import annotations

from torch import Tensor, nn

from stream_avs.models.network import FrameFeatures, NetworkOutput, Paired, StatelessNetwork, loudest
from stream_avs.models.tpavi.config import TpaviConfig
from stream_avs.models.tpavi.interaction import TPAVI
from stream_avs.models.tpavi.pyramid import Decoder, DilatedSum


class TpaviNetwork(StatelessNetwork):
    """Frames and their audio in, masks out; frames of a window meet in `TPAVI` alone.

    Args:
        config: every dimension.
    """

    config: TpaviConfig

    def __init__(self, config: TpaviConfig) -> None:
        super().__init__(config)
        channels, d = self.visual_channels, config.d
        self.aspp = nn.ModuleList(DilatedSum(c, d, config.dilations) for c in channels)
        self.tpavi = nn.ModuleList(TPAVI(d, config.inner, self.audio_channels) for _ in channels)
        self.decoder = Decoder(d, len(channels), config.classes)

    def encode_frames(self, frames: Tensor, audio: Tensor) -> FrameFeatures:
        """Own: each stage's map [B, T, d, h, w], then its sound [B, T, d]; shared: `TPAVI.offer`."""
        shape = frames.shape[:2]
        heard = self.listen(audio).mean(1)  # [B * T, C]
        maps, sounds, offered = [], [], []
        for aspp, tpavi, x in zip(self.aspp, self.tpavi, self.look(frames), strict=True):
            visual = aspp(x)
            offer, aligned = tpavi.offer(visual, heard)  # type: ignore[operator]
            maps.append(visual.unflatten(0, shape))
            sounds.append(aligned.unflatten(0, shape))
            offered.append(offer.unflatten(0, shape))
        return FrameFeatures(own=[*maps, *sounds], shared=offered)

    def segment(self, own: list[Tensor], shared: list[Tensor], *, every_layer: bool = True) -> NetworkOutput:
        """See `StatelessNetwork.segment`; one mask is all there is to supervise."""
        stages = len(self.tpavi)
        maps, sounds = own[:stages], own[stages:]
        B, S = maps[0].shape[:2]
        fused = [tpavi(x, offer) for tpavi, x, offer in zip(self.tpavi, maps, shared, strict=True)]
        mask = self.decoder([z.flatten(0, 1) for z in fused])
        return NetworkOutput(
            masks=[mask.unflatten(0, (B, S))],
            sounding=loudest(mask).unflatten(0, (B, S)),
            paired=[Paired(visual=z, audio=a) for z, a in zip(fused, sounds, strict=True)],
        )
