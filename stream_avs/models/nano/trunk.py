"""CCFormer without encoders of its own: it takes maps and facts that come from the frozen senses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stream_avs.models.attention import Mlp
from stream_avs.models.ccformer.ccformer import CCFormer, Features
from stream_avs.models.ccformer.config import CCFormerConfig
from stream_avs.models.ccformer.early_integration import EarlyIntegrationModule
from stream_avs.models.ccformer.multi_query_decoder import MultiQueryDecoder
from stream_avs.models.ccformer.pixel_encoder import TransformerEncoder
from stream_avs.models.ccformer.query_generator import IntraFrameQueries
from stream_avs.models.ccformer.segmentation_head import SegmentationHead
from stream_avs.models.nano.senses import MOMENTS


class Trunk(CCFormer):
    """EIM, encoder, query generator, decoder and head of CCFormer at strides 32 and 64.

    "Frames" of its inherited methods are vectors: the maps of all strides, flattened, see `pack`.

    Args:
        config: every dimension and switch.
        map_channels: of the maps at strides 32 and 64.
        audio_channels: of each of the 7 audio tokens.
    """

    def __init__(self, config: CCFormerConfig, *, map_channels: int, audio_channels: int) -> None:
        nn.Module.__init__(self)
        self.config = config
        d = config.d
        self.strides = (32, 64)
        self.channels = (map_channels, map_channels)
        self.side_px = config.input_px
        self.audio_shape = (MOMENTS, audio_channels)
        self.audio_tokens = MOMENTS
        self.audio_projection = nn.Linear(audio_channels, d)
        self.moment = nn.Parameter(torch.randn(MOMENTS, d).mul_(0.1))
        self.audio_norm = nn.LayerNorm(audio_channels)
        self.visual_projection = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, d, 1), nn.GroupNorm(32, d)) for c in self.channels
        )
        self.eim = EarlyIntegrationModule(config)
        self.encoder = TransformerEncoder(config, 1)
        self.query_generator = IntraFrameQueries(config)
        self.decoder = MultiQueryDecoder(config, 1)
        self.head = SegmentationHead(config, self.strides)
        self.sounding = Mlp(2 * d, d, 1)
        self.contrast = None
        # close to the consensus of eye and ear is where training starts from
        with torch.no_grad():
            # `normal_` without memory behind it, as when a file is checked, takes seconds of imports
            self.head.classify.weight.copy_(torch.randn(self.head.classify.weight.shape).mul_(0.02))
        # the few channels before it must not all begin dead
        bias = self.head.refine.bias
        assert bias is not None
        nn.init.constant_(bias, 0.5)

    def encode(self, frames: Tensor, audio: Tensor) -> Features:
        """Project.

        Args:
            frames: packed maps [B, T, K].
            audio: [B, T, 7, channels].
        """
        B, T = frames.shape[:2]
        maps = self.unpack(frames.flatten(0, 1))
        projected = [p(x) for p, x in zip(self.visual_projection, maps, strict=True)]
        tokens = self.audio_projection(self.audio_norm(audio)) + self.moment
        return Features(
            visual=[x.flatten(2).transpose(1, 2).unflatten(0, (B, T)) for x in projected],
            audio=F.layer_norm(tokens, tokens.shape[-1:]),
            sizes=self.sizes(self.side_px, self.side_px),
        )

    def unpack(self, packed: Tensor) -> list[Tensor]:
        """[F, K] -> one map [F, C, S / stride, S / stride] per stride."""
        sizes = self.sizes(self.side_px, self.side_px)
        lengths = [c * h * w for c, (h, w) in zip(self.channels, sizes, strict=True)]
        parts = packed.split(lengths, dim=1)
        return [p.unflatten(1, (c, *s)) for p, c, s in zip(parts, self.channels, sizes, strict=True)]


def pack(fine: Tensor, coarse: Tensor) -> Tensor:
    """[F, C, h, w] maps -> [F, K]."""
    return torch.cat([fine.flatten(1), coarse.flatten(1)], dim=1)
