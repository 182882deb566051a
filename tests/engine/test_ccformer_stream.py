"""The cached, carried, one-frame-at-a-time engine equals the network run from scratch."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from live_streams import PX, Film, network_of, padded, small_network, stream_of

from stream_avs.config import BackendName, ModelConfig, Precision
from stream_avs.engine.network_stream import NetworkStream
from stream_avs.errors import ConfigError
from stream_avs.models.base import Stages
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import Mode
from stream_avs.models.checkpoint import save_network
from stream_avs.models.registry import load_model
from stream_avs.types import NS_PER_S

CLOSE = {"rtol": 0.0, "atol": 1e-4}
SHORT = {"input_px": 32, "frames": 3}


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)
    with torch.no_grad():
        yield


def step(model: NetworkStream, window, state) -> torch.Tensor:
    return model.output(window, state, Stages()).logits.clone()


class Naive:
    """Every window from scratch, all its frames encoded, fused and segmented; queries are carried."""

    def __init__(self, network: CCFormer) -> None:
        self.network = network
        self.queries = None

    def __call__(self, film: Film, seqs: list[int]) -> torch.Tensor:
        output = self.network(*film.inputs(seqs), self.queries, every_layer=False)
        self.queries = output.queries
        return output.masks[-1][0, -1]


def rough_stream(frames: int, seed: int = 3):
    """What happens to each frame: (stored, stepped, repeated, reset before it)."""
    rng = np.random.default_rng(seed)
    for seq in range(frames):
        stored, stepped, repeated, reset = (rng.random(4) < (0.9, 0.75, 0.06, 0.03)).tolist()
        yield seq, stored, stored and stepped, repeated, reset


def check_window_stream(network: CCFormer, frames: int, px: int) -> None:
    model = stream_of(network, px)
    film, count = Film(model), network.config.frames
    state, naive, stored, stepped = model.initial_state(), Naive(network), [], 0
    for seq, is_stored, is_stepped, repeated, reset in rough_stream(frames):
        if reset:
            state, naive, stored = model.initial_state(), Naive(network), []
        stored += [seq] * is_stored
        for _ in range(is_stepped * (1 + repeated)):
            seqs = padded(stored, count)
            torch.testing.assert_close(step(model, film.window(seqs), state), naive(film, seqs), **CLOSE)
            stepped += 1
    assert stepped > frames // 2


def check_causal_stream(network: CCFormer, frames: int, px: int) -> None:
    model = stream_of(network, px)
    film = Film(model)
    state, stepped, masks, longest = model.initial_state(), [], [], 0

    def compare() -> None:
        whole = network(*film.inputs(stepped), every_layer=False).masks[-1][0]
        torch.testing.assert_close(torch.stack(masks), whole, **CLOSE)

    for seq, _, is_stepped, repeated, reset in rough_stream(frames):
        if reset and stepped:
            compare()
            state, stepped, masks = model.initial_state(), [], []
        for _ in range(is_stepped * (1 + repeated)):
            stepped.append(seq)
            masks.append(step(model, film.window(padded(stepped, network.config.frames)), state))
            longest = max(longest, len(stepped))
    compare()
    assert longest > frames // 10


@pytest.mark.parametrize(
    "changes",
    [{}, {"carry": False}, {"vae": False}, {"ave": False}, {"iti": False, "carry": False}, {"frames": 1},
     {"classes": 3}],
)  # fmt: skip
@pytest.mark.parametrize("mode", list(Mode))
def test_a_short_stream_equals_recomputation(mode: Mode, changes: dict) -> None:
    check = check_causal_stream if mode is Mode.CAUSAL else check_window_stream
    check(small_network(mode=mode, **changes), 24, PX)


def test_300_frames_with_drops_repeats_and_resets_cached_window() -> None:
    check_window_stream(small_network(), 300, PX)


def test_300_frames_with_drops_repeats_and_resets_causal() -> None:
    check_causal_stream(small_network(mode=Mode.CAUSAL), 300, PX)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    ("name", "frames", "changes"),
    [
        ("tiny", 30, {}),
        pytest.param("nano", 300, {}, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
        # short windows of small pictures; the recomputation, not the engine, would take most of an hour
        pytest.param("pvt2", 300, SHORT, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param("r50", 300, SHORT, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_every_preset_equals_recomputation(name: str, frames: int, changes: dict, mode: Mode) -> None:
    check = check_causal_stream if mode is Mode.CAUSAL else check_window_stream
    network = network_of(name, mode=mode, **{"input_px": PX, **changes})
    check(network, frames, network.config.input_px)


NETWORK = small_network(mode=Mode.CAUSAL)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True), min_size=1, max_size=8))
def test_streams_in_any_batches_equal_each_stream_at_once(rounds: list[list[int]]) -> None:
    """Each round is one batched step over some of four streams, each at its own place."""
    model = stream_of(NETWORK)
    films = [Film(model, seed=k) for k in range(4)]
    states = [model.initial_state() for _ in films]
    done: list[list[torch.Tensor]] = [[] for _ in films]
    for streams in rounds:
        requests = []
        for k in streams:
            row = states[k].row or model._join(states[k])
            at = len(done[k])
            window = films[k].window(padded(range(at + 1), 3))
            requests.append(plan_of(model, window, row))
        for k, output in zip(streams, model.engine.step(requests), strict=True):
            done[k].append(output.logits.clone())
    for film, masks in zip(films, done, strict=True):
        if masks:
            whole = NETWORK(*film.inputs(range(len(masks))), every_layer=False).masks[-1][0]
            torch.testing.assert_close(torch.stack(masks), whole, **CLOSE)


def plan_of(model: NetworkStream, window, row):
    from stream_avs.engine.stream_plan import plan

    return plan(window, row, model.frames, model.engine.causal, model._prepare, model._grow)


@pytest.mark.parametrize("mode", list(Mode))
def test_windows_one_second_apart_come_from_the_same_caches(mode: Mode) -> None:
    """Half a second of each at ten frames a second: five interleaved streams of one frame a second."""
    network = small_network(mode=mode)
    model = stream_of(network)
    film, rate, seconds = Film(model, period_ns=NS_PER_S // 10), 10, 6
    lanes = [list(range(start, seconds * rate, rate)) for start in range(5)]
    state, masks = model.initial_state(), {}
    for seq in sorted(seq for lane in lanes for seq in lane):
        until_now = list(range(seq % rate, seq + 1, rate))
        masks[seq] = step(model, film.window(padded(until_now, 3), NS_PER_S), state)
    for lane in lanes:
        if mode is Mode.CAUSAL:
            expected = network(*film.inputs(lane), every_layer=False).masks[-1][0]
        else:
            naive = Naive(network)
            expected = torch.stack([naive(film, padded(lane[: k + 1], 3)) for k in range(len(lane))])
        torch.testing.assert_close(torch.stack([masks[seq] for seq in lane]), expected, **CLOSE)
    assert state.row.encoded == len(masks)  # each frame once, whatever it met
    assert model.engine.slots >= 10


def test_audio_that_comes_late_is_heard() -> None:
    network = small_network()
    model = stream_of(network)
    film, naive, state = Film(model), Naive(network), model.initial_state()
    early = film.window([0, 1, 2])
    early = replace(early, audio=early.audio * np.array([[1], [1], [0]], np.float32))
    model.output(early, state, Stages())
    heard = [model._prepare(0, early.newest, samples).log_mel for samples in early.audio]
    naive.queries = network(film.inputs([0, 1, 2])[0], torch.cat(heard)[None]).queries
    mask = step(model, film.window([1, 2, 3]), state)
    torch.testing.assert_close(mask, naive(film, [1, 2, 3]), **CLOSE)
    assert state.row.encoded == 5  # frame 2 once more


def test_streams_come_and_go_and_the_next_remembers_nothing() -> None:
    model = stream_of(small_network(mode=Mode.CAUSAL))
    film = Film(model)
    first = step(model, film.window([0, 0, 0]), model.initial_state())
    states = [model.initial_state() for _ in range(5)]
    for state in states:
        step(model, film.window([7, 7, 7]), state)
    assert (model.streams, model.engine.rows) == (5, 8)
    del state, states
    gc.collect()
    assert model.streams == 0
    again = step(model, film.window([0, 0, 0]), model.initial_state())
    torch.testing.assert_close(again, first, rtol=0, atol=0)


def test_more_streams_than_allowed_are_refused() -> None:
    network = small_network()
    model = NetworkStream(stream_of(network).engine, ["background", "x"], "t", max_streams=2)
    film = Film(model)
    states = [model.initial_state() for _ in range(3)]
    for state in states[:2]:
        step(model, film.window([0, 0, 0]), state)
    with pytest.raises(ConfigError, match="2 streams run already"):
        step(model, film.window([0, 0, 0]), states[2])


@pytest.mark.parametrize("classes", [1, 4])
def test_decisions_are_what_the_logits_say(classes: int) -> None:
    model = stream_of(small_network(classes=classes), threshold=0.3)
    model.labels = {i: f"class {i}" for i in range(1, max(classes, 2))}
    film, state = Film(model), model.initial_state()
    window = film.window([0, 0, 0])
    logits = step(model, window, state)
    decision, _ = model.step(window, model.initial_state(), Stages())
    if classes == 1:
        best = logits[0].sigmoid()
        expected = (best > 0.3).numpy()
    else:
        best, winner = logits.softmax(0).max(0)
        expected = np.where((best > 0.3).numpy(), winner.numpy(), 0)
    np.testing.assert_array_equal(decision.mask, expected)
    np.testing.assert_array_equal(
        decision.confidence, np.where(expected > 0, np.round(best.numpy() * 255), 0)
    )
    assert decision.mask.shape == model.mask_shape
    assert set(np.unique(decision.mask)) - {0} == set(decision.scores)


def test_sessions_in_threads_share_steps_and_get_what_they_would_alone() -> None:
    network = small_network(mode=Mode.CAUSAL)
    model = stream_of(network)
    films = [Film(model, seed=k) for k in range(4)]
    expected = [network(*film.inputs(range(8)), every_layer=False).masks[-1][0, -1] for film in films]
    last: list[torch.Tensor | None] = [None] * 4
    start = threading.Barrier(4)

    def live(k: int) -> None:
        with torch.no_grad():
            state = model.initial_state()
            start.wait()
            for seq in range(8):
                output = model.output(films[k].window(padded(range(seq + 1), 3)), state, Stages())
            last[k] = torch.from_numpy(output.pixels.astype(np.float32))

    threads = [threading.Thread(target=live, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mask, logits in zip(last, expected, strict=True):
        confidence = torch.where(logits > 0, logits.sigmoid() * 255, 0)[0]
        # Steps taken together differ by rounding: a logit within it of zero may fall on either side.
        sided = logits[0].abs() > 1e-4
        assert sided.float().mean() > 0.5  # of the cells; the last ReLU leaves zeros
        torch.testing.assert_close(mask[1][sided], confidence[sided], rtol=0, atol=0.6)
    assert model.engine.steps_run < 32  # fewer steps than masks: some went together


def test_a_checkpoint_runs_live(tmp_path: Path) -> None:
    network = small_network(mode=Mode.CAUSAL)
    save_network(tmp_path / "net.safetensors", network, ["background", "sounding"], {})
    config = ModelConfig(
        preset="ccformer", weights=str(tmp_path / "net.safetensors"), threads=1,
        backend=BackendName.EAGER, precision=Precision.F32,
    )  # fmt: skip
    model = load_model(config)
    assert model.id.startswith("ccformer-")
    assert model.labels == {1: "sounding"}
    assert model.notes[0].startswith("backend eager in f32")
    film = Film(model)
    mask = step(model, film.window([0, 0, 0]), model.initial_state())
    torch.testing.assert_close(mask, network(*film.inputs([0])).masks[-1][0, 0], **CLOSE)


def test_the_preset_without_weights_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"--model\.weights FILE"):
        load_model(ModelConfig(preset="ccformer"))


def test_a_window_of_another_length_is_refused() -> None:
    model = stream_of(small_network())
    with pytest.raises(ValueError, match=r"set window\.frames to 3"):
        model.output(Film(model).window([0, 1]), model.initial_state(), Stages())
