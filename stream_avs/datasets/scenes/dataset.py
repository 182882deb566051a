"""Composed clips by number: the same number and seed give the same clip, on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream_avs.config import require
from stream_avs.datasets.log_mel import grid_examples, trailing_examples
from stream_avs.datasets.sample import SPLITS, ClipSample
from stream_avs.datasets.scenes.compose import check_source, plan_clip
from stream_avs.datasets.scenes.config import LogMelTiming, SceneConfig
from stream_avs.datasets.scenes.plan import ScenePlan
from stream_avs.datasets.scenes.render import mask_of, render_audio, render_frame
from stream_avs.datasets.scenes.source import SceneSource


class SceneDataset:
    """Composed clips, as many as asked for.

    Clip k depends on (seed, split, k) alone. Any k >= 0 may be asked for, whatever `length` is, so a
    run that wants new clips every epoch asks for `epoch * length + k`.

    Args:
        source: pictures and sounds, e.g. `ProceduralSource()` or an `AssetSource` of the same split.
        config: how the clips look and what happens in them.
        seed: 0 or more.
        split: train, val or test; each draws its own clips.
        length: what `len()` says; iteration never ends.

    Raises:
        ConfigError: a setting does not fit the source.
    """

    def __init__(
        self,
        source: SceneSource,
        config: SceneConfig,
        *,
        seed: int = 0,
        split: str = "train",
        length: int = 1000,
    ) -> None:
        require(seed >= 0, "scenes.seed", seed, "0 or more")
        require(split in SPLITS, "scenes.split", split, " or ".join(SPLITS))
        require(length >= 1, "scenes.length", length, "at least 1")
        check_source(source, config)
        self.source = source
        self.config = config
        self.seed = seed
        self.split = split
        self.class_names = source.class_names
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[ClipSample]:
        index = 0
        while True:
            yield self[index]
            index += 1

    def __getitem__(self, index: int) -> ClipSample:
        """Compose clip `index`; see `ClipSample` for what is in it.

        Raises:
            IndexError: `index` is negative.
        """
        return compose(
            self.plan(index), self.source, name=f"scene_{self.split}_{index:06d}", split=self.split,
            log_mel=self.config.log_mel,
        )  # fmt: skip

    def plan(self, index: int) -> ScenePlan:
        """Draw the script of clip `index` without rendering it."""
        if index < 0:
            raise IndexError(f"clip {index}")
        rng = np.random.default_rng((self.seed, SPLITS.index(self.split), index))
        return plan_clip(self.source, self.config, rng)


def compose(
    plan: ScenePlan, source: SceneSource, *, name: str, split: str, log_mel: LogMelTiming
) -> ClipSample:
    """Render a plan whole. `category` names the first class that is both heard and seen."""
    times = plan.frame_times_s
    T = len(times)
    pictures = [render_frame(plan, float(t)) for t in times]
    masks = np.stack([mask_of(plan, owner, float(t)) for (_, owner), t in zip(pictures, times, strict=True)])
    waveform = render_audio(plan, source)
    examples = None
    if log_mel is LogMelTiming.TRAILING:
        examples = trailing_examples(waveform, times, plan.sample_rate_hz)
    elif log_mel is LogMelTiming.GRID:
        examples = grid_examples(waveform, plan.sample_rate_hz)[:T]
        require(len(examples) == T, "scenes.frame_spacing_s", f"{plan.duration_s:.2f} s of sound",
                f"at least {0.96 * T + 0.015:.2f} s for {T} examples on the grid")  # fmt: skip
    first = next((e.class_id for e in plan.events if e.source is not None), 0)
    return ClipSample(
        name=name,
        category=source.class_names[first] if first else "",
        split=split,
        frames=np.stack([image for image, _ in pictures]),
        masks=masks,
        mask_valid=np.ones(T, np.bool_),
        frame_valid=np.ones(T, np.bool_),
        frame_times_s=times,
        log_mel=examples,
        waveform=waveform,
        sample_rate_hz=plan.sample_rate_hz,
        tags=plan.tags,
    )
