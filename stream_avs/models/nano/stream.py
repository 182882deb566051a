"""The `nano` preset: one frame and 2 s of sound in, one mask out; everything remembered is in the state.

Each frame is computed once: what older frames left (EIM keys and values, intra-frame queries, the
carried inter-frame queries, the brightness of the last pictures, how motion and loudness went
together, the last mask, the classes heard) is the state.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_avs.audio import mn_mel
from stream_avs.config import ModelConfig
from stream_avs.errors import ConfigError
from stream_avs.models.base import Decision, Stages, require_finite
from stream_avs.models.ccformer.step import CausalState, CausalStep
from stream_avs.models.consensus.decide import audible, nothing
from stream_avs.models.consensus.model import is_quiet
from stream_avs.models.consensus.table import LabelTable, read_table
from stream_avs.models.load import BUNDLED, content_id, load_weights
from stream_avs.models.nano.checkpoint import Thresholds, load_nano
from stream_avs.models.nano.config import CONTEXT_S
from stream_avs.models.nano.network import Nano
from stream_avs.models.nano.objects import keep_objects
from stream_avs.models.nano.senses import Ear, Eye, Sound, loudness, luminance, movements
from stream_avs.models.nano.synchrony import Trace, follow, no_trace, synchrony
from stream_avs.models.nano.think import Mind, Thought
from stream_avs.models.preprocess import normalise, resize
from stream_avs.models.threads import configure_threads
from stream_avs.types import NS_PER_S, Image, Samples, Window

FILE = "nano.safetensors"
APART_S = 0.095
"""Motion is what changed since a picture at least this old, whatever the rate of frames."""


class Past(NamedTuple):
    """A picture that was.

    Attributes:
        stamp_ns: its time.
        grey: brightness [1, S, S], 0..1.
    """

    stamp_ns: int
    grey: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class NanoState:
    """What a stream remembers.

    Attributes:
        causal: of the trunk.
        past: pictures from the newest that is `APART_S` old on, oldest first; empty at the start.
        trace: how motion and loudness went together.
        before: bool [h, w], where the frame before sounded.
        heard: ids of the classes heard.
    """

    causal: CausalState
    past: tuple[Past, ...]
    trace: Trace
    before: NDArray[np.bool_]
    heard: frozenset[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class NanoStream:
    """See `stream_avs.models.base.StreamModel` for the attributes and `step`.

    `eye`, `ear` and `mind` may be replaced by compiled ones; all else of a step costs little.

    Attributes:
        thresholds: the preset's own.
        pixel: in place of `thresholds.pixel`, with the hysteresis moved along; None for that itself.
    """

    id: str
    table: LabelTable
    eye: Eye
    ear: Ear
    mind: Mind
    network: Nano
    causal: CausalStep
    thresholds: Thresholds
    pixel: float | None = None
    sample_rate_hz: int = mn_mel.SAMPLE_RATE_HZ
    context_s: float = CONTEXT_S
    frames: int = 1
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[int, str]:
        return self.table.labels

    @property
    def input_px(self) -> int:
        return self.network.config.trunk.input_px

    @property
    def mask_shape(self) -> tuple[int, int]:
        return (self.input_px // 2, self.input_px // 2)

    @property
    def threshold(self) -> float:
        return self.thresholds.pixel if self.pixel is None else self.pixel

    @property
    def own_threshold(self) -> float:
        return self.thresholds.pixel

    def with_threshold(self, threshold: float) -> NanoStream:
        """See `Thresholded`; of nano's thresholds it is the one of pixels."""
        return dataclasses.replace(self, pixel=threshold)

    def initial_state(self) -> NanoState:
        return NanoState(
            causal=self.causal.initial_state(1),
            past=(),
            trace=no_trace(),
            before=np.zeros(self.mask_shape, np.bool_),
            heard=frozenset(),
        )

    @torch.inference_mode()
    def step(self, window: Window, state: NanoState, stages: Stages) -> tuple[Decision, NanoState]:
        if window.sample_rate_hz != self.sample_rate_hz:
            raise ValueError(f"audio has {window.sample_rate_hz} Hz, not {self.sample_rate_hz} Hz")
        samples = window.audio[-1]
        sound = self.listen(samples, stages)
        logits, grey = self.look(window.newest.image, stages)
        stamp_ns = window.newest.stamp_ns
        past = recent(state.past, stamp_ns)
        with stages.measure("follow"):
            trace = self.follow(state.trace, past, Past(stamp_ns, grey), loudness(sound))
        with stages.measure("think"):
            heard = self.network.hear(sound)
            ids = audible(heard[0].sigmoid().double().numpy(), self.table.ids, state.heard)
            thought = self.mind(
                logits, grey, past[0].grey if past else grey, movements(synchrony(trace)),
                sound.evidence, sound.levels, heard,
                torch.tensor([int(i) in ids for i in self.table.ids]), state.causal,
                torch.tensor([not past]),  # nothing is carried into a first frame
            )  # fmt: skip
        with stages.measure("decide"):
            require_finite("mind", thought.sounds.sum() + thought.residual.sum())
            quiet = is_quiet(samples, self.sample_rate_hz)
            decision = nothing(self.mask_shape) if quiet else self.decide(thought, state.before)
        following = NanoState(
            causal=thought.causal,
            past=(*past, Past(stamp_ns, grey)),
            trace=trace,
            before=decision.mask > 0,
            heard=ids,
        )
        return decision, following

    def listen(self, samples: Samples, stages: Stages) -> Sound:
        """Run the ear over 2 s of mono samples at 32 kHz."""
        with stages.measure("mel"):
            log_mel = mn_mel.log_mel(samples)
        with stages.measure("hear"):
            return self.ear(torch.from_numpy(log_mel)[None, None])

    def look(self, image: Image, stages: Stages) -> tuple[Tensor, Tensor]:
        """Run the eye over an RGB image: its logits [1, 21, h, w], and the brightness [1, S, S]."""
        with stages.measure("resize"):
            pixels = resize(image, self.input_px, self.input_px)
            grey = luminance(pixels)
        with stages.measure("see"):
            return self.eye(normalise(pixels)), grey

    def follow(self, trace: Trace, past: tuple[Past, ...], now: Past, loud: float) -> Trace:
        """Add what moved since the oldest of `past`, and how loud it is."""
        if not past:
            return no_trace()
        then = past[0].grey[0].numpy()
        return follow(trace, then, now.grey[0].numpy(), loud, now.stamp_ns - past[-1].stamp_ns)

    def decide(self, thought: Thought, before: NDArray[np.bool_]) -> Decision:
        """Threshold, with hysteresis, and keep the objects that may sound.

        Args:
            thought: about the frame.
            before: bool [h, w], the mask before.
        """
        limits, config = self.thresholds.at(self.threshold), self.network.config
        sounds, sounding = thought.sounds.numpy(), float(thought.sounding[0])
        least = limits.sounding_before if before.any() else limits.sounding
        on = (sounds >= np.where(before, limits.pixel_before, limits.pixel)) & (sounding >= least)
        mask = np.where(on, thought.winner.numpy(), 0).astype(np.uint8)
        if mask.any():
            said = np.asarray(cv2.resize(thought.residual[0, 0].numpy(), mask.shape[::-1]), np.float32)
            mask = keep_objects(
                mask,
                thought.seen.numpy(),
                said if config.residual else None,
                before,
                dataclasses.replace(limits.objects, split=config.split),
            )
        return Decision(
            mask=mask,
            confidence=np.where(mask > 0, np.rint(sounds * 255.0), 0.0).astype(np.uint8),
            scores={int(i): float(sounds[mask == i].mean()) for i in np.unique(mask) if i},
            sounding_score=sounding,
        )


def recent(past: tuple[Past, ...], stamp_ns: int) -> tuple[Past, ...]:
    """The pictures from the newest that is `APART_S` old on; all if none is as old."""
    old = [k for k, picture in enumerate(past) if stamp_ns - picture.stamp_ns >= APART_S * NS_PER_S]
    return past[old[-1] :] if old else past


def load(config: ModelConfig) -> NanoStream:
    """Build the preset with the bundled weights; sets torch's thread count to `config.threads`.

    Raises:
        ConfigError: another input size or audio context than it was trained with.
        WeightsError: a bundled weight file is missing or damaged.
    """
    configure_threads(config.threads)
    file = load_nano(BUNDLED / FILE)
    side_px = file.network.config.trunk.input_px
    if config.input_px not in (0, side_px):
        raise ConfigError(f"setting model.input_px is {config.input_px}", f"nano works at {side_px} only")
    if config.audio_context_s not in (0, CONTEXT_S):
        raise ConfigError(
            f"setting model.audio_context_s is {config.audio_context_s}", f"nano hears {CONTEXT_S} s"
        )
    return assemble(file.network, file.thresholds, file.sha256, threshold=config.threshold)


def assemble(network: Nano, thresholds: Thresholds, sha256: str, *, threshold: float = -1.0) -> NanoStream:
    """Put a network together with the bundled encoders.

    Args:
        network: trained or not.
        thresholds: that go with it.
        sha256: of its weights, for the model's id.
        threshold: 0 or more replaces the pixels' own.

    Raises:
        WeightsError: a bundled weight file is missing or damaged.
    """
    table = read_table()
    eye, ear = Eye(), Ear(table)
    eye_sha256 = load_weights(eye.network, BUNDLED / "espnetv2_s2_voc384.safetensors")
    ear_sha256 = load_weights(ear.network, BUNDLED / "mn04_as.safetensors")
    name = f"nano-{content_id(sha256, eye_sha256, ear_sha256, table.sha256)}"
    return build(name, network, thresholds, eye, ear, table, threshold=threshold)


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
    causal = CausalStep(network.trunk, network.config.trunk.input_px)
    model = NanoStream(
        id=name,
        table=table,
        eye=eye.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        ear=ear,
        mind=Mind(network, causal).eval(),
        network=network,
        causal=causal,
        thresholds=thresholds,
        pixel=threshold if threshold >= 0 else None,
    )
    # the first look is slow
    with torch.inference_mode():
        model.look(np.zeros((64, 64, 3), np.uint8), Stages())
    return model
