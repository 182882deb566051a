"""Which frames a mask depends on: window mode, causal mode, carried queries."""

import pytest
import torch
from small_network import inputs, small_network
from torch import Tensor

from stream_avs.models.attention import frame_mask
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import Mode
from stream_avs.models.ccformer.early_integration import EarlyIntegrationModule

SAME = {"rtol": 0.0, "atol": 3e-5}
NONE = torch.zeros(2, dtype=torch.bool)
ALL = torch.ones(2, dtype=torch.bool)


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)
    with torch.no_grad():
        yield


def influence(network: CCFormer, frames: int, changed: int, *, audio: bool) -> list[bool]:
    """Which frames' masks or scores change when picture or sound of one frame changes."""
    pictures, sounds = inputs(frames=frames)
    before = network(pictures, sounds)
    other_pictures, other_sounds = inputs(frames=frames, seed=9)
    (sounds if audio else pictures)[:, changed] = (other_sounds if audio else other_pictures)[:, changed]
    after = network(pictures, sounds)
    moved = (after.masks[-1] - before.masks[-1]).abs().amax((0, 2, 3, 4))
    moved = moved.maximum((after.sounding - before.sounding).abs().amax(0))
    assert not ((moved > 2e-6) & (moved < 2e-5)).any(), "neither clearly moved nor clearly still"
    return (moved > 2e-5).tolist()


@pytest.mark.parametrize("audio", [False, True])
def test_in_a_window_every_frame_depends_on_every_other(audio: bool) -> None:
    network = small_network()
    for changed in range(3):
        assert influence(network, 3, changed, audio=audio) == [True] * 3


@pytest.mark.parametrize("carry", [False, True])
@pytest.mark.parametrize("audio", [False, True])
def test_in_causal_mode_the_future_has_no_influence(audio: bool, carry: bool) -> None:
    network = small_network(mode=Mode.CAUSAL, carry=carry)
    assert influence(network, 6, 3, audio=audio) == [False, False, False, True, True, True]


@pytest.mark.parametrize("audio", [False, True])
def test_in_causal_mode_influence_ends_with_the_receptive_frames(audio: bool) -> None:
    network = small_network(mode=Mode.CAUSAL, carry=False, frames=2, ici_layers=1, iti_layers=1)
    assert network.config.receptive_frames == 4
    assert influence(network, 7, 1, audio=audio) == [False, True, True, True, True, False, False]


def test_one_mixing_layer_looks_at_exactly_the_frames_before() -> None:
    network = small_network(mode=Mode.CAUSAL, carry=False, frames=5, iti=False, ave=True, vae=True)
    assert network.config.receptive_frames == 5
    assert influence(network, 8, 1, audio=True) == [False, True, True, True, True, True, False, False]


def test_eim_lets_each_frame_see_itself_and_four_before() -> None:
    config = small_network(frames=5).config
    eim = EarlyIntegrationModule(config).eval()
    visual, audio = [torch.randn(1, 8, 6, 32), torch.randn(1, 8, 2, 32)], torch.randn(1, 8, 3, 32)
    codes = [torch.zeros(6, 32), torch.zeros(2, 32)]
    mask = frame_mask(8, 5)

    def enhance(visual: list[Tensor], audio: Tensor) -> tuple[list[Tensor], Tensor]:
        return eim(visual, audio, codes, eim.offer(visual, audio, codes), mask)

    (fine, coarse), heard = enhance(visual, audio)
    assert fine.shape == visual[0].shape
    assert coarse.shape == visual[1].shape
    assert heard.shape == audio.shape

    visual[1] = visual[1].clone()
    visual[1][:, 2] += 1
    moved = (enhance(visual, audio)[1] - heard).abs().amax((0, 2, 3)) > 1e-5
    assert moved.tolist() == [False, False, True, True, True, True, True, False]

    louder = audio.clone()
    louder[:, 2] += 1
    moved = (enhance([visual[0], visual[1]], louder)[0][0] - fine).abs().amax((0, 2, 3)) > 1e-5
    assert moved.tolist() == [False, False, True, True, True, True, True, False]


@pytest.mark.parametrize("carry", [False, True])
def test_a_causal_stream_does_not_depend_on_where_it_ends(carry: bool) -> None:
    network = small_network(mode=Mode.CAUSAL, carry=carry)
    frames, audio = inputs(frames=6)
    whole = network(frames, audio)
    for end in (1, 3, 5):
        prefix = network(frames[:, :end], audio[:, :end])
        torch.testing.assert_close(prefix.masks[-1], whole.masks[-1][:, :end], **SAME)
        torch.testing.assert_close(prefix.sounding, whole.sounding[:, :end], **SAME)


def test_with_a_span_as_long_as_the_stream_only_the_newest_frame_of_both_modes_sees_the_same() -> None:
    window, causal = small_network(carry=False), small_network(mode=Mode.CAUSAL, carry=False)
    frames, audio = inputs(frames=1)
    torch.testing.assert_close(window(frames, audio).masks[-1], causal(frames, audio).masks[-1], **SAME)


# the carried queries


def carried() -> Tensor:
    return torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(5))


def paper_twin(network: CCFormer, **changes: object) -> CCFormer:
    """The same weights in a network that has no carry."""
    twin = small_network(carry=False, **changes)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("decoder.carry.")}
    twin.load_state_dict(state)
    return twin


@pytest.mark.parametrize("mode", list(Mode))
def test_reset_gives_the_paper_network(mode: Mode) -> None:
    network = small_network(mode=mode, frames=1 if mode is Mode.CAUSAL else 3)
    frames, audio = inputs(frames=1 if mode is Mode.CAUSAL else 3)
    paper = paper_twin(network, mode=mode, frames=network.config.frames)(frames, audio)
    for result in (network(frames, audio, carried(), ALL), network(frames, audio)):
        assert torch.equal(result.masks[-1], paper.masks[-1])
        assert torch.equal(result.queries, paper.queries)


def test_a_closed_gate_gives_the_paper_network() -> None:
    network = small_network()
    frames, audio = inputs()
    opened = network(frames, audio, carried(), NONE)
    assert network.decoder.carry is not None
    network.decoder.carry.gate.bias.fill_(-1e6)
    closed, paper = network(frames, audio, carried(), NONE), paper_twin(network)(frames, audio)
    assert torch.equal(closed.masks[-1], paper.masks[-1])
    assert (opened.masks[-1] - closed.masks[-1]).abs().max() > 1e-4


def test_an_open_gate_starts_from_what_is_carried() -> None:
    network = small_network()
    gate = network.decoder.carry
    assert gate is not None
    gate.gate.bias.fill_(1e6)
    torch.testing.assert_close(network.decoder.start(carried(), NONE, 2), carried())


def test_reset_is_per_stream() -> None:
    network = small_network()
    frames, audio = inputs()
    mixed = network(frames, audio, carried(), torch.tensor([True, False])).masks[-1]
    torch.testing.assert_close(mixed[0], network(frames, audio, carried(), ALL).masks[-1][0], **SAME)
    torch.testing.assert_close(mixed[1], network(frames, audio, carried(), NONE).masks[-1][1], **SAME)


def test_without_carry_what_is_handed_in_is_ignored() -> None:
    network = small_network(carry=False)
    frames, audio = inputs()
    assert torch.equal(network(frames, audio, carried(), NONE).masks[-1], network(frames, audio).masks[-1])


def test_reset_lets_not_even_nan_through() -> None:
    network = small_network()
    frames, audio = inputs()
    broken = torch.full_like(carried(), float("nan"))
    result = network(frames, audio, broken, ALL)
    assert torch.equal(result.masks[-1], network(frames, audio).masks[-1])


def test_in_causal_mode_the_carry_reaches_back_beyond_the_receptive_frames() -> None:
    network = small_network(mode=Mode.CAUSAL, carry=True, frames=2, ici_layers=1, iti_layers=1)
    assert network.decoder.carry is not None
    network.decoder.carry.gate.bias.fill_(0.0)
    assert influence(network, 7, 1, audio=True)[1:] == [True] * 6
