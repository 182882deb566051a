"""Turn published weight files into safetensors files that `load_weights` takes.

Takes EfficientAT's `mn04_as_mAP_432.pt` and any of EdgeNets' `espnetv2_s_*_pascal_*.pth`. Which
network a file belongs to is read from its keys.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from stream_avs.errors import WeightsError
from stream_avs.models.backbones.espnetv2 import WIDTHS, EspNetV2
from stream_avs.models.backbones.mn04 import Mn04
from stream_avs.models.load import fill

PUBLISHED = {
    "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c": "mn04_as_mAP_432.pt",
    "3352b32b209e1e6492d1481734f5333876b28d8866f5c1702d01ec70255eb20c": "espnetv2_s_0.5_pascal_384x384.pth",
    "7ce2df106b62661a4e8e30098398d6b96a2a946b9546d2287500379f984301a8": "espnetv2_s_1.0_pascal_384x384.pth",
    "bc479586b0ba9254e02589020346931a14d99028ad6bac4817198be6d9e719a6": "espnetv2_s_2.0_pascal_384x384.pth",
    "e4883abccf8f042d422f2c66d69bd21b7af8d41680335e117eb2ee205f303d32": "espnetv2_s_2.0_pascal_256x256.pth",
}
"""SHA-256 of the published files this was checked with."""

_ORIGINS = {
    "mn04_as": "EfficientAT, https://github.com/fschmid56/EfficientAT, MIT, (c) 2022 Florian Schmid",
    "espnetv2": "EdgeNets, https://github.com/sacmehta/EdgeNets, MIT, (c) 2021 Sachin Mehta",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """A file that was written.

    Attributes:
        target: the safetensors file.
        network: "mn04_as" or "espnetv2_s<scale>".
        published_as: name under which exactly this source was published; "" when unknown.
    """

    target: Path
    network: str
    published_as: str


def convert(source: Path, target: Path) -> Converted:
    """Convert one published file; `target` is overwritten.

    Tensors are stored as float32 under their published names, without batch norm's counters; source
    name, SHA-256 and origin go into the file's metadata.

    Raises:
        WeightsError: the source is missing, damaged, or of no known network.
    """
    digest, tensors = _read_published(source)
    network, module = _recognise(tensors, source)
    fill(module, tensors, str(source))
    stored = {
        key: value.to(torch.float32).contiguous().clone()
        for key, value in tensors.items()
        if not key.endswith("num_batches_tracked")
    }
    metadata = {
        "network": network,
        "source": PUBLISHED.get(digest, source.name),
        "source_sha256": digest,
        "origin": _ORIGINS[network.split("_s")[0]] if digest in PUBLISHED else "unknown",
    }
    safetensors.torch.save_file(stored, target, metadata=metadata)
    return Converted(target=target, network=network, published_as=PUBLISHED.get(digest, ""))


def _read_published(source: Path) -> tuple[str, Mapping[str, Tensor]]:
    try:
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        tensors = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"weight file {source} does not exist", "Check the path") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"weight file {source} cannot be read: {error}", "Download it again") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError(f"weight file {source} is not a plain state dict", "Use the published file")
    return digest, tensors


def _recognise(tensors: Mapping[str, Tensor], source: Path) -> tuple[str, nn.Module]:
    if "features.16.0.weight" in tensors and "classifier.5.weight" in tensors:
        return "mn04_as", Mn04()
    level2 = tensors.get("base_net.level2_0.act.weight")
    if level2 is not None:
        for scale, widths in WIDTHS.items():
            if widths[1] == len(level2):
                return f"espnetv2_s{scale:g}", EspNetV2(scale)
    raise WeightsError(
        f"weight file {source} belongs to no known network",
        "Known: EfficientAT mn04_as and ESPNetv2 segmentation, scales "
        + ", ".join(f"{scale:g}" for scale in WIDTHS),
    )
