"""Long streams with sounds that change, to measure how fast and how steadily masks follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_avs.config import require
from stream_avs.datasets.scenes.compose import check_source, frame_times_s, plan_scene
from stream_avs.datasets.scenes.config import SceneConfig
from stream_avs.datasets.scenes.render import mask_of, render_audio, render_frame
from stream_avs.datasets.scenes.source import SceneSource


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StreamFrame:
    """One frame of a stream.

    Attributes:
        index: running number.
        time_s: seconds from the first sample.
        image: uint8 [H, W, 3], RGB.
        mask: uint8 [H, W], class ids, 0 = not sounding.
        audio: float32 [audio_context_s * sample_rate_hz], mono, ends at `time_s`.
        sounding: which objects sound, by their number in the scene.
        switched: True when `sounding` differs from the frame before.
    """

    index: int
    time_s: float
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    audio: NDArray[np.float32]
    sounding: frozenset[int]
    switched: bool


class SceneStream:
    """One scene of many frames, rendered frame by frame; can be iterated again and again.

    Args:
        source: pictures and sounds.
        config: look and events; `frames`, `p_switch` and `log_mel` play no part here.
        duration_s: from the first to the last frame.
        segment_s: shortest and longest time between two changes of the sound.
        seed: same seed, same stream.

    Raises:
        ConfigError: a setting is out of range or does not fit the source.
    """

    def __init__(
        self,
        source: SceneSource,
        config: SceneConfig,
        *,
        duration_s: float = 30.0,
        segment_s: tuple[float, float] = (1.5, 4.0),
        seed: int = 0,
    ) -> None:
        require(0 < duration_s <= 3600, "scenes.duration_s", duration_s, "(0, 3600] s")
        require(
            0.1 <= segment_s[0] <= segment_s[1], "scenes.segment_s", segment_s, "0.1 <= shortest <= longest"
        )
        require(seed >= 0, "scenes.seed", seed, "0 or more")
        check_source(source, config)
        rng = np.random.default_rng((seed, 3))
        count = 1 + int(duration_s / config.frame_spacing_s + 1e-6)
        times = frame_times_s(config, count)
        cuts = []
        next_s = config.audio_context_s + rng.uniform(*segment_s)
        while next_s < times[-1]:
            cuts.append(float(next_s))
            next_s += rng.uniform(*segment_s)
        self.plan = plan_scene(source, config, rng, times_s=times, cuts_s=cuts)
        self.class_names = source.class_names
        self.waveform = render_audio(self.plan, source)
        self.sample_rate_hz = config.sample_rate_hz
        self._context = round(config.audio_context_s * config.sample_rate_hz)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.plan.frame_times_s)

    def __iter__(self) -> Iterator[StreamFrame]:
        before: frozenset[int] | None = None
        for index, time in enumerate(self.plan.frame_times_s):
            time_s = float(time)
            image, owner = render_frame(self.plan, time_s)
            sounding = self.plan.sounding(time_s)
            end = round(time_s * self.sample_rate_hz)
            yield StreamFrame(
                index=index,
                time_s=time_s,
                image=image,
                mask=mask_of(self.plan, owner, time_s),
                audio=self.waveform[end - self._context : end],
                sounding=sounding,
                switched=before is not None and sounding != before,
            )
            before = sounding
