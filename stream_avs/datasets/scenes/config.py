"""What composed scenes look like and how often each event happens."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields

from stream_avs.audio.vggish_mel import SAMPLE_RATE_HZ as VGGISH_RATE_HZ
from stream_avs.config import require


class LogMelTiming(enum.StrEnum):
    """Which 0.975 s of sound the VGGish example of a frame holds."""

    NONE = "none"  # no log-mel
    TRAILING = "trailing"  # the 0.975 s that end at the frame, as the live engine hears them
    GRID = "grid"  # example k of consecutive ones, as the released AVSBench files


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """One kind of composed clip. `p_*` are probabilities per clip (per segment in streams)."""

    frames: int = 5
    """Frames in a clip."""
    size_px: int = 96
    """Side of the square frames."""
    frame_spacing_s: float = 0.2
    """Time between frames."""
    audio_context_s: float = 1.0
    """Sound before the first frame."""
    tail_s: float = 0.0
    """Sound after the last frame."""
    sample_rate_hz: int = 16_000
    """Rate of the waveform."""
    log_mel: LogMelTiming = LogMelTiming.TRAILING
    """VGGish examples that come with the clip; they need 16 kHz or a multiple."""

    objects_min: int = 2
    """Fewest objects placed in a clip."""
    objects_max: int = 3
    """Most objects placed in a clip."""
    object_side_min: float = 0.22
    """Shortest longer side of an object, as a share of the frame's side."""
    object_side_max: float = 0.45
    """Longest longer side of an object."""
    speed_max: float = 0.3
    """Fastest motion, frame sides per second."""
    pan_max: float = 0.1
    """Fastest motion of the background, frame sides per second."""

    p_silence: float = 0.08
    """Nothing is heard."""
    p_noise_only: float = 0.06
    """Only noise is heard."""
    p_off_screen: float = 0.10
    """Only something that cannot be seen is heard."""
    p_off_screen_mix: float = 0.08
    """Something unseen is heard besides what is seen."""
    p_several: float = 0.15
    """Two of the objects sound at once."""
    p_switch: float = 0.25
    """The sound changes within the clip: to another object, to silence, to something unseen."""
    p_distractor: float = 0.6
    """An object is there that looks like the first source and is another class."""
    p_noise: float = 0.3
    """Noise under the sound."""
    p_in_place: float = 0.0
    """The source is an object of the background image itself (sources with labelled backgrounds)."""

    level_min_db: float = -34.0
    """Softest sound, RMS dB below full scale."""
    level_max_db: float = -14.0
    """Loudest sound."""
    snr_min_db: float = 3.0
    """Strongest noise, dB below the sound."""
    snr_max_db: float = 30.0
    """Weakest noise."""
    decision_s: float = 0.1
    """An object sounds at time t when its sound fills more than half of the last `decision_s`."""

    def __post_init__(self) -> None:
        def check(name: str, ok: bool, expected: str) -> None:
            require(ok, f"scenes.{name}", getattr(self, name), expected)

        check("frames", 1 <= self.frames <= 100_000, "1..100000")
        check("size_px", 16 <= self.size_px <= 2048, "16..2048 px")
        check("frame_spacing_s", 0 < self.frame_spacing_s <= 60, "(0, 60] s")
        check("audio_context_s", 0 < self.audio_context_s <= 60, "(0, 60] s")
        check("tail_s", 0 <= self.tail_s <= 60, "0..60 s")
        check("sample_rate_hz", 8000 <= self.sample_rate_hz <= 96_000, "8000..96000 Hz")
        fits = self.log_mel is LogMelTiming.NONE or self.sample_rate_hz % VGGISH_RATE_HZ == 0
        check("sample_rate_hz", fits, f"{VGGISH_RATE_HZ} Hz or a multiple with log_mel")
        check("objects_min", 1 <= self.objects_min <= 16, "1..16")
        check("objects_max", self.objects_min <= self.objects_max <= 16, "objects_min..16")
        check("object_side_min", 0.05 <= self.object_side_min <= 1, "0.05..1")
        check("object_side_max", self.object_side_min <= self.object_side_max <= 1, "object_side_min..1")
        check("speed_max", 0 <= self.speed_max <= 10, "0..10 sides per second")
        check("pan_max", 0 <= self.pan_max <= 10, "0..10 sides per second")
        for field in fields(self):
            if field.name.startswith("p_"):
                check(field.name, 0 <= getattr(self, field.name) <= 1, "a probability")
        unseen = self.p_silence + self.p_noise_only + self.p_off_screen
        require(
            unseen <= 1, "scenes.p_silence + p_noise_only + p_off_screen", unseen,
            "at most 1; the rest has a visible source",
        )  # fmt: skip
        check("level_max_db", self.level_min_db <= self.level_max_db <= 0, "level_min_db..0 dB")
        check("snr_max_db", self.snr_min_db <= self.snr_max_db, "at least snr_min_db")
        check("decision_s", 0 < self.decision_s <= self.audio_context_s, "(0, audio_context_s]")

    @property
    def duration_s(self) -> float:
        """Length of the sound of a clip."""
        return self.audio_context_s + (self.frames - 1) * self.frame_spacing_s + self.tail_s
