"""The engine on compiled backends and in batches: same masks as eager, one stream at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from live_streams import Film, padded, small_network, stream_of

from stream_avs.config import BackendName, Precision
from stream_avs.engine.backends import prepare as prepare_module
from stream_avs.engine.backends.export import export_onnx
from stream_avs.engine.ccformer_examples import example_steps
from stream_avs.engine.network_engine import decide
from stream_avs.engine.stream_plan import plan
from stream_avs.models.base import Stages
from stream_avs.models.ccformer.config import Mode


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    "mode",
    [Mode.CAUSAL, pytest.param(Mode.WINDOW, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
def test_openvino_makes_the_masks_of_eager_over_a_stream(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    monkeypatch.setattr(prepare_module.prepare, "__kwdefaults__", {
        **prepare_module.prepare.__kwdefaults__, "cache": tmp_path,
    })  # fmt: skip
    network = small_network(mode=mode, ici_layers=1)
    eager = stream_of(network)
    fast = stream_of(network, backend=BackendName.OPENVINO, batch_sizes=(2,), threads=1)
    assert [r.backend for r in fast.engine.reports] == ["openvino"] * 2
    films = [Film(eager, seed=k) for k in range(3)]
    alone = [eager.initial_state() for _ in films]
    together = [fast.initial_state() for _ in films]
    for seq in range(6):
        window = [film.window(padded(range(seq + 1), 3)) for film in films]
        # one, two or all three streams have a frame: batches of two, the last one half in use
        turn = [k for k in range(3) if seq % (k + 1) == 0]
        requests = [
            plan(window[k], together[k].row or fast._join(together[k]), 3, fast.engine.causal,
                 fast._prepare, fast._grow)
            for k in turn
        ]  # fmt: skip
        found = [output.logits.clone() for output in fast.engine.step(requests)]
        for k, logits in zip(turn, found, strict=True):
            expected = eager.output(window[k], alone[k], Stages()).logits
            torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)


def test_bf16_is_close_and_says_so() -> None:
    network = small_network(mode=Mode.CAUSAL)
    exact, half = stream_of(network), stream_of(network, precision=Precision.BF16)
    assert half.engine.reports[0].precision is Precision.BF16
    assert 0 < half.engine.reports[1].difference < 0.1
    film, states = Film(exact), (exact.initial_state(), half.initial_state())
    for seq in range(4):
        window = film.window(padded(range(seq + 1), 3))
        a, b = (m.output(window, s, Stages()).logits for m, s in zip((exact, half), states, strict=True))
        assert (a - b).abs().mean() < 0.1 * a.abs().mean()


def test_nan_left_by_one_stream_does_not_reach_the_next() -> None:
    network = small_network(mode=Mode.CAUSAL)
    model = stream_of(network)
    film, state = Film(model), model.initial_state()
    clean = model.output(film.window([0, 0, 0]), model.initial_state(), Stages()).logits.clone()
    for seq in range(3):
        model.output(film.window(padded(range(seq + 1), 3)), state, Stages())
    for leaves in model.engine._store._buffers.values():
        for buffer in leaves:
            buffer.fill_(float("nan"))
    del state
    again = model.output(film.window([0, 0, 0]), model.initial_state(), Stages()).logits
    torch.testing.assert_close(again, clean, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", list(Mode))
def test_both_halves_can_be_written_as_onnx(mode: Mode, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    network = small_network(mode=mode, frames=2)
    for step in example_steps(network, 64, 1):
        export_onnx(step, tmp_path / "half.onnx")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(
            str(tmp_path / "half.onnx"), options, providers=["CPUExecutionProvider"]
        )
        leaves = torch.utils._pytree.tree_leaves(step.example)
        given = {f"in_{i}": x.contiguous().numpy() for i, x in enumerate(leaves)}
        results = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
        expected = torch.utils._pytree.tree_leaves(step.module(*step.example))
        for mine, theirs in zip(results, expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(mine), theirs, rtol=0, atol=1e-4)


def test_thresholds_and_classes() -> None:
    logits = torch.tensor([-1.0, 0.5, 3.0]).view(1, 1, 1, 3)
    ids, confidence = decide(logits, torch.tensor([0.7]))[0, :, 0]
    assert ids.tolist() == [0, 0, 1]
    assert confidence.tolist() == [0, 0, round(255 / (1 + 2.718281828**-3))]
    several = torch.tensor([[5.0, 0, 0], [0, 5.0, 0.2], [0, 0, 0.3]]).view(1, 3, 1, 3)
    both = decide(several.expand(2, -1, -1, -1), torch.tensor([0.0, 0.5]))  # each row has its own
    assert both[:, 0, 0].tolist() == [[0, 1, 2], [0, 1, 0]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", [BackendName.CUDA, BackendName.TENSORRT])
@pytest.mark.parametrize("mode", list(Mode))
def test_a_gpu_makes_the_masks_of_the_cpu(backend: BackendName, mode: Mode) -> None:
    if backend is BackendName.TENSORRT:
        pytest.importorskip("tensorrt", reason="needs TensorRT")
    exact = stream_of(small_network(mode=mode))
    fast = stream_of(small_network(mode=mode), backend=backend, device="cuda")
    film, states = Film(exact), (exact.initial_state(), fast.initial_state())
    for seq in range(6):
        window = film.window(padded(range(seq + 1), 3))
        a, b = (m.output(window, s, Stages()).logits for m, s in zip((exact, fast), states, strict=True))
        torch.testing.assert_close(b.cpu(), a, rtol=0, atol=1e-2)
