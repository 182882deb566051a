"""Read weights from safetensors files into a network, strictly."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from stream_avs.errors import WeightsError

BUNDLED = Path(str(importlib.resources.files("stream_avs.models"))) / "weights"
"""Folder of the weights that come with the package."""

_COUNTER = "num_batches_tracked"  # batch norm's training counter: of no use, not stored
_SHOWN = 3


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
        tensors = safetensors.torch.load(data)
    except FileNotFoundError:
        raise WeightsError(f"weight file {path} does not exist", "Check the path, or install again") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"weight file {path} cannot be read: {error}", "Fetch or convert it again; it must be safetensors"
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
    own = {key: value for key, value in module.state_dict().items() if not key.endswith(_COUNTER)}
    given = {key: value for key, value in tensors.items() if not key.endswith(_COUNTER)}
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
    module.load_state_dict(given, strict=False)


def content_id(*digests: str) -> str:
    """Return 8 hex digits for a model id: the start of one digest, or of the digest of several."""
    if len(digests) == 1:
        return digests[0][:8]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:8]


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
