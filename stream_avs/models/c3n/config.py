"""Every dimension and switch of C3N, and the presets. Imports no torch."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from stream_avs.config import require
from stream_avs.models.c3n.labels import (
    SCENE_LABELS,
    VOC_LABELS,
    audioset_labels,
    imagenet_labels,
    resembles_audioset,
)
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName, NetworkConfig

_TAGGED_IMAGES = tuple(name for name in ImageEncoderName if name.startswith("pvt_v2_"))
"""Image encoders whose published file holds a linear classifier of ImageNet's 1000 classes."""


class Guidance(enum.StrEnum):
    """Where CCAM's channel weights come from; see `guidance`."""

    GRADIENT = "gradient"  # every map, by back-propagation from the last map's classifier: the paper
    LINEAR = "linear"  # every map, from a linear classifier of its own
    LAST = "last"  # the last map alone, from its classifier; equals GRADIENT there


class Tagger(enum.StrEnum):
    """What tells the labels heard."""

    OWN = "own"  # a classifier on the audio encoder: the published one of mn04, or one that learns
    MN04 = "mn04"  # a second network with a log-mel of its own, AudioSet's labels, never trained


@dataclass(frozen=True, kw_only=True)
class C3NConfig(NetworkConfig):
    """One C3N. The defaults are the paper's where it is explicit."""

    labels: tuple[str, ...] = ()
    """Classes that the classifiers learn beside the masks, in the order of the data set's ids; with a tagger
    only the visual one learns. None for the published classifiers of ImageNet's 1000 and AudioSet's 527."""
    tagger: Tagger = Tagger.OWN
    """What tells the labels heard. The paper's VGGish comes with a pretrained classifier of AudioSet's 527
    labels; `mn04` does its work. `own` for an audio encoder that is a tagger itself, or learns to be."""
    similarity: str = ""
    """File of one's own similarity of labels seen and heard, float [seen, heard], written by numpy.save;
    read when training starts and kept in the checkpoint. Empty for the one from label text."""
    power: float = 0.1
    """Exponent of the confidences, the paper's alpha."""
    guidance: Guidance = Guidance.LAST
    """Where the channel weights of the attention come from."""

    d: int = 256
    """Width after the pyramid pooling."""
    inner: int = 128
    """Width inside the non-local blocks."""
    dilations: tuple[int, int, int] = (6, 12, 18)
    """Of the pyramid pooling."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.d >= 32 and self.d % 32 == 0, "model.d", self.d, "a multiple of 32")
        require(self.inner >= 1, "model.inner", self.inner, "1 or more")
        require(all(x >= 1 for x in self.dilations), "model.dilations", self.dilations, "1 or more each")
        require(0 < self.power <= 1, "model.power", self.power, "(0, 1]")
        require(len(self.labels) != 1, "model.labels", self.labels, "none, or two and more")
        if not self.labels:
            require(
                self.image_encoder in _TAGGED_IMAGES,
                "model.image_encoder", str(self.image_encoder), "a PVTv2, or model.labels to learn",
            )  # fmt: skip
            require(
                self.tagger is Tagger.MN04 or self.audio_encoder is AudioEncoderName.MN04,
                "model.audio_encoder", str(self.audio_encoder),
                "mn04, model.tagger mn04, or model.labels to learn",
            )  # fmt: skip
            require(
                self.guidance is not Guidance.LINEAR,
                "model.guidance", str(self.guidance),
                "last or gradient, as only the last map has a published classifier",
            )  # fmt: skip
        if self.tagger is Tagger.MN04:
            self._check_tagger()

    def _check_tagger(self) -> None:
        require(
            self.audio_encoder is not AudioEncoderName.MN04,
            "model.tagger", str(self.tagger),
            "own with model.audio_encoder mn04, which is that tagger already",
        )  # fmt: skip
        given = not self.labels or bool(self.similarity)
        require(
            given or any(resembles_audioset(label) for label in self.labels),
            "model.labels", self.labels,
            "a label that resembles one of AudioSet's, as the tagger knows no others; or model.similarity, "
            f"a matrix [{len(self.labels)}, {len(audioset_labels())}]; or model.tagger own",
        )  # fmt: skip

    @property
    def seen(self) -> tuple[str, ...]:
        """Labels of the visual classifier."""
        return self.labels or imagenet_labels()

    @property
    def heard(self) -> tuple[str, ...]:
        """Labels of the audio classifier."""
        return self.labels if self.learns_to_hear else audioset_labels()

    @property
    def learns_to_hear(self) -> bool:
        """Whether the audio classifier learns `labels`, as the visual one does."""
        return bool(self.labels) and self.tagger is Tagger.OWN

    @property
    def taught_labels(self) -> tuple[str, ...]:
        """Classes that must be the data set's."""
        return self.labels

    @property
    def stands_on(self) -> tuple[str, ...]:
        """See `NetworkConfig.stands_on`."""
        tagger = (f"tagger {self.tagger}",) if self.tagger is not Tagger.OWN else ()
        return (*super().stands_on, *tagger)


PRESETS: dict[str, C3NConfig] = {
    "pvt2": C3NConfig(audio_encoder=AudioEncoderName.VGGISH, tagger=Tagger.MN04),
    "nano": C3NConfig(
        image_encoder=ImageEncoderName.ESPNETV2,
        audio_encoder=AudioEncoderName.MN04,
        labels=VOC_LABELS, guidance=Guidance.LINEAR, d=96, inner=48,
    ),
    "tiny": C3NConfig(
        image_encoder=ImageEncoderName.TINY,
        audio_encoder=AudioEncoderName.TINY,
        input_px=64, labels=SCENE_LABELS, guidance=Guidance.LINEAR, d=32, inner=32, dilations=(1, 2, 3),
    ),
}  # fmt: skip
"""Ready-made networks by name."""
