"""A trained network as one safetensors file: weights, and in its metadata architecture, config and labels.

Training states hold the network under `network.` beside optimiser and random state; files meant to
be shared hold it bare. Both load the same way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from stream_avs.config import from_mapping
from stream_avs.errors import ConfigError, WeightsError
from stream_avs.json_input import JsonError, decode_json
from stream_avs.models.architectures import DEFAULT, architecture, architecture_of
from stream_avs.models.load import Weights, build_to_fit, fill, read_weights
from stream_avs.models.network import Network
from stream_avs.models.network_config import NetworkConfig

NETWORK = "network."
"""Prefix of the network's tensors in a training state."""

_KEY = "stream_avs.network"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What the metadata of a checkpoint says about its network.

    Attributes:
        config: every dimension and switch; its class tells the architecture.
        labels: name of every class id; index 0 is the background.
        about: facts for people: how it was trained, what it scored.
    """

    config: NetworkConfig
    labels: tuple[str, ...]
    about: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Loaded:
    """A network as read from a checkpoint, on the CPU, in evaluation mode.

    Attributes:
        network: with its weights.
        description: see `Description`.
        sha256: of the file, hex.
    """

    network: Network
    description: Description
    sha256: str


def describe(config: NetworkConfig, labels: Sequence[str], about: Mapping[str, Any]) -> dict[str, str]:
    """Make the metadata of a checkpoint."""
    content = {
        "format": _FORMAT, "architecture": architecture_of(config).name, "config": asdict(config),
        "labels": list(labels), "about": dict(about),
    }  # fmt: skip
    return {_KEY: json.dumps(content)}


def save_network(path: Path, network: Network, labels: Sequence[str], about: Mapping[str, Any]) -> None:
    """Write a checkpoint to be shared; an existing file is overwritten in place.

    Raises:
        OSError: the file cannot be written.
    """
    write_tensors(path, network_tensors(network), describe(network.config, labels, about))


def network_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each contiguous and apart from the others, on the CPU."""
    return {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file.

    Raises:
        OSError: the file cannot be written.
    """
    try:
        safetensors.torch.save_file(tensors, path, metadata=metadata)
    except safetensors.SafetensorError as error:  # how the library reports a full disk or no permission
        raise OSError(str(error)) from error


def load_network(path: Path) -> Loaded:
    """Read a checkpoint, of either kind.

    Raises:
        WeightsError: missing, damaged, no checkpoint, or its tensors do not fit its config;
            names the first differences.
    """
    weights = read_weights(path)
    description = read_description(path)
    config = description.config
    inside = network_part(weights)
    network = build_to_fit(lambda: architecture_of(config).build(config), config, inside, str(path))
    fill(network, inside, str(path))
    return Loaded(network=network.eval(), description=description, sha256=weights.sha256)


def fill_network(network: Network, weights: Weights, path: Path) -> None:
    """Copy the network's tensors of a checkpoint into `network`; see `load_network` for the errors."""
    fill(network, network_part(weights), str(path))


def network_part(weights: Weights) -> Mapping[str, Tensor]:
    """The network's tensors of a checkpoint of either kind."""
    inside = {k.removeprefix(NETWORK): t for k, t in weights.tensors.items() if k.startswith(NETWORK)}
    return inside or weights.tensors


def read_description(path: Path) -> Description:
    """Read what a checkpoint says about its network, without its tensors.

    Raises:
        WeightsError: missing, damaged, or no checkpoint of a format known here.
    """
    return description_of(read_metadata(path), path)


def description_of(metadata: Mapping[str, str], path: Path) -> Description:
    """What the metadata of the checkpoint `path` says; see `read_description`."""
    content = _json(metadata, _KEY, path)
    if content.get("format") != _FORMAT:
        raise WeightsError(
            f"checkpoint {path} has format {content.get('format')!r}, this version reads {_FORMAT}",
            "Use the version of stream-avs that wrote it",
        )
    try:
        # files from before there was a second architecture name none
        kind = architecture(str(content.get("architecture", DEFAULT))).config
        config = from_mapping(content.get("config"), kind)
    except ConfigError as error:
        raise WeightsError(
            f"checkpoint {path}: its config does not fit: {error.what}", error.next_step
        ) from None
    labels, about = content.get("labels"), content.get("about", {})
    if not isinstance(labels, list) or not isinstance(about, dict) or len(labels) != max(config.classes, 2):
        found = len(labels) if isinstance(labels, list) else "no"
        raise WeightsError(
            f"checkpoint {path} has {found} labels for {config.classes} classes", "Train or fetch it again"
        )
    return Description(config=config, labels=tuple(map(str, labels)), about=about)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file.

    Raises:
        WeightsError: missing or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError:
        raise WeightsError(f"checkpoint {path} does not exist", "Check the path") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(
            f"checkpoint {path} cannot be read: {error}", "It must be a whole safetensors file"
        ) from None


def _json(metadata: Mapping[str, str], key: str, path: Path) -> dict[str, Any]:
    try:
        content = decode_json(metadata[key])
    except KeyError:
        raise WeightsError(
            f"{path} is no checkpoint of a network: its metadata has no {key!r}",
            "Give a file that `stream-avs train` wrote",
        ) from None
    except JsonError as error:
        raise WeightsError(
            f"checkpoint {path}: metadata {key!r} is damaged: {error}", "Get it again"
        ) from None
    if not isinstance(content, dict):
        raise WeightsError(f"checkpoint {path}: metadata {key!r} is damaged", "Get it again")
    return content
