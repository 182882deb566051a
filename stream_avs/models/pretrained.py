"""Fill the encoders from the files their authors publish. Whole networks are in `checkpoint`."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from stream_avs.errors import WeightsError
from stream_avs.models.load import BUNDLED, fill, read_weights
from stream_avs.models.network import Network
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName
from stream_avs.models.published import BUNDLED_FILES, files_of, weights_dir

_WRAPPERS = ("model", "state_dict")
"""Keys under which some files keep their tensors."""
_PREFIXES = ("", "module.", "backbone.body.", "backbone.0.body.")
"""Where a detector or a parallel wrapper keeps the encoder."""
_NOT_NEEDED = ("head.", "fc.", "classifier.", "bu_", "merge_enc_dec_")
"""Classifiers and decoders of the published networks."""


def load_encoders(network: Network, folder: Path | None = None) -> list[Path]:
    """Fill both encoders from published files; an encoder without such a file keeps its weights.

    Args:
        network: the network.
        folder: where downloaded files are; None for the default.

    Returns:
        The files that were read.

    Raises:
        WeightsError: a file is not there, damaged, or does not fit.
    """
    config = network.config
    read = []
    for module, name in (
        (network.image_encoder, config.image_encoder),
        (network.audio_encoder, config.audio_encoder),
    ):
        if name in BUNDLED_FILES:
            path = BUNDLED / BUNDLED_FILES[name]
        elif files_of(name):
            path = find(name, folder)
        else:
            continue
        load_encoder(module, path)
        read.append(path)
    network.load_published(folder)
    return read


def find(encoder: ImageEncoderName | AudioEncoderName, folder: Path | None = None) -> Path:
    """The first of an encoder's published files that is in the folder, as .pth or .safetensors.

    Raises:
        WeightsError: none is there; says where to put which.
    """
    folder, names = weights_dir(folder), files_of(encoder)
    for name in names:
        for path in (folder / name, (folder / name).with_suffix(".safetensors")):
            if path.exists():
                return path
    raise WeightsError(
        f"{folder} holds no weights for {encoder}",
        f"Run `stream-avs weights fetch {names[0]}`, or put {' or '.join(names)} there",
    )


def load_encoder(module: nn.Module, path: Path) -> None:
    """Fill one encoder from a published file; what belongs to a classifier or decoder is left out.

    Raises:
        WeightsError: the file is missing, damaged or does not fit; names the first differences.
    """
    fill(module, _select(module, read_tensors(path)), str(path))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file, or a PyTorch file without executing anything in it.

    Raises:
        WeightsError: missing, damaged, or holding more than tensors.
    """
    if path.suffix == ".safetensors":
        return read_weights(path).tensors
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"weight file {path} does not exist", "Check the path") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"weight file {path} cannot be read: {reason}", "Fetch it again") from None
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise WeightsError(f"weight file {path} holds a {type(content).__name__}", "Expected tensors by name")
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _select(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors meant for `module`: of the prefix that fits most keys, without prefix and classifier."""
    own = set(module.state_dict())
    prefix = max(_PREFIXES, key=lambda p: sum(p + key in tensors for key in own))
    stripped = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return {key: value for key, value in stripped.items() if key in own or not key.startswith(_NOT_NEEDED)}
