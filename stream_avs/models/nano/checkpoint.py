"""Nano's weights as one safetensors file; the senses have files of their own.

The file holds listener and trunk. Its metadata holds the configuration, the thresholds found on
validation data, the class ids, and what a person should know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import safetensors.torch
from msgspec import Meta

from stream_avs.config import from_mapping, require
from stream_avs.errors import ConfigError, WeightsError
from stream_avs.json_input import decode_json
from stream_avs.models.checkpoint import network_tensors, read_metadata, write_tensors
from stream_avs.models.load import build_to_fit, fill, read_weights
from stream_avs.models.nano.config import NanoConfig
from stream_avs.models.nano.network import PERSON, Nano
from stream_avs.models.nano.objects import ObjectRule

_KEY = "stream_avs.nano"
_FORMAT = 1
MAX_ID = 20


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From what on something sounds; found on validation data."""

    pixel: float = 0.5
    """Probability from which eye and ear agree on a pixel."""
    pixel_before: float = 0.42
    """The same where the frame before sounded: lower, so that masks do not flicker."""
    sounding: float = 0.0
    """Sounding score under which the mask is empty."""
    sounding_before: float = 0.0
    """The same after a frame whose mask was not empty."""
    smallest: float = 0.002
    """See `ObjectRule` for this and what follows."""
    clear: float = 0.0
    behind: float = 50.0
    shown: float = 0.0

    def __post_init__(self) -> None:
        for name in ("pixel", "pixel_before", "sounding", "sounding_before", "smallest", "clear"):
            require(0 <= getattr(self, name) <= 1, f"nano.{name}", getattr(self, name), "0..1")
        require(self.behind >= 0, "nano.behind", self.behind, "0 or more")
        require(self.shown >= 0, "nano.shown", self.shown, "0 or more")

    def at(self, pixel: float) -> Thresholds:
        """With another `pixel`; `pixel_before` keeps its distance from it, within 0..1."""
        before = pixel - self.pixel + self.pixel_before
        return replace(self, pixel=pixel, pixel_before=min(1.0, max(0.0, before)))

    @property
    def objects(self) -> ObjectRule:
        """Which objects stay."""
        names = ("smallest", "clear", "behind", "shown")
        return ObjectRule(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True, kw_only=True)
class NanoDescription:
    """What the metadata says: dimensions, thresholds, VOC ids of the classes, facts for people."""

    config: NanoConfig
    thresholds: Thresholds
    ids: list[int]
    about: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class NanoFile:
    """A file as read."""

    network: Nano
    thresholds: Thresholds
    sha256: str
    about: dict[str, Any] = field(default_factory=dict)


def save_nano(path: Path, network: Nano, thresholds: Thresholds, about: dict[str, Any]) -> None:
    """Write the file.

    Raises:
        OSError: it cannot be written.
    """
    content = {
        "format": _FORMAT,
        "config": asdict(network.config),
        "thresholds": asdict(thresholds),
        "ids": network.ids.tolist(),
        "about": about,
    }
    write_tensors(path, network_tensors(network), {_KEY: json.dumps(content)})


def load_nano(path: Path) -> NanoFile:
    """Read the file, strictly; the network comes in evaluation mode.

    Raises:
        WeightsError: missing, damaged, or not a nano file that fits.
    """
    weights = read_weights(path)
    found = nano_description_of(read_metadata(path), path)
    network = build_to_fit(lambda: Nano(found.config, found.ids), found.config, weights.tensors, str(path))
    fill(network, weights.tensors, str(path))
    return NanoFile(
        network=network.eval(), thresholds=found.thresholds, sha256=weights.sha256, about=found.about
    )


def nano_description_of(metadata: Mapping[str, str], path: Path) -> NanoDescription:
    """What the metadata of the file `path` says; see `load_nano`."""
    try:
        content = decode_json(metadata[_KEY])
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}")
        ids = msgspec.convert(content["ids"], list[Annotated[int, Meta(ge=1, le=MAX_ID)]])
        if PERSON not in ids:
            raise ValueError(f"ids {ids} are without {PERSON}")
        return NanoDescription(
            config=from_mapping(content["config"], NanoConfig),
            thresholds=from_mapping(content["thresholds"], Thresholds),
            ids=ids,
            about=dict(content.get("about", {})),
        )
    except (KeyError, ValueError, TypeError, AttributeError, ConfigError) as error:
        raise WeightsError(
            f"{path} is not a nano file ({error})", "Install again, or train it again"
        ) from None


def size_of(path: Path) -> int:
    """Bytes of tensors in the file."""
    return sum(t.nbytes for t in safetensors.torch.load_file(path).values())
