"""A threshold set while a stream runs: from the next window on, with every network, through restarts."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from live_streams import Film, padded, small_network, stream_of
from ramp_model import OWN_THRESHOLD, RampModel, threshold_of

from stream_avs.benchmarks.stand_ins import DiscModel, SteadySource
from stream_avs.config import BackendName, Precision, RunConfig, SuperviseConfig
from stream_avs.engine.load import Models
from stream_avs.engine.network_engine import decide
from stream_avs.engine.network_stream import NetworkStream
from stream_avs.engine.session import Session
from stream_avs.errors import ConfigError
from stream_avs.ledger import Ledger
from stream_avs.models.architectures import ARCHITECTURES
from stream_avs.models.base import AnyModel, Stages, Thresholded
from stream_avs.models.ccformer.config import Mode
from stream_avs.models.network import Network
from stream_avs.pipeline import Pipeline
from stream_avs.types import Frame, MaskResult, ResultState, Window

QUICK = SuperviseConfig(first_s=0.01, most_s=0.05)


def window(seq: int) -> Window:
    return Window(
        frames=(Frame(image=np.zeros((8, 8, 3), np.uint8), stamp_ns=seq, arrival_ns=seq, seq=seq),),
        audio=np.zeros((1, 6400), np.float32),
        audio_coverage=np.ones(1, np.float32),
        sample_rate_hz=32_000,
        distinct=1,
    )


def session_of(model: AnyModel) -> Session:
    return Session(model, stream="cam0", ledger=Ledger())


def test_it_holds_from_the_next_window_on_and_resets_nothing() -> None:
    session = session_of(RampModel())
    for seq, (asked, expected) in enumerate([(None, OWN_THRESHOLD), (0.6, 0.6), (0.1, 0.1), (None, 0.25)]):
        if seq:
            assert session.set_threshold(asked) == expected
        assert session.threshold == expected
        result = session.step(window(seq))
        assert threshold_of(result) == pytest.approx(expected, abs=0.005)
        assert [s.score for s in result.sounding] == [seq / 1000]  # what is carried goes on
        assert result.state is (ResultState.OK if seq else ResultState.RESET)


def test_a_configured_threshold_is_not_the_presets_own() -> None:
    session = session_of(RampModel(threshold=0.7))
    assert session.threshold == 0.7
    assert session.set_threshold(None) == OWN_THRESHOLD
    assert threshold_of(session.step(window(0))) == pytest.approx(OWN_THRESHOLD, abs=0.005)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf, -math.inf])
def test_what_is_no_threshold_is_refused_and_changes_nothing(value: float) -> None:
    session = session_of(RampModel())
    session.set_threshold(0.6)
    with pytest.raises(ConfigError, match=r"model\.threshold.*between 0 and 1"):
        session.set_threshold(value)
    assert session.threshold == 0.6


def test_a_network_without_one_refuses_and_says_so() -> None:
    session = session_of(DiscModel())
    assert session.threshold is None
    for value in (0.5, None):
        with pytest.raises(ConfigError, match="model disc-00000000 has no threshold"):
            session.set_threshold(value)


def test_the_smaller_input_of_the_overload_ladder_keeps_it() -> None:
    large, small = RampModel(), RampModel(id="small-00000000")
    session = session_of(large)
    session.step(window(0))
    session.set_threshold(0.6)
    for seq, (model, reason) in enumerate([(large, ""), (small, "input_size"), (small, "")], 1):
        session.use(model, "input_size")
        result = session.step(window(seq))
        assert (result.model_id, result.reset_reason) == (model.id, reason)
        assert threshold_of(result) == pytest.approx(0.6, abs=0.005)


def test_a_successor_goes_on_with_it_whichever_is_told() -> None:
    first = session_of(RampModel())
    first.set_threshold(0.6)
    heir = first.successor(RampModel(id="rebuilt-00000000"), "restart")
    assert threshold_of(heir.step(window(0))) == pytest.approx(0.6, abs=0.005)
    first.set_threshold(0.4)  # by somebody who does not know yet
    assert threshold_of(heir.step(window(1))) == pytest.approx(0.4, abs=0.005)


def test_every_mask_is_decided_at_one_of_the_thresholds_set_from_another_thread() -> None:
    session, stop = session_of(RampModel()), threading.Event()

    def turn() -> None:
        while not stop.is_set():
            for value in (0.4, 0.6, 0.8):
                session.set_threshold(value)

    thread = threading.Thread(target=turn)
    session.set_threshold(0.4)
    thread.start()
    try:
        found = {round(threshold_of(session.step(window(seq))), 3) for seq in range(500)}
    finally:
        stop.set()
        thread.join()
    assert found <= {0.4, 0.6, 0.8}


class Stream:
    """A pipeline whose engine can be rebuilt, slowly."""

    def __init__(self) -> None:
        self.results: list[MaskResult] = []
        self.loading, self.may_load = threading.Event(), threading.Event()
        self.may_load.set()
        run = RunConfig(source="steady", supervise=QUICK, status=False)
        source = SteadySource(32, 24, 50.0, 60.0)
        self.pipeline = Pipeline(run, source, RampModel(), (self.results.append,), load=self._load)

    def _load(self) -> Models:
        self.loading.set()
        self.may_load.wait(10)
        model = RampModel(id="rebuilt-00000000")
        return model, model

    def until(self, true: Callable[[MaskResult], bool]) -> MaskResult:
        end_s, seen = time.monotonic() + 10.0, len(self.results)
        while not any(true(result) for result in self.results[seen:]):
            assert time.monotonic() < end_s, self.pipeline.ledger.recent()
            time.sleep(0.005)
        return next(result for result in self.results[seen:] if true(result))


def test_a_rebuilt_engine_has_the_threshold_that_was_set_and_so_if_set_meanwhile() -> None:
    stream = Stream()
    with stream.pipeline as pipeline:
        pipeline.start()
        assert pipeline.supervisor is not None
        stream.until(lambda result: result.state is ResultState.OK)
        pipeline.set_threshold(0.6)
        result = stream.until(lambda result: threshold_of(result) > 0.5)
        assert (result.model_id, result.state) == ("ramp-00000000", ResultState.OK)

        pipeline.supervisor.restart("test")
        result = stream.until(lambda result: result.reset_reason == "restart")
        assert threshold_of(result) == pytest.approx(0.6, abs=0.005)

        stream.may_load.clear()
        pipeline.supervisor.restart("test", rebuild=True)
        assert stream.loading.wait(10)
        assert pipeline.threshold == 0.6
        pipeline.set_threshold(0.8)
        stream.may_load.set()
        result = stream.until(lambda result: result.model_id == "rebuilt-00000000")
        assert threshold_of(result) == pytest.approx(0.8, abs=0.005)
        assert pipeline.threshold == 0.8


def networks() -> dict[str, Network]:
    """CCFormer in both modes, and every network that carries nothing, all tiny and untrained."""
    found: dict[str, Network] = {f"ccformer-{mode}": small_network(mode=mode, classes=3) for mode in Mode}
    for architecture in ARCHITECTURES.values():
        if architecture.name != "ccformer":
            torch.manual_seed(0)
            network = architecture.build(architecture.preset("tiny", input_px=64, frames=3))
            found[architecture.name] = network.eval()
    return found


@pytest.mark.parametrize("name", networks())
def test_a_network_stream_decides_as_one_loaded_with_that_threshold(name: str) -> None:
    """Its stream goes on: the threshold changes at each frame, the numbers behind the masks do not."""
    torch.set_num_threads(1)
    network = networks()[name]
    labels = ["background", "one", "two"]

    def load(threshold: float) -> NetworkStream:
        return NetworkStream(stream_of(network).engine, labels, "test-00000000", threshold=threshold)

    model = load(0.9)
    assert isinstance(model, Thresholded)
    film, state = Film(model), model.initial_state()
    thresholds = [0.2, 0.5, 0.35, 0.7]
    loaded = {value: load(value) for value in thresholds}
    states = {value: loaded[value].initial_state() for value in thresholds}
    areas = []
    for seq, value in enumerate(thresholds):
        seen = film.window(padded(range(seq + 1), model.frames))
        for other in thresholds:
            expected, states[other] = loaded[other].step(seen, states[other], Stages())
            if other == value:
                found, state = model.with_threshold(value).step(seen, state, Stages())
                np.testing.assert_array_equal(found.confidence, expected.confidence)
                np.testing.assert_array_equal(found.mask, expected.mask)
                assert found.confidence[found.mask > 0].min(initial=255) >= math.floor(255 * value)
            areas.append(float((expected.mask > 0).mean()))
    assert len(set(areas)) > 1
    assert model.threshold == 0.9
    assert model.own_threshold == 0.5
    assert model.streams == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["ccformer-causal", "tpavi"])
def test_a_compiled_network_takes_another_threshold_in_the_middle_of_a_stream(name: str) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    torch.set_num_threads(1)
    eager = stream_of(networks()[name])
    compiled = stream_of(networks()[name], backend=BackendName.OPENVINO, precision=Precision.F32, threads=1)
    assert "backend openvino" in compiled.notes[0]
    film = Film(eager)
    states = [eager.initial_state(), compiled.initial_state()]
    for seq, value in enumerate([0.3, 0.5, 0.4]):
        seen = film.window(padded(range(seq + 1), eager.frames))
        expected, found = (
            model.with_threshold(value).step(seen, state, Stages())[0]
            for model, state in zip((eager, compiled), states, strict=True)
        )
        assert np.mean(found.mask != expected.mask) < 0.01
        assert found.confidence[found.mask > 0].min(initial=255) >= math.floor(255 * value)


@settings(deadline=None, max_examples=50)
@given(
    thresholds=st.lists(st.floats(0.0625, 0.9375, width=32), min_size=1, max_size=4),
    classes=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_streams_that_go_through_together_keep_their_own(
    thresholds: list[float], classes: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(len(thresholds), classes, 4, 4, generator=generator)
    together = decide(logits, torch.tensor(thresholds))
    for k, value in enumerate(thresholds):
        assert torch.equal(together[k], decide(logits[k : k + 1], torch.tensor([value]))[0])
        probability = logits[k].softmax(0).max(0) if classes > 1 else (logits[k].sigmoid()[0], None)
        sounds = together[k, 0] > 0
        assert bool((probability[0][sounds] > value).all())
        if classes == 1:
            assert torch.equal(sounds, probability[0] > value)
