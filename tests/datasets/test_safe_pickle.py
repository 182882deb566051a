"""Pickled tensors are read; anything else in a pickle is refused, and nothing is run."""

from __future__ import annotations

import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_avs.datasets.safe_pickle import load_float_array
from stream_avs.errors import DatasetError

VALUES = np.arange(5 * 96 * 64, dtype=np.float32).reshape(5, 1, 96, 64) / 7


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        torch.from_numpy(VALUES.copy()).requires_grad_(True),  # what AVSBench ships
        torch.nn.Parameter(torch.from_numpy(VALUES.copy())),
        VALUES,
        np.asfortranarray(VALUES),
        VALUES.astype(">f4"),
    ],
    ids=["tensor", "parameter", "numpy", "fortran", "big-endian"],
)
def test_a_plain_pickle_is_read(tmp_path: Path, protocol: int, value: object) -> None:
    found = load_float_array(save(tmp_path / "a.pkl", pickle.dumps(value, protocol)))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, VALUES)


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_save_are_read(tmp_path: Path, zipped: bool) -> None:
    view = torch.from_numpy(VALUES.copy()).transpose(2, 3)[1:]  # strides and an offset
    torch.save(view, tmp_path / "a.pkl", _use_new_zipfile_serialization=zipped)
    np.testing.assert_array_equal(load_float_array(tmp_path / "a.pkl"), VALUES.swapaxes(2, 3)[1:])


def test_double_precision_stays_double(tmp_path: Path) -> None:
    value = torch.linspace(0, 1, 7, dtype=torch.float64)
    found = load_float_array(save(tmp_path / "a.pkl", pickle.dumps(value)))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, value.numpy())


class RunsACommand:
    """Unpickled the ordinary way, this writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    bad = save(tmp_path / "a.pkl", pickle.dumps(RunsACommand(trace), protocol))
    with pytest.raises(DatasetError, match=r"a\.pkl is (not a pickled float tensor|damaged)"):
        load_float_array(bad)
    assert not trace.exists()
    pickle.loads(bad.read_bytes())  # the file does what it says: the refusal above was not luck
    assert trace.exists()


def test_a_malicious_pickle_inside_the_storage_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    inner = pickle.dumps(RunsACommand(trace), 2)
    outer = (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(ctorch.storage\n_load_from_bytes\n"
        b"B" + struct.pack("<I", len(inner)) + inner + b"\x85RK\x00K\x01\x85K\x01\x85\x88}tR."
    )
    with pytest.raises(DatasetError, match="posix"):
        load_float_array(save(tmp_path / "a.pkl", outer))
    assert not trace.exists()


@pytest.mark.parametrize("name", ["builtins eval", "torch.load load", "numpy load", "builtins getattr"])
def test_only_names_of_the_table_exist(tmp_path: Path, name: str) -> None:
    module, attribute = name.split()
    with pytest.raises(DatasetError, match=rf"it asks for '{module}\.{attribute}'"):
        load_float_array(save(tmp_path / "a.pkl", f"c{module}\n{attribute}\n.".encode()))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pickle.dumps({"a": 1}), "it holds a dict"),
        (pickle.dumps(np.arange(4)), "elements of type 'i8'"),
        (pickle.dumps(np.array([object], object)), "elements of type 'O8'"),
        (pickle.dumps(VALUES)[:-200], "damaged"),
        (b"", "damaged"),
        (b"PK\x03\x04 not a zip", "damaged"),
        (b"\x80\x02r\xff\xff\xff\x7fN.", "damaged"),  # memo index 2**31 - 1, and nothing to store
        (b"\x80\x02}}b.", "sets the state of a dict"),
    ],
)  # fmt: skip
def test_what_is_not_a_float_array_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        load_float_array(save(tmp_path / "a.pkl", data))


def test_a_tensor_that_reaches_outside_its_storage_is_refused(tmp_path: Path) -> None:
    good = pickle.dumps(torch.zeros(6), 2)
    # The size is a one-byte integer, 6; make it 60 while the storage keeps 6 values.
    tail = good.rindex(b"K\x06\x85")
    with pytest.raises(DatasetError, match="reaches value 59 of 6"):
        load_float_array(save(tmp_path / "a.pkl", good[:tail] + b"K\x3c\x85" + good[tail + 3 :]))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.pkl does not exist"):
        load_float_array(tmp_path / "gone.pkl")


def _samples() -> list[bytes]:
    value = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    zipped = io.BytesIO()
    torch.save(value, zipped)
    return [pickle.dumps(value, 2), pickle.dumps(value.numpy(), 5), zipped.getvalue()]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(_samples()), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4))
def test_damage_ends_in_an_array_or_a_named_error(
    tmp_path: Path, data: bytes, changes: list[tuple[float, int]]
) -> None:
    broken = bytearray(data)
    for where, value in changes:
        broken[min(int(where * len(broken)), len(broken) - 1)] = value
    path = save(tmp_path / "a.pkl", bytes(broken))
    try:
        outcome = load_float_array(path)
    except DatasetError as error:
        outcome = str(error)
    assert isinstance(outcome, np.ndarray) or str(path) in outcome
