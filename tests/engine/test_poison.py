"""Real networks with one number spoilt: they must say so instead of showing an empty mask."""

from __future__ import annotations

import itertools
import operator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from live_streams import Film, small_network, stream_of

from stream_avs.config import ModelConfig
from stream_avs.engine.poison import is_device_lost
from stream_avs.engine.session import Session
from stream_avs.errors import PoisonedError
from stream_avs.ledger import Ledger
from stream_avs.models.base import AnyModel
from stream_avs.models.nano import stream as nano
from stream_avs.models.registry import load_model
from stream_avs.types import Frame, Window


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def talker(talkers: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """A picture of somebody who talks, two seconds of the sound, and its rate."""
    with av.open(str(talkers)) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in itertools.islice(container.decode(video=0), 50)]
    with av.open(str(talkers)) as container:
        rate_hz = container.streams.audio[0].rate
        sound = np.concatenate([f.to_ndarray().mean(0) for f in container.decode(audio=0)])
    return pictures[-1], sound[: 2 * rate_hz].astype(np.float32), rate_hz


def window_of(model: AnyModel, talker: tuple[np.ndarray, np.ndarray, int], seq: int) -> Window:
    image, sound, rate_hz = talker
    count = round(model.context_s * model.sample_rate_hz)
    samples = np.interp(np.arange(count) * rate_hz / model.sample_rate_hz, np.arange(len(sound)), sound)
    frame = Frame(image=image, stamp_ns=(seq + 1) * 40_000_000, arrival_ns=0, seq=seq)
    return Window(
        frames=(frame,) * model.frames,
        audio=np.tile(samples.astype(np.float32), (model.frames, 1)),
        audio_coverage=np.ones(model.frames, np.float32),
        sample_rate_hz=model.sample_rate_hz,
        distinct=1,
    )


def spoil(network: torch.nn.Module, which: int) -> None:
    """Make one weight of one of its layers not a number, as a flipped bit of memory does."""
    weights = [p for p in network.parameters() if p.ndim >= 2]
    with torch.no_grad():
        weights[which][0, 0] = float("nan")


@pytest.mark.parametrize(("part", "which"), [("eye", -1), ("ear", 0)])
def test_consensus(talker: tuple[np.ndarray, np.ndarray, int], part: str, which: int) -> None:
    model = load_model(ModelConfig(preset="consensus", threads=1))
    session = Session(model, stream="cam0", ledger=Ledger())
    assert session.step(window_of(model, talker, 0)).mask.any(), "somebody talks"
    spoil(getattr(model, part), which)
    with pytest.raises(PoisonedError, match=f"the {part} gives numbers that are none"):
        session.step(window_of(model, talker, 1))


@pytest.mark.parametrize(("part", "which"), [("eye", -1), ("ear", 0), ("network.trunk.head.classify", 0)])
def test_nano(talker: tuple[np.ndarray, np.ndarray, int], part: str, which: int) -> None:
    model = nano.load(ModelConfig(preset="nano", threads=1))
    session = Session(model, stream="cam0", ledger=Ledger())
    session.step(window_of(model, talker, 0))
    spoil(operator.attrgetter(part)(model), which)
    with pytest.raises(PoisonedError):
        session.step(window_of(model, talker, 1))


@pytest.mark.parametrize("part", ["audio_encoder", "head.classify"])
def test_a_trained_network(part: str) -> None:
    network = small_network()
    model = stream_of(network)
    film = Film(model)
    session = Session(model, stream="cam0", ledger=Ledger())
    session.step(film.window([0, 0, 1]))
    spoil(network.get_submodule(part), 0)
    with pytest.raises(PoisonedError, match="sounding score is nan"):
        session.step(film.window([0, 1, 2]))


def test_what_says_that_a_device_is_gone() -> None:
    wrapped = ValueError("outer")
    wrapped.__cause__ = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert is_device_lost(wrapped)
    assert is_device_lost(RuntimeError("CUDA error: device-side assert triggered"))
    assert not is_device_lost(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_device_lost(RuntimeError("shapes cannot be multiplied"))
