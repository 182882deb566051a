"""Backends agree with eager, and those that do not are refused with a reason."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from stream_avs.config import BackendName, Precision
from stream_avs.engine.backends import prepare as module
from stream_avs.engine.backends.artefacts import artefact, content_hash
from stream_avs.engine.backends.base import BackendError, FlatProgram, Settings, Step
from stream_avs.engine.backends.eager import Eager
from stream_avs.engine.backends.export import export_onnx
from stream_avs.engine.backends.prepare import difference, prepare
from stream_avs.errors import ConfigError, MissingPackageError


class Toy(nn.Module):
    """A step with nested arguments, a bool, an int and state that comes back."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.mix = nn.Linear(4, 4)

    def forward(
        self, image: Tensor, memory: list[Tensor], known: Tensor, place: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        seen = self.mix(self.conv(image).mean((2, 3)))  # [B, 4]
        old = memory[0].masked_fill(~known[..., None], 0.0)
        picked = old.flatten(0, 1).index_select(0, place)
        return seen + picked, [old + seen[:, None], memory[1] * 0.5]


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def toy() -> Step:
    generator = torch.Generator().manual_seed(1)
    example = (
        torch.rand(2, 3, 8, 8, generator=generator),
        [torch.rand(2, 5, 4, generator=generator), torch.rand(2, generator=generator)],
        torch.tensor([[True, False, True, True, True], [True] * 5]),
        torch.tensor([0, 7]),
    )
    return Step(module=Toy().eval(), example=example)


def other_arguments() -> tuple:
    """Not those of the example, and not contiguous in memory."""
    generator = torch.Generator().manual_seed(2)
    return (
        torch.rand(2, 8, 8, 3, generator=generator).permute(0, 3, 1, 2),
        [
            torch.rand(5, 2, 4, generator=generator).transpose(0, 1),
            torch.rand(2, 2, generator=generator)[:, 0],
        ],
        torch.tensor([[False] * 4 + [True]] * 2),
        torch.tensor([4, 9]),
    )


BACKENDS = [BackendName.EAGER, BackendName.OPENVINO]


def need(backend: BackendName) -> None:
    if backend is BackendName.OPENVINO:
        pytest.importorskip("openvino", reason="needs the extra openvino")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("precision", "atol"), [(Precision.F32, 1e-5), (Precision.BF16, 3e-2)])
def test_results_are_those_of_the_module_for_any_arguments(
    backend: BackendName, precision: Precision, atol: float, tmp_path: Path
) -> None:
    need(backend)
    step = toy()
    ready = prepare(step, backend=backend, precision=precision, threads=1, cache=tmp_path)
    assert (ready.report.backend, ready.report.precision) == (backend.value, precision)
    assert ready.report.refused == ()
    arguments = other_arguments()
    with torch.no_grad():
        seen, (memory, rest) = step.module(*arguments)
    found, (found_memory, found_rest) = ready.program(*arguments)  # type: ignore[misc]
    for mine, theirs in ((found, seen), (found_memory, memory), (found_rest, rest)):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_may_be_the_next_arguments(backend: BackendName) -> None:
    need(backend)
    step = toy()
    program = prepare(step, backend=backend, precision=Precision.F32, threads=1, cache=None).program
    image, memory, known, place = step.example
    expected, carried = memory, memory
    for _ in range(6):
        with torch.no_grad():
            _, expected = step.module(image, expected, known, place)
        _, carried = program(image, carried, known, place)  # type: ignore[misc]
        torch.testing.assert_close(carried, expected, rtol=0, atol=1e-5)


def test_arguments_of_another_structure_are_refused() -> None:
    step = toy()
    program = prepare(step, backend=BackendName.EAGER, precision=Precision.F32, cache=None).program
    with pytest.raises(ValueError, match="expected"):
        program(*step.example[:3])


class Wrong(Eager):
    """Computes something else."""

    name = "wrong"

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        run = super().build(step, settings)
        return lambda leaves: [x * 1.01 if x.is_floating_point() else x for x in run(leaves)]


class Broken(Eager):
    """Cannot build."""

    name = "broken"

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        raise RuntimeError("no converter for aten::toy\nand a long trace")


class NotANumber(Eager):
    """Gives NaN."""

    name = "nan"

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        run = super().build(step, settings)
        return lambda leaves: [x * float("nan") for x in run(leaves)]


@pytest.mark.parametrize(
    ("backend", "reason"),
    [(Wrong(), r"differs from eager f32 by 1\.0e-02"), (Broken(), "no converter for aten::toy$"),
     (NotANumber(), "differs from eager f32 by nan")],
)  # fmt: skip
@pytest.mark.parametrize("asked", [BackendName.AUTO, BackendName.OPENVINO])
def test_a_backend_that_disagrees_is_replaced_by_eager_with_a_reason(
    backend: Eager, reason: str, asked: BackendName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.BACKENDS, BackendName.OPENVINO, backend)
    report = prepare(toy(), backend=asked, precision=Precision.F32, cache=None).report
    assert report.backend == "eager"
    assert [r.backend for r in report.refused] == [backend.name]
    assert re.search(reason, report.refused[0].reason)
    assert report.notes[1].startswith(f"not {backend.name}: ")


class Undecided(Eager):
    """Close in numbers, of another opinion where it is close."""

    name = "undecided"

    def build(self, step: Step, settings: Settings) -> FlatProgram:
        run = super().build(step, settings)
        return lambda leaves: [x + 1e-4 if x.is_floating_point() else x for x in run(leaves)]


def test_a_backend_that_decides_otherwise_is_refused_however_close_its_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(module.BACKENDS, BackendName.OPENVINO, Undecided())
    step = toy()
    seen = step.module(*step.example)[0].detach()
    decided = replace(step, decide=lambda results: (results[0] > seen + 5e-5).int())
    report = prepare(decided, precision=Precision.F32, cache=None).report
    assert report.backend == "eager"
    assert report.refused[0].reason.startswith("decides as eager f32 in 0.0% of all places")
    assert prepare(step, precision=Precision.F32, cache=None).report.backend == "undecided"


def test_nan_weights_are_an_error_not_a_fallback() -> None:
    step = toy()
    with torch.no_grad():
        step.module.conv.weight.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(BackendError, match="no backend runs this step"):
        prepare(step, precision=Precision.F32, cache=None)


def test_a_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'stream-avs\[openvino\]'"):
        prepare(toy(), backend=BackendName.OPENVINO, cache=None)
    report = prepare(toy(), backend=BackendName.AUTO, precision=Precision.F32, cache=None).report
    assert report.backend == "eager"
    assert report.refused[0].reason == "openvino is not installed"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("backend", [BackendName.CUDA, BackendName.TENSORRT])
def test_gpu_backends_are_refused_without_a_gpu(backend: BackendName) -> None:
    with pytest.raises(ConfigError, match="no CUDA device was found"):
        prepare(toy(), backend=backend, cache=None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", [BackendName.CUDA, BackendName.TENSORRT])
@pytest.mark.parametrize("precision", [Precision.F32, Precision.AUTO])
def test_gpu_backends_agree(backend: BackendName, precision: Precision, tmp_path: Path) -> None:
    if backend is BackendName.TENSORRT:
        pytest.importorskip("tensorrt", reason="needs TensorRT")
    step = toy()
    on_gpu = Step(
        module=step.module.cuda(),
        example=torch.utils._pytree.tree_map(lambda x: x.cuda(), step.example),
    )
    ready = prepare(on_gpu, backend=backend, precision=precision, cache=tmp_path)
    assert ready.report.backend == backend.value
    arguments = torch.utils._pytree.tree_map(lambda x: x.cuda(), other_arguments())
    with torch.no_grad():
        expected = torch.utils._pytree.tree_leaves(on_gpu.module(*arguments))
    for mine, theirs in zip(
        torch.utils._pytree.tree_leaves(ready.program(*arguments)), expected, strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=5e-2)


def test_difference_is_that_of_the_worst_output() -> None:
    one, two = torch.ones(4), torch.full((3,), 2.0)
    assert difference([one, two * 1.1], [one, two]) == pytest.approx(0.1, rel=1e-5)
    assert difference([one * 0 + 5, two], [one, two]) == pytest.approx(4.0)
    found = difference([one, two * float("nan")], [one, two])
    assert found != found
    with pytest.raises(ValueError, match="results are"):
        difference([one], [two])


# artefacts


def test_an_artefact_is_made_once_and_again_when_anything_changes(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("x")

    step = toy()
    first = artefact(tmp_path, step, "recipe-1", make)
    assert artefact(tmp_path, step, "recipe-1", make) == first
    assert len(made) == 1
    assert sorted(p.name for p in first.iterdir()) == ["complete", "file"]
    assert artefact(tmp_path, step, "recipe-2", make) != first
    with torch.no_grad():
        step.module.mix.bias[0] += 1  # type: ignore[index,union-attr]
    assert artefact(tmp_path, step, "recipe-1", make) != first
    assert len(made) == 3


def test_shapes_count_and_values_of_the_example_do_not() -> None:
    step = toy()
    image, *rest = step.example
    same = Step(module=step.module, example=(image * 2, *rest))
    other = Step(module=step.module, example=(image[..., :4], *rest))
    assert content_hash(step, "r") == content_hash(same, "r")
    assert content_hash(step, "r") != content_hash(other, "r")


def test_an_interrupted_build_is_not_believed(tmp_path: Path) -> None:
    def dies(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artefact(tmp_path, toy(), "r", dies)
    assert list(tmp_path.iterdir()) == []
    half = tmp_path / f"r-{content_hash(toy(), 'r')}"
    half.mkdir()
    (half / "file").write_text("half")
    whole = artefact(tmp_path, toy(), "r", lambda folder: None)
    assert not (whole / "file").exists()


def test_a_cache_that_cannot_be_written_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    (tmp_path / "file").write_text("")
    report = prepare(toy(), precision=Precision.F32, cache=tmp_path / "file").report
    assert report.backend == "eager"
    assert "NotADirectoryError" in report.refused[0].reason or "FileExistsError" in report.refused[0].reason


def test_a_second_start_takes_the_artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    prepare(toy(), backend=BackendName.OPENVINO, precision=Precision.F32, cache=tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr("stream_avs.engine.backends.openvino._convert", never)
    report = prepare(toy(), backend=BackendName.OPENVINO, precision=Precision.F32, cache=tmp_path).report
    assert (report.backend, report.refused) == ("openvino", ())


def test_what_openvino_keeps_of_one_precision_is_not_taken_for_another(tmp_path: Path) -> None:
    need(BackendName.OPENVINO)
    step = toy()

    def found(precision: Precision, cache: Path | None) -> torch.Tensor:
        ready = prepare(step, backend=BackendName.OPENVINO, precision=precision, cache=cache)
        assert ready.report.refused == ()
        return ready.program(*step.example)[0].clone()

    for precision in (Precision.F32, Precision.BF16, Precision.F32):
        torch.testing.assert_close(found(precision, tmp_path), found(precision, None), rtol=0, atol=1e-6)
    assert len({blob.parent for blob in tmp_path.rglob("*.blob")}) == 2


def test_openvino_tells_nobody_what_it_converts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own reports come from threads that stay, under an id in the home folder."""
    need(BackendName.OPENVINO)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = threading.enumerate()
    prepare(toy(), backend=BackendName.OPENVINO, precision=Precision.F32, threads=1, cache=None)
    assert threading.enumerate() == before
    assert list(tmp_path.iterdir()) == []


def test_signals_are_handled_after_engines_have_come_and_gone() -> None:
    """In a process of its own, which a signal would end; see `openvino._core`."""
    need(BackendName.OPENVINO)
    code = """
import gc, os, signal
import torch
from stream_avs.config import BackendName, Precision
from stream_avs.engine.backends.prepare import prepare
from test_prepare import toy

torch.set_num_threads(1)
signal.signal(signal.SIGTERM, lambda *_: print("asked to end", flush=True))
def build():
    return prepare(toy(), backend=BackendName.OPENVINO, precision=Precision.F32, threads=1, cache=None)
engines = [build() for _ in range(3)]
while engines:
    engines.pop(0)
    gc.collect()
    os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "asked to end\n" * 3), done.stderr


def test_onnx_file_gives_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    step, path = toy(), tmp_path / "step.onnx"
    export_onnx(step, path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    leaves = torch.utils._pytree.tree_leaves(other_arguments())
    names = [i.name for i in session.get_inputs()]
    assert names == [f"in_{i}" for i in range(5)]
    results = session.run(None, {n: x.contiguous().numpy() for n, x in zip(names, leaves, strict=True)})
    with torch.no_grad():
        expected = torch.utils._pytree.tree_leaves(step.module(*other_arguments()))
    for mine, theirs in zip(results, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(mine), theirs, rtol=0, atol=1e-5)
