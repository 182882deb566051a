"""Composed audio-visual clips with exact masks: made in memory, the same for the same seed."""

from stream_avs.datasets.scenes.config import LogMelTiming, SceneConfig
from stream_avs.datasets.scenes.dataset import SceneDataset
from stream_avs.datasets.scenes.procedural import ProceduralSource
from stream_avs.datasets.scenes.stream import SceneStream, StreamFrame

__all__ = ["LogMelTiming", "ProceduralSource", "SceneConfig", "SceneDataset", "SceneStream", "StreamFrame"]
