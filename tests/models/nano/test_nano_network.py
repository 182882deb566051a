"""Nano's parts: it starts as the consensus of eye and ear, and treats all classes alike."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.models.consensus.decide import agree
from stream_avs.models.consensus.table import read_table
from stream_avs.models.nano.config import NanoConfig, trunk_config
from stream_avs.models.nano.network import Listener, Nano, Seen
from stream_avs.models.nano.senses import Ear, Movements, Sound, motion, movements
from stream_avs.models.nano.synchrony import CELLS, no_trace, synchrony
from stream_avs.models.nano.trunk import pack

IDS = read_table().ids.tolist()


@pytest.fixture(scope="module")
def network() -> Nano:
    torch.manual_seed(0)
    return Nano(NanoConfig(trunk=trunk_config(input_px=64)), IDS).eval()


def drawn(frames: int, seed: int = 0) -> tuple[Seen, Sound]:
    g = torch.Generator().manual_seed(seed)
    seen = Seen(
        motion=torch.rand(frames, 2, 8, 8, generator=g),
        movements=Movements(
            *(0.05 * torch.rand(frames, CELLS, CELLS, generator=g) for _ in range(3)),
            *(torch.rand(frames, generator=g) for _ in range(2)),
        ),
        log_seen=(3 * torch.randn(frames, 21, 32, 32, generator=g)).log_softmax(1),
    )
    sound = Sound(
        evidence=2 * torch.randn(frames, 8, len(IDS), generator=g),
        levels=torch.randn(frames, 26, generator=g),
    )
    return seen, sound


@torch.inference_mode()
def test_untrained_it_is_the_consensus(network: Nano) -> None:
    seen, sound = drawn(1)
    logits = network(seen, sound, (1, 1)).logits[0, 0]
    heard = {i: float(p) for i, p in zip(IDS, sound.evidence[0, -1].sigmoid(), strict=True)}
    expected = agree(seen.log_seen[0].exp(), heard, 0.55, (32, 32)).mask
    found = torch.where(logits.argmax(0) > 0, network.ids[logits[1:].argmax(0)], 0).numpy()
    assert (expected > 0).any()
    assert np.mean(found != expected) < 0.02  # the trunk begins near zero


def test_the_listener_treats_classes_alike() -> None:
    torch.manual_seed(1)
    listener = Listener(16)
    torch.nn.init.normal_(listener.layers[-1].weight)
    _, sound = drawn(3)
    order = torch.randperm(len(IDS))
    mixed = listener(sound.evidence[:, :, order], sound.levels)
    assert torch.allclose(mixed, listener(sound.evidence, sound.levels)[:, order], atol=1e-5)


def test_switched_off_parts_have_no_say(network: Nano) -> None:
    seen, sound = drawn(2)
    still = Nano(NanoConfig(trunk=trunk_config(input_px=64), motion=False, refine_audio=False), IDS)
    heard = still.hear(sound)
    assert torch.equal(heard, sound.evidence[:, -1])
    watched = seen.movements
    moved = dataclasses.replace(seen, motion=seen.motion + 1, movements=watched._replace(own=watched.own + 1))
    assert torch.equal(still.maps(seen, heard), still.maps(moved, heard))
    assert not torch.equal(network.maps(seen, heard), network.maps(moved, heard))

    deaf = Nano(NanoConfig(trunk=trunk_config(input_px=64), synchrony=False), IDS)
    other = watched._replace(
        gain=watched.gain + 1, correlation=-watched.correlation, seconds=watched.seconds + 1
    )
    voiced = dataclasses.replace(seen, movements=other)
    assert torch.equal(deaf.maps(seen, heard), deaf.maps(voiced, heard))
    assert torch.equal(deaf.audio_tokens(sound, heard, watched), deaf.audio_tokens(sound, heard, other))
    assert not torch.equal(network.maps(seen, heard), network.maps(voiced, heard))
    assert not torch.equal(
        network.audio_tokens(sound, heard, watched), network.audio_tokens(sound, heard, other)
    )


def test_movements_count_only_after_some_time(network: Nano) -> None:
    seen, sound = drawn(1)
    heard = network.hear(sound)

    def shown(seconds: float, correlation: float) -> torch.Tensor:
        watched = seen.movements._replace(
            seconds=torch.tensor([seconds]), correlation=torch.full((1, CELLS, CELLS), correlation)
        )
        return network.maps(dataclasses.replace(seen, movements=watched), heard)

    assert torch.equal(shown(0.2, -0.5), shown(0.2, 0.5))
    assert not torch.equal(shown(1.0, -0.5), shown(1.0, 0.5))
    nothing = movements(synchrony(no_trace()))
    assert not any(bool(x.any()) for x in nothing)


def test_packed_maps_come_apart_again(network: Nano) -> None:
    fine = torch.randn(2, network.trunk.channels[0], 2, 2)
    coarse = torch.randn(2, network.trunk.channels[1], 1, 1)
    parts = network.trunk.unpack(pack(fine, coarse))
    assert torch.equal(parts[0], fine)
    assert torch.equal(parts[1], coarse)


def test_the_senses_are_frozen() -> None:
    ear = Ear(read_table()).train()
    assert not ear.training
    assert not ear.network.training
    assert not any(p.requires_grad for p in ear.parameters())


def test_evidence_is_the_noisy_or_of_the_labels() -> None:
    table, ear = read_table(), Ear(read_table())
    with torch.inference_mode():
        mel = torch.randn(1, 1, 128, 200)
        probability = ear.network(mel).logits.sigmoid().numpy()
        evidence = ear(mel).evidence[0, -1].numpy()
    expected = table.hear(probability[0])
    assert np.allclose(1 / (1 + np.exp(-evidence)), expected, atol=1e-3)


@given(st.floats(0, 1), st.floats(0, 1))
def test_motion_is_symmetric_and_bounded(a: float, b: float) -> None:
    one, two = torch.full((1, 16, 16), a), torch.full((1, 16, 16), b)
    assert torch.equal(motion(one, two), motion(two, one))
    assert float(motion(one, two).max()) <= 4.0
    assert math.isclose(float(motion(one, one).abs().max()), 0.0)
