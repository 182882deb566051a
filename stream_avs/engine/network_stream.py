"""A trained network as a `StreamModel`: any number of sessions, each at its own pace, share one engine.

Sessions call `step` from their own threads. Pictures and sounds are prepared there; what waits for
the network goes through it together.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stream_avs.audio.front_end import AudioInput
from stream_avs.config import BackendName, ModelConfig
from stream_avs.engine.ccformer_engine import CCFormerEngine
from stream_avs.engine.combiner import Combiner
from stream_avs.engine.frame_slots import FrameSlots
from stream_avs.engine.network_engine import NetworkEngine
from stream_avs.engine.requests import THRESHOLD, FrameInput, Output, Request
from stream_avs.engine.stream_plan import StreamRow, plan
from stream_avs.engine.window_engine import WindowEngine
from stream_avs.errors import ConfigError
from stream_avs.models.architectures import architecture_of
from stream_avs.models.base import Decision, Stages
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.checkpoint import load_network
from stream_avs.models.load import content_id
from stream_avs.models.network import Network, StatelessNetwork
from stream_avs.models.preprocess import resize
from stream_avs.models.threads import configure_threads
from stream_avs.types import Frame, Samples, Window

MAX_STREAMS = 64
CACHE_BYTES = 4 << 30
"""Frames kept for windows with a spacing may take this much; beyond it they are kept less densely."""


AnyEngine = NetworkEngine[Any, Any]


class StreamState:
    """A stream's place in the engine, taken at its first step and given back when this goes away."""

    def __init__(self) -> None:
        self.row: StreamRow | None = None


class NetworkStream:
    """See `stream_avs.models.base.StreamModel`; `step` may be called by many threads, one per stream.

    Args:
        engine: the network; belongs to this object from here on.
        labels: name of every class id; index 0 is the background.
        model_id: see `StreamModel.id`.
        threshold: a pixel sounds above this probability, 0..1.
        max_streams: most streams at a time.
        batch: most streams in one step.
    """

    def __init__(
        self,
        engine: AnyEngine,
        labels: Sequence[str],
        model_id: str,
        *,
        threshold: float = THRESHOLD,
        max_streams: int = MAX_STREAMS,
        batch: int = 16,
    ) -> None:
        self.id = model_id
        self.labels = dict(enumerate(labels))
        del self.labels[0]
        self.threshold = threshold
        self.own_threshold = THRESHOLD
        self.engine = engine
        self.frames = engine.frames
        self.input_px = engine.input_px
        self._audio_input: AudioInput = engine.network.audio_input
        self.sample_rate_hz = self._audio_input.sample_rate_hz
        self.context_s = self._audio_input.context_s
        self.mask_shape = engine.mask_shape
        self._combiner: Combiner[Request, Output] = Combiner(engine.step, batch)
        self._max_streams = max_streams
        self._free = list(range(engine.rows - 1, -1, -1))

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for people: which backend runs and why not another."""
        return tuple(dict.fromkeys(line for report in self.engine.reports for line in report.notes))

    @property
    def streams(self) -> int:
        """Streams that have a place now."""
        return self.engine.rows - len(self._free)

    def with_threshold(self, threshold: float) -> NetworkStream:
        """See `Thresholded`."""
        other = copy.copy(self)  # with the same engine, and the same places in it
        other.threshold = threshold
        return other

    def initial_state(self) -> StreamState:
        return StreamState()

    def step(self, window: Window, state: StreamState, stages: Stages) -> tuple[Decision, StreamState]:
        output = self.output(window, state, stages)
        with stages.measure("decide"):
            return self._decision(output), state

    def output(self, window: Window, state: StreamState, stages: Stages) -> Output:
        """As `step`, with the network's own numbers."""
        if window.sample_rate_hz != self.sample_rate_hz:
            raise ValueError(f"audio has {window.sample_rate_hz} Hz, not {self.sample_rate_hz} Hz")
        if not self.engine.causal:
            window = self._newest_of(window)
        row = state.row or self._join(state)
        with stages.measure("prepare"):
            request = plan(window, row, self.frames, self.engine.causal, self._prepare, self._grow)
        with stages.measure("network"):
            return self._combiner.call(replace(request, threshold=self.threshold))

    def _newest_of(self, window: Window) -> Window:
        """The frames the network looks at, of a window that may hold more."""
        n = self.frames
        if len(window.frames) < n:
            raise ValueError(f"window has {len(window.frames)} frames; set window.frames to {n}")
        return replace(
            window,
            frames=window.frames[-n:],
            audio=window.audio[-n:],
            audio_coverage=window.audio_coverage[-n:],
            distinct=min(window.distinct, n),
        )

    def _join(self, state: StreamState) -> StreamRow:
        with self._combiner.alone():
            if not self._free:
                self._more_rows()
            index = self._free.pop()
            self.engine.clear(index)
        slots = FrameSlots(self.engine.slots), FrameSlots(2)
        state.row = StreamRow(index=index, frames=slots[0], steps=slots[1])
        weakref.finalize(state, self._free.append, index)
        return state.row

    def _more_rows(self) -> None:
        rows = self.engine.rows
        if rows >= self._max_streams:
            raise ConfigError(
                f"{rows} streams run already, the most this engine takes", "End one, or raise max_streams"
            )
        more = min(2 * rows, self._max_streams)
        self.engine.make_room(more, 0, 0)
        self._free.extend(range(more - 1, rows - 1, -1))

    def _grow(self, row: StreamRow, frames: int, steps: int) -> None:
        most = CACHE_BYTES // max(1, self.engine.slot_bytes * self.engine.rows)
        frames = max(len(row.frames), min(frames, most))
        with self._combiner.alone():
            self.engine.make_room(0, frames, steps)
        row.frames.grow(frames)
        row.steps.grow(steps)

    def _prepare(self, slot: int, frame: Frame, samples: Samples) -> FrameInput:
        image = resize(frame.image, self.input_px, self.input_px)
        log_mel = torch.from_numpy(self._audio_input(samples))
        return FrameInput(slot=slot, image=image, log_mel=log_mel[None])

    def _decision(self, output: Output) -> Decision:
        mask, confidence = output.pixels
        pixels = np.bincount(mask.ravel())
        total = np.bincount(mask.ravel(), weights=confidence.ravel())
        scores = {int(i): float(total[i] / pixels[i] / 255.0) for i in np.flatnonzero(pixels) if i}
        return Decision(mask=mask, confidence=confidence, scores=scores, sounding_score=output.sounding)


def engine_of(network: Network, input_px: int, **options: Any) -> AnyEngine:
    """The engine a network runs in; `options` as for `NetworkEngine`."""
    if isinstance(network, CCFormer):
        return CCFormerEngine(network, input_px, **options)
    if isinstance(network, StatelessNetwork):
        return WindowEngine(network, input_px, **options)
    raise TypeError(f"no engine for {type(network).__name__}")


def stream_of(
    network: Network,
    labels: Sequence[str],
    model_id: str,
    config: ModelConfig,
    *,
    batch_sizes: Sequence[int] = (1,),
    device: str = "",
) -> NetworkStream:
    """Put a network behind a backend chosen by `config`.

    Raises:
        StreamAvsError: the backend cannot run here.
    """
    configure_threads(config.threads)
    gpu = config.backend in (BackendName.CUDA, BackendName.TENSORRT)
    automatic = config.backend is BackendName.AUTO and torch.cuda.is_available()
    engine = engine_of(
        network,
        config.input_px or network.config.input_px,
        backend=config.backend,
        precision=config.precision,
        threads=config.threads,
        batch_sizes=batch_sizes,
        device=device or ("cuda" if gpu or automatic else "cpu"),
    )
    threshold = config.threshold if config.threshold >= 0 else THRESHOLD
    return NetworkStream(engine, labels, model_id, threshold=threshold)


def load(config: ModelConfig) -> NetworkStream:
    """Build a preset named like an architecture from a checkpoint.

    Raises:
        ConfigError: no checkpoint is named, it is of another architecture, or hears another length of audio.
        WeightsError: it is missing, damaged or does not fit.
        StreamAvsError: the backend cannot run here.
    """
    if not config.weights:
        raise ConfigError(
            f"preset {config.preset} has no weights", "Give --model.weights FILE, from `stream-avs train`"
        )
    loaded = load_network(Path(config.weights).expanduser())
    found = architecture_of(loaded.network.config).name
    if found != config.preset:
        raise ConfigError(
            f"checkpoint {config.weights} is of architecture {found}, not {config.preset}",
            f"Give --model.preset {found}",
        )
    model_id = f"{found}-{content_id(loaded.sha256)}"
    stream = stream_of(loaded.network, loaded.description.labels, model_id, config)
    if config.audio_context_s and abs(config.audio_context_s - stream.context_s) > 1e-9:
        raise ConfigError(
            f"setting model.audio_context_s is {config.audio_context_s}",
            f"This network hears {stream.context_s:g} s; leave it at 0",
        )
    return stream
