"""Read weights from safetensors files into a network, strictly."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from stream_avs.errors import WeightsError

BUNDLED = Path(str(importlib.resources.files("stream_avs.models"))) / "weights"
"""Folder of the weights that come with the package."""

_COUNTER = "num_batches_tracked"  # batch norm's training counter: of no use, not stored
_SHOWN = 3
MAX_LAYERS = 32
MAX_DIMENSION = 65_536

Module = TypeVar("Module", bound=nn.Module)

# Besides its own error, safetensors fails by accident on types and shapes that torch does not have.
_DAMAGED = (
    safetensors.SafetensorError, KeyError, ValueError, TypeError, AssertionError, RuntimeError, OverflowError
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """A weight file as read.

    Attributes:
        tensors: by state-dict key.
        sha256: of the whole file, hex.
    """

    tensors: dict[str, Tensor]
    sha256: str


def read_weights(path: Path) -> Weights:
    """Read a safetensors file.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(f"weight file {path} does not exist", "Check the path, or install again") from None
    except OSError as error:
        raise WeightsError(f"weight file {path} cannot be read: {error}", "Check it") from None
    return weights_of(data, str(path))


def weights_of(data: bytes, name: str) -> Weights:
    """Read the content of a safetensors file; allocates at most 16 times its length, plus 1 MiB.

    Raises:
        WeightsError: it is damaged; names `name`.
    """
    try:
        tensors = safetensors.torch.load(data)
    except _DAMAGED as error:
        raise WeightsError(
            f"weight file {name} cannot be read: {error}", "Fetch or convert it again; it must be safetensors"
        ) from None
    return Weights(tensors=tensors, sha256=hashlib.sha256(data).hexdigest())


def load_weights(module: nn.Module, path: Path) -> str:
    """Fill `module` from a file that holds exactly its parameters and buffers.

    Batch norm's `num_batches_tracked` may be in the file or not.

    Returns:
        SHA-256 of the file, hex.

    Raises:
        WeightsError: the file is missing, damaged or does not fit; names the first differences.
    """
    weights = read_weights(path)
    fill(module, weights.tensors, str(path))
    return weights.sha256


def fill(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Copy `tensors` into `module`, all keys and shapes checked; `name` is for the error.

    Raises:
        WeightsError: keys or shapes differ, or a value is not finite.
    """
    check_fit(module, tensors, name)
    module.load_state_dict(_without_counters(tensors), strict=False)


def build_to_fit(
    build: Callable[[], Module], config: object, tensors: Mapping[str, Tensor], name: str
) -> Module:
    """Build a network whose dimensions come from a file, after seeing that the file's tensors fit it.

    The first build has no memory behind it: a file cannot ask for more than it holds.

    Args:
        build: builds the network.
        config: dataclass with the dimensions, for their bounds.
        tensors: what it is to be filled with.
        name: of the file.

    Raises:
        WeightsError: a dimension out of bounds; or as `fill`.
    """
    _check_dimensions(config, name)
    try:
        with torch.device("meta"):
            module = build()
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        raise WeightsError(f"weight file {name} describes no network: {error}", "Get it again") from None
    check_fit(module, tensors, name)
    return build()


def check_fit(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Compare keys and shapes of `tensors` with those of `module`; see `fill` for the error."""
    own = {key: value for key, value in module.state_dict().items() if not key.endswith(_COUNTER)}
    given = _without_counters(tensors)
    differences = [
        _listed("missing", [key for key in own if key not in given]),
        _listed("unexpected", [key for key in given if key not in own]),
        _listed("of another shape", _other_shapes(own, given)),
        _listed("not finite", [key for key, value in given.items() if not bool(torch.isfinite(value).all())]),
    ]
    found = "; ".join(filter(None, differences))
    if found:
        raise WeightsError(
            f"weight file {name} does not fit {type(module).__name__}: {found}",
            "Use the file made for this network, or convert the published one again",
        )


def content_id(*digests: str) -> str:
    """Return 8 hex digits for a model id: the start of one digest, or of the digest of several."""
    if len(digests) == 1:
        return digests[0][:8]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:8]


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in tensors.items() if not key.endswith(_COUNTER)}


def _check_dimensions(config: object, name: str) -> None:
    """Refuse numbers, wherever in `config`, that no network has and that take for ever to build."""
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            _check_dimensions(value, name)
        most = MAX_LAYERS if field.name.endswith("_layers") else MAX_DIMENSION
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and number > most:
                raise WeightsError(
                    f"weight file {name} has {field.name} {number}, the limit is {most}", "Get it again"
                )


def _other_shapes(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{key} {tuple(given[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]


def _listed(kind: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return f"{kind}: {', '.join(items[:_SHOWN])}{more}"
