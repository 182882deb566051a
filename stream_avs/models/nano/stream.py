"""The `nano` preset: one frame and 2 s of sound in, one mask out; everything remembered is in the state.

Each frame is computed once: what older frames left (EIM keys and values, intra-frame queries, the
carried inter-frame queries, the last picture's brightness, the last mask, the classes heard) is the
state.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stream_avs.audio import mn_mel
from stream_avs.config import ModelConfig
from stream_avs.errors import ConfigError
from stream_avs.models.base import Decision, Stages
from stream_avs.models.ccformer.step import CausalState, CausalStep
from stream_avs.models.consensus.decide import audible, nothing
from stream_avs.models.consensus.model import is_quiet
from stream_avs.models.consensus.table import LabelTable, read_table
from stream_avs.models.load import BUNDLED, content_id, load_weights
from stream_avs.models.nano.checkpoint import Thresholds, load_nano
from stream_avs.models.nano.config import CONTEXT_S
from stream_avs.models.nano.network import Nano, Seen
from stream_avs.models.nano.objects import keep_objects
from stream_avs.models.nano.senses import Ear, Eye, Sound, luminance, motion
from stream_avs.models.preprocess import normalise, resize
from stream_avs.models.threads import configure_threads
from stream_avs.types import Image, Samples, Window

FILE = "nano.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class NanoState:
    """What a stream remembers.

    Attributes:
        causal: of the trunk.
        grey: brightness of the frame before [1, S, S], or None at the start.
        before: bool [h, w], where the frame before sounded.
        heard: ids of the classes heard.
    """

    causal: CausalState
    grey: Tensor | None
    before: Tensor
    heard: frozenset[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class NanoStream:
    """See `stream_avs.models.base.StreamModel` for the attributes and `step`."""

    id: str
    table: LabelTable
    eye: Eye
    ear: Ear
    network: Nano
    causal: CausalStep
    thresholds: Thresholds
    sample_rate_hz: int = mn_mel.SAMPLE_RATE_HZ
    context_s: float = CONTEXT_S
    frames: int = 1

    @property
    def labels(self) -> dict[int, str]:
        return self.table.labels

    @property
    def input_px(self) -> int:
        return self.network.config.trunk.input_px

    @property
    def mask_shape(self) -> tuple[int, int]:
        return (self.input_px // 2, self.input_px // 2)

    def initial_state(self) -> NanoState:
        return NanoState(
            causal=self.causal.initial_state(1),
            grey=None,
            before=torch.zeros(self.mask_shape, dtype=torch.bool),
            heard=frozenset(),
        )

    @torch.inference_mode()
    def step(self, window: Window, state: NanoState, stages: Stages) -> tuple[Decision, NanoState]:
        if window.sample_rate_hz != self.sample_rate_hz:
            raise ValueError(f"audio has {window.sample_rate_hz} Hz, not {self.sample_rate_hz} Hz")
        samples = window.audio[-1]
        sound = self.listen(samples, stages)
        seen, grey = self.look(window.newest.image, state.grey, stages)
        with stages.measure("decide"):
            heard = self.network.hear(sound)
            residual, sounding, causal = self.causal(
                self.network.maps(seen, heard),
                self.network.audio_tokens(sound, heard),
                state.causal,
                torch.tensor([state.grey is None]),  # nothing is carried into a first frame
            )
            logits = self.network.combine(seen.log_seen, heard)[0]
            ids = audible(heard[0].sigmoid().double().numpy(), self.table.ids, state.heard)
            logits[1:][torch.tensor([int(i) not in ids for i in self.table.ids])] = -torch.inf
            if is_quiet(samples, self.sample_rate_hz):
                decision = nothing(self.mask_shape)
            else:
                decision = self.decide(logits, residual, float(sounding.sigmoid()), state.before)
        before = torch.from_numpy(decision.mask > 0)
        return decision, NanoState(causal=causal, grey=grey, before=before, heard=ids)

    def listen(self, samples: Samples, stages: Stages) -> Sound:
        """Run the ear over 2 s of mono samples at 32 kHz."""
        with stages.measure("mel"):
            log_mel = mn_mel.log_mel(samples)
        with stages.measure("hear"):
            return self.ear(torch.from_numpy(log_mel)[None, None])

    def look(self, image: Image, before: Tensor | None, stages: Stages) -> tuple[Seen, Tensor]:
        """Run the eye over an RGB image; returns what is seen, and the brightness [1, S, S]."""
        with stages.measure("resize"):
            pixels = resize(image, self.input_px, self.input_px)
            grey = luminance(pixels)
        with stages.measure("see"):
            logits = self.eye(normalise(pixels))
            moved = motion(grey, grey if before is None else before)
        return Seen(motion=moved, log_seen=logits.log_softmax(1)), grey

    def decide(self, logits: Tensor, residual: Tensor, sounding: float, before: Tensor) -> Decision:
        """Threshold, with hysteresis, and keep the objects that the trunk lets sound.

        Args:
            logits: [1 + classes, h, w], of eye and ear.
            residual: [1, 1, h', w'], the trunk's mask.
            sounding: score, 0..1.
            before: bool [h, w].
        """
        limits = self.thresholds
        least = limits.sounding_before if bool(before.any()) else limits.sounding
        probability = logits.softmax(0)
        sounds = 1 - probability[0]
        on = (sounds >= torch.where(before, limits.pixel_before, limits.pixel)) & (sounding >= least)
        mask = (self.network.ids[probability[1:].argmax(0)] * on).to(torch.uint8).numpy()
        if self.network.config.residual:
            said = F.interpolate(residual, size=mask.shape, mode="bilinear", align_corners=False)
            mask = keep_objects(mask, said[0, 0].numpy(), limits.objects)
        score = sounds.numpy()
        return Decision(
            mask=mask,
            confidence=np.where(mask > 0, np.rint(score * 255.0), 0.0).astype(np.uint8),
            scores={int(i): float(score[mask == i].mean()) for i in np.unique(mask) if i},
            sounding_score=sounding,
        )


def load(config: ModelConfig) -> NanoStream:
    """Build the preset with the bundled weights; sets torch's thread count to `config.threads`.

    Raises:
        ConfigError: another input size or audio context than it was trained with.
        WeightsError: a bundled weight file is missing or damaged.
    """
    configure_threads(config.threads)
    table = read_table()
    file = load_nano(BUNDLED / FILE)
    side_px = file.network.config.trunk.input_px
    if config.input_px not in (0, side_px):
        raise ConfigError(f"setting model.input_px is {config.input_px}", f"nano works at {side_px} only")
    if config.audio_context_s not in (0, CONTEXT_S):
        raise ConfigError(
            f"setting model.audio_context_s is {config.audio_context_s}", f"nano hears {CONTEXT_S} s"
        )
    eye, ear = Eye(), Ear(table)
    eye_sha256 = load_weights(eye.network, BUNDLED / "espnetv2_s2_voc384.safetensors")
    ear_sha256 = load_weights(ear.network, BUNDLED / "mn04_as.safetensors")
    name = f"nano-{content_id(file.sha256, eye_sha256, ear_sha256, table.sha256)}"
    return build(name, file.network, file.thresholds, eye, ear, table, threshold=config.threshold)


def build(
    name: str,
    network: Nano,
    thresholds: Thresholds,
    eye: Eye,
    ear: Ear,
    table: LabelTable,
    *,
    threshold: float = -1.0,
) -> NanoStream:
    """Put a stream model together from its parts; a `threshold` of 0 or more replaces the pixels' own."""
    if threshold >= 0:
        before = max(0.0, threshold - thresholds.pixel + thresholds.pixel_before)
        thresholds = dataclasses.replace(thresholds, pixel=threshold, pixel_before=before)
    model = NanoStream(
        id=name,
        table=table,
        eye=eye.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        ear=ear,
        network=network,
        causal=CausalStep(network.trunk, network.config.trunk.input_px),
        thresholds=thresholds,
    )
    # the first look is slow
    with torch.inference_mode():
        model.look(np.zeros((64, 64, 3), np.uint8), None, Stages())
    return model
