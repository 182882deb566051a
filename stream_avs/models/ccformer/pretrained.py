"""Load published encoder weights, and save and load whole networks.

A network is one safetensors file: its tensors, and its configuration as JSON in the header.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from stream_avs.config import from_mapping
from stream_avs.errors import ConfigError, WeightsError
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import AudioEncoderName, CCFormerConfig, ImageEncoderName
from stream_avs.models.ccformer.published import BUNDLED_FILES, files_of, weights_dir
from stream_avs.models.load import BUNDLED, fill, read_weights

_WRAPPERS = ("model", "state_dict")
"""Keys under which some files keep their tensors."""
_PREFIXES = ("", "module.", "backbone.body.", "backbone.0.body.")
"""Where a detector or a parallel wrapper keeps the encoder."""
_NOT_NEEDED = ("head.", "fc.", "classifier.", "bu_", "merge_enc_dec_")
"""Classifiers and decoders of the published networks."""
_CONFIG_KEY = "ccformer"


def load_encoders(network: CCFormer, folder: Path | None = None) -> list[Path]:
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


def save_network(network: CCFormer, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network with its configuration; other strings may ride along in the header.

    Args:
        network: on any device.
        path: the file; written beside and renamed, so that it is whole whenever it is there.
        metadata: further strings by name.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    header = {**(metadata or {}), _CONFIG_KEY: json.dumps(dataclasses.asdict(network.config))}
    part = path.with_name(path.name + ".part")
    safetensors.torch.save_file(tensors, part, header)
    part.replace(path)


def load_network(path: Path, *, classes: int | None = None) -> CCFormer:
    """Build the network a file was saved from, and fill it.

    Args:
        path: from `save_network`.
        classes: number of classes the caller needs; None for any.

    Raises:
        WeightsError: missing, damaged, not a CCFormer, or made for another number of classes.
    """
    config = network_config(path)
    if classes is not None and config.classes != classes:
        raise WeightsError(
            f"weight file {path} is made for {_classes(config.classes)}, {_classes(classes)} wanted",
            "Use a network trained on this data set, or train one",
        )
    network = CCFormer(config)
    fill(network, read_weights(path).tensors, str(path))
    return network


def load_into(network: CCFormer, path: Path) -> None:
    """Fill an existing network from a file of a network built the same way.

    Raises:
        WeightsError: missing, damaged, or other settings; names the first that differ.
    """
    saved, own = dataclasses.asdict(network_config(path)), dataclasses.asdict(network.config)
    # these change how the weights are used and not what they are
    free = {"mode", "frames", "input_px", "dropout"}
    differ = [
        f"{key} {saved[key]} instead of {own[key]}"
        for key in own
        if key not in free and saved[key] != own[key]
    ]
    if differ:
        raise WeightsError(
            f"weight file {path} is of another network: {', '.join(differ[:3])}",
            "Build the network with the file's settings",
        )
    fill(network, read_weights(path).tensors, str(path))


def network_config(path: Path) -> CCFormerConfig:
    """Read the configuration a network was saved with.

    Raises:
        WeightsError: missing, damaged, or not a CCFormer.
    """
    metadata = file_metadata(path)
    if _CONFIG_KEY not in metadata:
        raise WeightsError(
            f"weight file {path} has no CCFormer configuration", "Use a file this project saved"
        )
    try:
        return from_mapping(json.loads(metadata[_CONFIG_KEY]), CCFormerConfig)
    except (ConfigError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"weight file {path} has a configuration this version cannot read: {error}",
            "Use the version that saved it",
        ) from None


def file_metadata(path: Path) -> dict[str, str]:
    """Strings in the header of a safetensors file.

    Raises:
        WeightsError: missing or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except FileNotFoundError:
        raise WeightsError(f"weight file {path} does not exist", "Check the path") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"weight file {path} cannot be read: {error}", "Fetch or save it again") from None


def _classes(n: int) -> str:
    return "1 class (sounding or not)" if n == 1 else f"{n} classes"
