"""Read one float array from a pickle without running anything the pickle asks for.

AVSBench ships its log-mel features as pickled torch tensors, and a pickle is a program. Here
`pickle_machine` runs it with a table of stand-ins written for this purpose. Understood are
`pickle.dump` of a torch tensor, parameter or numpy array, and both formats of `torch.save`. Reading
allocates at most 20 times the file, plus 4 MiB.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_avs.datasets.pickle_machine import Call, Name, RefusedError, run, short
from stream_avs.errors import DatasetError

MAX_BYTES = 64 * 2**20
MAX_VALUES = 16 * 2**20
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first value of torch.save's format before zip files
_STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2"}

FloatArray = NDArray[np.floating[Any]]


def load_float_array(path: Path) -> FloatArray:
    """Read the one float tensor or array a pickle file holds, C-contiguous, in its own precision.

    Raises:
        DatasetError: the file is missing, too large, damaged, or holds anything else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist", "Check that the archive was unpacked whole") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}", "Check it") from None
    return float_array_of(data, str(path))


def float_array_of(data: bytes, name: str) -> FloatArray:
    """Read the one float tensor or array of a pickle called `name`; see `load_float_array`."""
    try:
        if len(data) > MAX_BYTES:
            raise RefusedError(f"it has more than {MAX_BYTES} bytes")
        found = _load_zip(data) if data[:2] == b"PK" else _load_stream(data)
        if not isinstance(found, _Array | _Tensor):
            raise RefusedError(f"it holds a {type(found).__name__}")
        return found.resolve()
    except RefusedError as reason:
        raise DatasetError(
            f"{name} is not a pickled float tensor: {reason}",
            "Open it with nothing that unpickles; get the file again from the data set",
        ) from None
    except _DAMAGED as error:
        raise DatasetError(f"{name} is damaged or no pickled tensor ({error})", "Get it again") from None


_DAMAGED = (
    ValueError, TypeError, IndexError, KeyError, OSError, EOFError,
    OverflowError, RuntimeError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


class _Dtype:
    """`numpy.dtype`, as far as a pickle has built it."""

    def __init__(self, name: object, *_: object) -> None:
        if name not in ("f2", "f4", "f8"):
            raise RefusedError(f"elements of type {short(name)}")
        self.name = str(name)
        self.order = "<"

    def build(self, state: Any) -> None:
        if state[1] not in ("<", ">"):
            raise RefusedError(f"byte order {short(state[1])}")
        self.order = state[1]


class _Array:
    """`numpy.ndarray`, as far as a pickle has built it."""

    def __init__(self, *content: Any) -> None:
        self.content = content

    def build(self, state: Any) -> None:
        _version, shape, dtype, is_fortran, data = state
        self.content = (data, dtype, shape, "F" if is_fortran else "C")

    def resolve(self) -> FloatArray:
        data, dtype, shape, order = self.content
        if (
            not isinstance(data, bytes | bytearray)
            or not isinstance(dtype, _Dtype)
            or order not in ("C", "F")
        ):
            raise RefusedError("a numpy array of another kind")
        values = np.frombuffer(bytes(data), dtype.order + dtype.name).reshape(_sizes(shape), order=order)
        return np.array(values, values.dtype.newbyteorder("="), order="C")


@dataclass
class _Storage:
    """A tensor's memory; its values may come later in the file."""

    dtype: str
    values: FloatArray | None = None

    def fill(self, data: bytes) -> None:
        self.values = np.frombuffer(data, self.dtype)


@dataclass
class _Tensor:
    """A view of a storage."""

    storage: object
    offset: object
    size: object
    stride: object

    def resolve(self) -> FloatArray:
        sizes, strides = _sizes(self.size), _numbers(self.stride)
        values = self.storage.values if isinstance(self.storage, _Storage) else None
        if values is None or not isinstance(self.offset, int) or len(sizes) != len(strides):
            raise RefusedError("a tensor of another kind")
        if 0 in sizes:
            return np.empty(sizes, values.dtype)
        last = self.offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
        if self.offset < 0 or last >= values.size:
            raise RefusedError(f"a tensor that reaches value {last} of {values.size}")
        if np.prod(sizes, dtype=np.float64) > values.size:
            raise RefusedError(f"a tensor of shape {short(sizes)} from {values.size} values")
        step_bytes = [step * values.itemsize for step in strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], sizes, step_bytes).copy()


def _numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(n) is int and 0 <= n <= MAX_VALUES for n in value):
        raise RefusedError(f"shape or stride {short(value)}")
    return value


def _sizes(value: object) -> tuple[int, ...]:
    shape = _numbers(value)
    if np.prod(shape, dtype=np.float64) > MAX_VALUES:
        raise RefusedError(f"shape {short(shape)}, more than {MAX_VALUES} values")
    return shape


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise RefusedError(f"text in encoding {short(encoding)}")
    return text.encode("latin1")


def _load_storage(data: object) -> _Storage:
    """Read what a tensor's own pickle holds inside: its storage in the older format of torch.save."""
    if not isinstance(data, bytes | bytearray):
        raise RefusedError("a storage that is not bytes")
    file = io.BytesIO(data)
    storage = _load_legacy(file) if run(file, {}) == _LEGACY_MAGIC else None
    if not isinstance(storage, _Storage):
        raise RefusedError("a storage of an unknown format")
    return storage


_NUMPY: dict[str, Call | Name] = {
    "numpy dtype": Call(_Dtype),
    "numpy ndarray": Name("ndarray"),
    "_codecs encode": Call(_encode),
    "numpy.core.multiarray _reconstruct": Call(lambda *_: _Array()),
    "numpy._core.multiarray _reconstruct": Call(lambda *_: _Array()),
    "numpy.core.numeric _frombuffer": Call(_Array),
    "numpy._core.numeric _frombuffer": Call(_Array),
}
_TENSOR: dict[str, Call | Name] = {
    "torch._utils _rebuild_tensor_v2": Call(lambda a, b, c, d, *_: _Tensor(a, b, c, d)),
    "torch._utils _rebuild_parameter": Call(lambda tensor, *_: tensor),
    "collections OrderedDict": Call(lambda: {}),
    **{f"torch {name}": Name(name) for name in _STORAGES},
}
_PLAIN = {**_NUMPY, **_TENSOR, "torch.storage _load_from_bytes": Call(_load_storage)}


def _load_stream(data: bytes) -> object:
    """A plain pickle, or `torch.save` in the format before zip files."""
    file = io.BytesIO(data)
    first = run(file, _PLAIN)
    return _load_legacy(file) if first == _LEGACY_MAGIC else first


def _load_legacy(file: io.BytesIO) -> object:
    """What follows the magic number: version, machine, object, storage keys, then their values."""
    run(file, {})
    machine = run(file, {})
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise RefusedError("values that are not little-endian")
    storages: dict[str, _Storage] = {}
    found = run(file, _TENSOR, lambda persistent_id: _storage(persistent_id, storages))
    for key in run(file, {}):
        storage = storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        if not 0 <= count <= MAX_VALUES:
            raise RefusedError(f"a storage of {count} values")
        storage.fill(file.read(count * np.dtype(storage.dtype).itemsize))
    return found


def _load_zip(data: bytes) -> object:
    """`torch.save` as a zip file: data.pkl and one file per storage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise RefusedError("a zip file that torch.save did not write")
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise RefusedError("a compressed zip file, which torch.save does not write")
        if sum(info.file_size for info in archive.infolist()) > len(data):
            raise RefusedError("a zip file whose parts overlap")
        prefix = pickles[0].removesuffix("data.pkl")
        if f"{prefix}byteorder" in archive.namelist() and archive.read(f"{prefix}byteorder") != b"little":
            raise RefusedError("values that are not little-endian")
        storages: dict[str, _Storage] = {}
        file = io.BytesIO(archive.read(pickles[0]))
        found = run(file, _TENSOR, lambda persistent_id: _storage(persistent_id, storages))
        for key, storage in storages.items():
            storage.fill(archive.read(f"{prefix}data/{key}"))
        return found


def _storage(persistent_id: object, storages: dict[str, _Storage]) -> _Storage:
    """Answer ('storage', class, key, device, count, ...) with the storage of that key."""
    if not isinstance(persistent_id, tuple) or len(persistent_id) < 3 or persistent_id[0] != "storage":
        raise RefusedError("a reference to something else than a storage")
    kind, key = persistent_id[1], persistent_id[2]
    if not isinstance(kind, Name) or kind.name not in _STORAGES or not isinstance(key, str):
        raise RefusedError("a storage of another kind")
    return storages.setdefault(key, _Storage(_STORAGES[kind.name]))
