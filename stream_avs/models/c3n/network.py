"""The whole of C3N: encoders, classifiers, consensus, guided attention, fusion and decoder (Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from stream_avs.audio.front_end import MN04
from stream_avs.errors import ConfigError
from stream_avs.models.backbones.mn04 import Mn04
from stream_avs.models.c3n.aspp import Aspp
from stream_avs.models.c3n.config import C3NConfig, Guidance, Tagger
from stream_avs.models.c3n.consensus import Consensus, infer_consensus
from stream_avs.models.c3n.guidance import attend, channel_weights_by_gradient, channel_weights_by_row
from stream_avs.models.c3n.labels import similarity
from stream_avs.models.c3n.published import load_classifiers, load_similarity, load_tagger
from stream_avs.models.network import FrameFeatures, NetworkOutput, Paired, StatelessNetwork, loudest
from stream_avs.models.tpavi.interaction import TPAVI
from stream_avs.models.tpavi.pyramid import Decoder

TAGGER_HIDDEN = 512
"""Hidden width of the classifier on the audio encoder: mn04's own."""


class C3N(StatelessNetwork):
    """Frames and their audio in, masks out.

    Everything up to the pyramid pooling is done on each frame alone; frames of a window meet in the
    cross-modal non-local blocks, which are TPAVI's.

    Args:
        config: every dimension and switch.
    """

    config: C3NConfig
    similarity: Tensor

    def __init__(self, config: C3NConfig) -> None:
        tags = config.tagger is Tagger.MN04
        super().__init__(config, also_hears=(MN04,) if tags else ())
        channels, d = self.visual_channels, config.d
        guided = channels if config.guidance is Guidance.LINEAR else channels[-1:]
        self.seeing = nn.ModuleList(nn.Linear(c, len(config.seen)) for c in guided)
        if tags:
            self.tagger = Mn04()
        else:
            self.hearing = nn.Sequential(
                nn.Linear(self.audio_channels, TAGGER_HIDDEN),
                nn.Hardswish(),
                nn.Linear(TAGGER_HIDDEN, len(config.heard)),
            )
        self.register_buffer("similarity", torch.tensor(similarity(config.seen, config.heard)))
        self.aspp = nn.ModuleList(Aspp(c, d, config.dilations) for c in channels)
        self.interaction = nn.ModuleList(TPAVI(d, config.inner, self.audio_channels) for _ in channels)
        self.decoder = Decoder(d, len(channels), config.classes)
        heard_by = "tagger" if tags else "hearing"
        self.never_trained = (
            *(() if config.labels else ("seeing",)), *(() if config.learns_to_hear else (heard_by,))
        )  # fmt: skip

    def begin(self) -> None:
        """Take the tagger, which is never trained, and the similarity matrix of one's own."""
        if self.config.tagger is Tagger.MN04:
            load_tagger(self)
        if self.config.similarity:
            load_similarity(self, Path(self.config.similarity))
            self.config = replace(self.config, similarity=Path(self.config.similarity).name)

    def load_published(self, folder: Path | None) -> None:
        """Fill the classifiers, unless they learn."""
        if not self.config.labels:
            load_classifiers(self, folder)

    # each frame alone

    def encode_frames(self, frames: Tensor, audio: Tensor) -> FrameFeatures:
        """See, hear, agree, attend, pool.

        Returns:
            Own: the maps [B, T, d, h, w], fine to coarse, the sound [B, T, d] beside each of them, then the
            logits [B, T, labels] of each classifier that learns. Shared: `TPAVI.offer` of each map.
        """
        shape = frames.shape[:2]
        heard = self.listen(audio).mean(1)  # [B * T, C]
        heard_logits = self.tag(audio, heard)
        images, seen_logits = self.attended(frames, heard_logits)
        maps, sounds, offered = [], [], []
        for aspp, interaction, image in zip(self.aspp, self.interaction, images, strict=True):
            pooled = aspp(image)
            offer, aligned = interaction.offer(pooled, heard)  # type: ignore[operator]
            maps.append(pooled)
            sounds.append(aligned)
            offered.append(offer)
        taught = seen_logits if self.config.labels else []
        own = [*maps, *sounds, *taught, *([heard_logits] if self.config.learns_to_hear else [])]
        return FrameFeatures(
            own=[x.unflatten(0, shape) for x in own], shared=[x.unflatten(0, shape) for x in offered]
        )

    def tag(self, audio: Tensor, heard: Tensor) -> Tensor:
        """The audio classifier.

        Args:
            audio: [B, T, *audio_shape].
            heard: [B * T, C], what the audio encoder makes of it.

        Returns:
            Logits [B * T, labels heard].
        """
        if self.config.tagger is Tagger.OWN:
            return self.hearing(heard)
        logits: Tensor = self.tagger(self.sounds(audio)[1]).logits
        return logits

    def attended(self, frames: Tensor, heard_logits: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Maps of the image encoder after CCAM, and the visual classifiers' logits.

        Args:
            frames: float [B, T, 3, H, W], RGB in 0..1.
            heard_logits: [B * T, labels heard].

        Returns:
            Maps [B * T, C, h, w], fine to coarse; logits [B * T, labels seen] of each classifier.

        Raises:
            ConfigError: the gradient form in inference mode, where there are no gradients.
        """
        if self.config.guidance is Guidance.GRADIENT:
            return self._attended_by_gradient(frames, heard_logits)
        maps = self.look(frames)
        unguided = len(maps) - len(self.seeing)
        logits = [head(x.mean((2, 3))) for head, x in zip(self.seeing, maps[unguided:], strict=True)]
        label = self.consensus(logits[-1], heard_logits).label
        guided = [
            attend(x, channel_weights_by_row(head.weight, label))  # type: ignore[arg-type]
            for head, x in zip(self.seeing, maps[unguided:], strict=True)
        ]
        return [*maps[:unguided], *guided], logits

    def consensus(self, seen_logits: Tensor, heard_logits: Tensor) -> Consensus:
        """C3IM on [F, labels seen] and [F, labels heard]."""
        return infer_consensus(seen_logits, heard_logits, self.similarity, self.config.power)

    def _attended_by_gradient(
        self, frames: Tensor, heard_logits: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        if torch.is_inference_mode_enabled():
            raise ConfigError(
                "setting model.guidance is 'gradient', which back-propagates for every frame",
                "Use it under torch.no_grad, or train with --model.guidance last or linear",
            )
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            # a frame that asks for gradients keeps a graph even where the encoder is frozen
            maps = self.look(frames.detach().requires_grad_())
            logits = self.seeing[0](maps[-1].mean((2, 3)))
            label = self.consensus(logits, heard_logits).label
            score = logits.gather(1, label[:, None])[:, 0]
            weights = channel_weights_by_gradient(score, maps)
        if not training:
            maps, logits = [x.detach() for x in maps], logits.detach()
        return [attend(x, a) for x, a in zip(maps, weights, strict=True)], [logits]

    # where frames mix

    def segment(self, own: list[Tensor], shared: list[Tensor], *, every_layer: bool = True) -> NetworkOutput:
        """See `StatelessNetwork.segment`; one mask is all there is to supervise."""
        scales = len(self.aspp)
        maps, sounds, logits = own[:scales], own[scales : 2 * scales], own[2 * scales :]
        B, S = maps[0].shape[:2]
        fused = self._fuse(maps, shared)
        mask = self.decoder([z.flatten(0, 1) for z in fused])
        return NetworkOutput(
            masks=[mask.unflatten(0, (B, S))],
            sounding=loudest(mask).unflatten(0, (B, S)),
            paired=[Paired(visual=z, audio=a) for z, a in zip(fused, sounds, strict=True)],
            classified=logits,
        )

    def _fuse(self, maps: Sequence[Tensor], shared: Sequence[Tensor]) -> list[Tensor]:
        return [mix(x, offer) for mix, x, offer in zip(self.interaction, maps, shared, strict=True)]
