"""Networks that carry nothing: a live stream with kept frames equals every window run from scratch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from live_streams import Film, padded, stream_of

from stream_avs.models.architectures import ARCHITECTURES, Architecture
from stream_avs.models.base import Stages
from stream_avs.models.network import Network, StatelessNetwork

PX = 64


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    torch.set_num_threads(1)
    with torch.no_grad():
        yield


def network_of(architecture: Architecture) -> Network:
    """The tiny preset, every output of which depends on every input."""
    torch.manual_seed(0)
    network = architecture.build(architecture.preset("tiny", input_px=PX, frames=3))
    for parameter in network.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


STATELESS = [a for a in ARCHITECTURES.values() if isinstance(network_of(a), StatelessNetwork)]
each_architecture = pytest.mark.parametrize("architecture", STATELESS, ids=[a.name for a in STATELESS])


@each_architecture
def test_a_stream_with_drops_repeats_and_resets_equals_its_windows_from_scratch(
    architecture: Architecture,
) -> None:
    network = network_of(architecture)
    model = stream_of(network, PX)
    film, state, stored = Film(model), model.initial_state(), list[int]()
    for seq in range(14):
        if seq == 9:
            state, stored = model.initial_state(), []
        if seq == 4:
            continue  # a frame that never came
        stored.append(seq)
        if seq == 6:
            continue  # a frame that got no mask, but is in later windows
        for _ in range(2 if seq == 5 else 1):
            window = film.window(padded(stored, model.frames))
            live = model.output(window, state, Stages())
            whole = network(*film.inputs(padded(stored, 3)), every_layer=False)
            torch.testing.assert_close(live.logits, whole.masks[-1][0, -1], rtol=0, atol=1e-4)
            assert live.sounding == pytest.approx(whole.sounding[0, -1].sigmoid().item(), abs=1e-4)


@each_architecture
def test_streams_in_one_step_do_not_touch(architecture: Architecture) -> None:
    network = network_of(architecture)
    alone, together = stream_of(network, PX), stream_of(network, PX, rows=2)
    films = [Film(alone, seed=k) for k in range(2)]
    states = [together.initial_state() for _ in films]
    singles = [alone.initial_state() for _ in films]
    for seq in range(4):
        windows = [film.window(padded(range(seq + 1), alone.frames)) for film in films]
        together_now = [together.output(w, s, Stages()).logits for w, s in zip(windows, states, strict=True)]
        for window, single, logits in zip(windows, singles, together_now, strict=True):
            expected = alone.output(window, single, Stages()).logits
            torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)


@each_architecture
def test_older_frames_matter_as_far_as_the_network_looks(architecture: Architecture) -> None:
    network = network_of(architecture)
    model = stream_of(network, PX)
    film = Film(model)
    masks = []
    for first in (0, 7):
        frames, audio = film.inputs([first, 1, 2])
        masks.append(network(frames, audio, every_layer=False).masks[-1][0, -1])
    differs = not torch.allclose(masks[0], masks[1], atol=1e-5)
    assert differs == (model.frames > 1)


@each_architecture
def test_of_a_longer_window_the_newest_frames_count(architecture: Architecture) -> None:
    model = stream_of(network_of(architecture), PX)
    film = Film(model)
    short, long = film.window(range(5)[-model.frames :]), film.window(range(5))
    masks = [model.output(w, model.initial_state(), Stages()).logits.clone() for w in (short, long)]
    torch.testing.assert_close(masks[0], masks[1], rtol=0, atol=1e-6)
