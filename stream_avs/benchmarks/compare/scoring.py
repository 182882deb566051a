"""Score a trained network on scenes that ask one thing each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from stream_avs.benchmarks.compare.scale import Scale
from stream_avs.datasets.sample import ClipSample
from stream_avs.datasets.scenes import ProceduralSource, SceneStream
from stream_avs.datasets.scenes.dataset import compose
from stream_avs.evaluation.metrics import BinaryMetrics
from stream_avs.evaluation.stream_metrics import FalseAlarms, false_alarms, switch_delay
from stream_avs.models.network import Network, sounding_probability
from stream_avs.training.batch import Collate
from stream_avs.training.config import DataConfig, ScenesConfig
from stream_avs.training.data import open_split, with_sound_for
from stream_avs.training.objective import segment

_NO_EVENTS = {"p_silence": 0.0, "p_off_screen": 0.0, "p_switch": 0.0}
_BATCH = 10
_SEGMENT_S = (1.5, 3.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predicted:
    """What a network says about some clips.

    Attributes:
        probability: float32 [B, T, S, S], that a pixel sounds.
        truth: uint8 [B, T, S, S], class ids.
    """

    probability: NDArray[np.float32]
    truth: NDArray[np.uint8]

    @property
    def masks(self) -> NDArray[np.uint8]:
        """0 or 1, uint8 [B, T, S, S]."""
        return (self.probability > 0.5).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class _Switches:
    """Changes of the sound in streams: mean delay of those followed, how many were not, of how many."""

    delay_s: float
    missed: int
    count: int


def score_network(network: Network, scale: Scale) -> tuple[dict[str, float], dict[str, int]]:
    """Take all scores; the test scenes are the same for every network and seed.

    Returns:
        Scores by `Metric.key` with the areas of the alarms, and the counts behind them.
    """
    network.eval()
    sounding = BinaryMetrics()
    found = predict(network, _clips(network, scale.scenes(p_silence=0.0, p_off_screen=0.0)))
    sounding.update(found.probability, found.truth)
    scores = sounding.compute()
    silence, unseen = _alarms(network, scale, "p_silence"), _alarms(network, scale, "p_off_screen")
    switches = _switches(network, scale)
    return (
        {
            "j": scores.j, "f": scores.f_sounding,
            "silence_alarms": silence.rate, "silence_area": silence.area,
            "off_screen_alarms": unseen.rate, "off_screen_area": unseen.area,
            "switch_s": switches.delay_s, "switch_missed": switches.missed / max(1, switches.count),
        },
        {
            "frames": scores.frames, "silent_frames": silence.frames, "off_screen_frames": unseen.frames,
            "switches": switches.count,
        },
    )  # fmt: skip


@torch.no_grad()
def predict(network: Network, clips: list[ClipSample]) -> Predicted:
    """Run the network over clips of one length; longer ones than its window as a live stream would."""
    collate = Collate(size_px=network.config.input_px, audio=network.audio_input, binary=False)
    probabilities, truths = [], []
    for first in range(0, len(clips), _BATCH):
        batch = collate(clips[first : first + _BATCH])
        logits = segment(network, batch)
        sounds = sounding_probability(logits.flatten(0, 1)).numpy()  # [B * T, S, S]
        probabilities.append(sounds.reshape(batch.masks.shape))
        truths.append(batch.masks.numpy())
    return Predicted(probability=np.concatenate(probabilities), truth=np.concatenate(truths))


def _clips(network: Network, scenes: ScenesConfig) -> list[ClipSample]:
    data, frames = DataConfig(scenes=scenes), scenes.scene.frames
    clips = open_split(data, "test", network.config, network.audio_input, frames)
    return [clips[k] for k in range(len(clips))]


def _alarms(network: Network, scale: Scale, event: str) -> FalseAlarms:
    """What is masked in clips in which nothing but `event` happens."""
    scenes = scale.scenes(**{**_NO_EVENTS, event: 1.0})
    found = predict(network, _clips(network, replace(scenes, test_clips=scale.quiet_clips)))
    frames = found.truth.shape[2:]
    return false_alarms(found.masks.reshape(-1, *frames), found.truth.reshape(-1, *frames))


def _switches(network: Network, scale: Scale) -> _Switches:
    scenes = scale.scenes()
    source = ProceduralSource(shapes=scenes.shapes, colours=scenes.colours)
    scene = with_sound_for(network.audio_input, scenes.scene)
    streams = [
        SceneStream(source, scene, duration_s=scale.stream_s, segment_s=_SEGMENT_S, seed=seed)
        for seed in range(scale.streams)
    ]
    clips = [
        compose(stream.plan, source, name=f"stream {k}", split="test", log_mel=scene.log_mel)
        for k, stream in enumerate(streams)
    ]
    found = predict(network, clips)
    truth = (found.truth > 0).astype(np.uint8)
    delays: list[int | None] = []
    for masks, expected, stream in zip(found.masks, truth, streams, strict=True):
        delays += switch_delay(masks, expected, switched(stream)).delays
    followed = [delay for delay in delays if delay is not None]
    mean = float(np.mean(followed)) if followed else float("nan")
    return _Switches(
        delay_s=mean * scenes.scene.frame_spacing_s, missed=len(delays) - len(followed), count=len(delays)
    )


def switched(stream: SceneStream) -> NDArray[np.bool_]:
    """bool [T], True on the first frame of a new set of sounding objects."""
    sounding = [stream.plan.sounding(float(time_s)) for time_s in stream.plan.frame_times_s]
    return np.array([False, *(now != before for before, now in itertools.pairwise(sounding))], np.bool_)
