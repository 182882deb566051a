"""The `consensus` preset: ESPNetv2 sees, mn04 hears, no training of its own.

A window costs one log-mel and one tagging of its newest audio row, and one segmentation of its newest
frame. When no class of the table is heard the picture is not looked at. Which of two people speaks,
and whether a voice comes from a person in the picture or from off screen, it cannot tell: every
person seen sounds while speech is heard. Musical instruments have no class; a player does not sound.

What was chosen, and the counts behind it

- Input side 320. Mean IoU over 12 VOC classes on 123 COCO images, class given: 0.44, 0.47, 0.52, 0.57
  at 224, 256, 320, 384; person alone 0.64, 0.65, 0.70, 0.71; on 24 frames of 8 talkers 0.959, 0.964,
  0.967, 0.968. Time relative to 224: 1, 1.2, 1.9, 3.1.
- Audio context 2 s. ESC-50 sounds of 9 classes against all other of 697 clips, mean AUC 0.955 with 1 s,
  0.995 with 2 s; zeros before or behind the 2 s change nothing (0.993 to 0.995).
- Noisy-or of a class's labels rather than their maximum: AUC 0.995 against 0.994, person 0.977 against
  0.968. `half` in the table is about where misses and false alarms on those clips cross: person misses
  10 % and is falsely heard in 3.7 % at 0.3, dog 7 % and 1.2 % at 0.3, car 25 % and 2.2 % at 0.3, so 0.25.
  Bicycle, boat, bus, horse, motorcycle and tv have no positive clips there and follow their false alarms.
- Score threshold 0.55: a class surely heard is shown where it is seen with 0.3 or more, one barely heard
  where it is seen with 0.6. IoU on the COCO images is flat between the two (0.515 to 0.523).
- A pause of half a second, 45 dB below the loudest half second heard or under -70 dBFS, silences
  everything: the tagger alone holds on to speech for about a second and a half after it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_avs.audio import mn_mel
from stream_avs.config import ModelConfig
from stream_avs.models.backbones.espnetv2 import EspNetV2
from stream_avs.models.backbones.mn04 import Mn04
from stream_avs.models.base import Decision, Stages, require_finite
from stream_avs.models.consensus.decide import agree, audible, nothing
from stream_avs.models.consensus.table import LabelTable, read_table
from stream_avs.models.load import BUNDLED, content_id, load_weights
from stream_avs.models.preprocess import image_to_input
from stream_avs.models.threads import configure_threads
from stream_avs.types import Image, Samples, Window

INPUT_PX = 320
AUDIO_CONTEXT_S = 2.0
THRESHOLD = 0.55
RECENT_S = 0.5
QUIET_DBFS = -70.0
QUIET_BELOW_LOUDEST_DB = 45.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What the preset carries from window to window: the ids of the classes heard."""

    heard: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True, eq=False)
class Consensus:
    """See `stream_avs.models.base.StreamModel` for the attributes and `step`."""

    id: str
    table: LabelTable
    eye: EspNetV2
    ear: Mn04
    input_px: int = INPUT_PX
    context_s: float = AUDIO_CONTEXT_S
    threshold: float = THRESHOLD
    sample_rate_hz: int = mn_mel.SAMPLE_RATE_HZ
    frames: int = 1
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[int, str]:
        return self.table.labels

    @property
    def mask_shape(self) -> tuple[int, int]:
        return (self.input_px, self.input_px)

    @property
    def own_threshold(self) -> float:
        return THRESHOLD

    def with_threshold(self, threshold: float) -> Consensus:
        """See `Thresholded`."""
        return replace(self, threshold=threshold)

    def initial_state(self) -> Memory:
        return Memory()

    @torch.inference_mode()
    def step(self, window: Window, state: Memory, stages: Stages) -> tuple[Decision, Memory]:
        if window.sample_rate_hz != self.sample_rate_hz:
            raise ValueError(f"audio has {window.sample_rate_hz} Hz, not {self.sample_rate_hz} Hz")
        samples = window.audio[-1]
        if is_quiet(samples, self.sample_rate_hz):
            return nothing(self.mask_shape), Memory()
        tags = self.tag(samples, stages)
        require_finite("ear", tags)
        likelihood = self.table.hear(tags)
        ids = self.table.ids
        heard = audible(likelihood, ids, state.heard)
        if not heard:
            return nothing(self.mask_shape), Memory()
        seen = self.see(window.newest.image, stages)
        with stages.measure("decide"):
            require_finite("eye", seen)
            sure = {int(i): float(p) for i, p in zip(ids, likelihood, strict=True) if int(i) in heard}
            decision = agree(seen, sure, self.threshold, self.mask_shape)
        return decision, Memory(heard=heard)

    @torch.inference_mode()
    def tag(self, samples: Samples, stages: Stages) -> NDArray[np.float32]:
        """Return the probabilities of the 527 AudioSet labels for mono samples at 32 kHz."""
        with stages.measure("mel"):
            log_mel = mn_mel.log_mel(samples)
        with stages.measure("hear"):
            logits = self.ear(torch.from_numpy(log_mel)[None, None]).logits[0]
            return torch.sigmoid(logits).numpy()

    @torch.inference_mode()
    def see(self, image: Image, stages: Stages) -> Tensor:
        """Return the probability of each VOC class, [21, input_px / 2, input_px / 2], for an RGB image."""
        with stages.measure("resize"):
            pixels = image_to_input(image, self.input_px)
        with stages.measure("see"):
            return torch.softmax(self.eye.logits_half(pixels), dim=1)[0]


def is_quiet(samples: Samples, sample_rate_hz: int) -> bool:
    """True if the newest half second is silent, absolutely or against the loudest half second."""
    block = round(RECENT_S * sample_rate_hz)
    count = max(1, len(samples) // block)
    blocks = np.array_split(np.square(samples[-count * block :], dtype=np.float64), count)
    power = np.array([b.mean() for b in blocks])
    floor = max(10.0 ** (QUIET_DBFS / 10.0), power.max() * 10.0 ** (-QUIET_BELOW_LOUDEST_DB / 10.0))
    return bool(power[-1] < floor)


def load(config: ModelConfig) -> Consensus:
    """Build the preset with the bundled weights; sets torch's thread count to `config.threads`.

    Raises:
        WeightsError: a bundled weight file is missing or damaged.
    """
    configure_threads(config.threads)
    eye, ear, table = EspNetV2(2.0).eval(), Mn04().eval(), read_table()
    eye_sha256 = load_weights(eye, BUNDLED / "espnetv2_s2_voc384.safetensors")
    ear_sha256 = load_weights(ear, BUNDLED / "mn04_as.safetensors")
    model = Consensus(
        id=f"consensus-{content_id(eye_sha256, ear_sha256, table.sha256)}",
        table=table,
        eye=eye.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        ear=ear,
        input_px=config.input_px or INPUT_PX,
        context_s=config.audio_context_s or AUDIO_CONTEXT_S,
        threshold=config.threshold if config.threshold >= 0 else THRESHOLD,
    )
    # The first look is slow, and a warm-up may not contain a sound that leads to one.
    model.see(np.zeros((model.input_px, model.input_px, 3), np.uint8), Stages())
    return model
