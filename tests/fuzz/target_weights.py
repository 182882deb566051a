"""Weight files: the tensors, and what their metadata says of a network."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch
from fuzzing import KIB, MIB, Target, in_file

from stream_avs.models.architectures import find_preset
from stream_avs.models.checkpoint import describe, description_of, read_metadata
from stream_avs.models.load import weights_of
from stream_avs.models.nano.checkpoint import Thresholds, nano_description_of
from stream_avs.models.nano.config import NanoConfig

FILE = Path("a.safetensors")
NETWORK_KEY, NANO_KEY = "stream_avs.network", "stream_avs.nano"


def files() -> list[bytes]:
    """Small weight files."""
    tensors = {"a": torch.ones(2, 3), "b.c": torch.zeros(4, dtype=torch.int64), "e": torch.zeros(0, 3)}
    halves = {
        "h": torch.ones(3, dtype=torch.bfloat16),
        "s": torch.tensor(1.5),
        "f": torch.ones(2, dtype=torch.bool),
    }
    return [safetensors.torch.save(tensors, {"k": "v"}), safetensors.torch.save(halves)]


def _network() -> list[bytes]:
    return [
        json.dumps(
            json.loads(describe(find_preset(name), ["background", "sounding"], {"clips": 4})[NETWORK_KEY])
        ).encode()
        for name in ("tiny", "c3n-tiny", "tpavi-tiny")
    ]


def _nano() -> list[bytes]:
    content = {
        "format": 1, "config": asdict(NanoConfig()), "thresholds": asdict(Thresholds()), "ids": [3, 15],
        "about": {"clips": 4},
    }  # fmt: skip
    return [json.dumps(content, default=str).encode()]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


TARGETS = (
    Target(
        name="weights", decode=lambda data: weights_of(data, "a"), seeds=files, multiple=16,
        constant_bytes=MIB, max_bytes=KIB,
    ),
    Target(
        name="weights-metadata", decode=in_file(read_metadata, ".safetensors"), seeds=files, max_bytes=KIB,
        constant_bytes=MIB,
    ),
    Target(
        name="network-description", form="json", multiple=64, constant_bytes=MIB,
        decode=lambda data: description_of({NETWORK_KEY: _text(data)}, FILE), seeds=_network,
    ),
    Target(
        name="nano-description", form="json", multiple=64, constant_bytes=MIB,
        decode=lambda data: nano_description_of({NANO_KEY: _text(data)}, FILE), seeds=_nano,
    ),
)  # fmt: skip
