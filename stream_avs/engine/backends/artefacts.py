"""Compiled artefacts of a step, found again by the content they were made from."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from stream_avs.engine.backends.base import Step
from stream_avs.engine.backends.cache import keep

_LOGGER = logging.getLogger("stream_avs.engine")


def artefact(cache: Path, step: Step, recipe: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of an artefact; make it if it is not there yet, see `cache.keep`.

    Args:
        cache: where all artefacts lie.
        step: what it is made from.
        recipe: how: name and version of the library, and options that change the file.
        make: fills an empty folder.

    Raises:
        OSError: the folder cannot be written.
    """

    def told(folder: Path) -> None:
        # a person waits for this
        _LOGGER.warning("compiling the %s (%s), once for these weights on this machine", step.name, recipe)
        make(folder)

    return keep(cache, f"{recipe}-{content_hash(step, recipe)}", told)


def content_hash(step: Step, recipe: str) -> str:
    """16 hex digits over weights, code, shapes and recipe; the values of the example do not count."""
    digest = hashlib.sha256(f"{recipe} torch {torch.__version__}\n{step.module!r}\n".encode())
    for path in sorted(_sources(step)):
        digest.update(path.read_bytes())
    for x in tree_flatten(step.example)[0]:
        digest.update(f"{tuple(x.shape)} {x.dtype} {x.device.type}\n".encode())
    held = {**dict(step.module.named_parameters()), **dict(step.module.named_buffers())}
    for name, tensor in sorted(held.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:16]


def _sources(step: Step) -> set[Path]:
    """The network's code: all files of the folders its modules come from, for the functions they call."""
    kinds = {type(m) for m in step.module.modules() if type(m).__module__.split(".")[0] != "torch"}
    return {file for kind in kinds for file in Path(inspect.getfile(kind)).parent.glob("*.py")}


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")
