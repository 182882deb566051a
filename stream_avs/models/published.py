"""Which published weight files the encoders take, and where they are looked for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName, NetworkConfig

DEFAULT_WEIGHTS_DIR = Path("~/.cache/stream_avs/weights")
"""Folder of downloaded weights, unless `--weights-dir` says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One file as its authors publish it.

    Attributes:
        name: file name.
        url: where it is.
        sha256: first digits that are known for sure; empty if none are.
        megabytes: about how large.
        summary: what it is.
    """

    name: str
    url: str
    sha256: str
    megabytes: int
    summary: str


_PVT = "https://github.com/whai362/PVT/releases/download/v2"
_TORCHVISION = "https://download.pytorch.org/models"
_PVT_MEGABYTES = {"b0": 15, "b1": 56, "b2": 102, "b3": 181, "b4": 250, "b5": 328}

PUBLISHED: dict[str, Published] = {
    file.name: file
    for file in (
        *(
            Published(
                name=f"pvt_v2_{variant}.pth",
                url=f"{_PVT}/pvt_v2_{variant}.pth",
                sha256="",
                megabytes=megabytes,
                summary=f"PVTv2-{variant.upper()}, ImageNet-1K",
            )
            for variant, megabytes in _PVT_MEGABYTES.items()
        ),
        Published(
            name="resnet50-19c8e357.pth",
            url=f"{_TORCHVISION}/resnet50-19c8e357.pth",
            sha256="19c8e357",
            megabytes=102,
            summary="ResNet-50, ImageNet-1K",
        ),
        Published(
            name="maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            url=f"{_TORCHVISION}/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
            sha256="bf2d0c1e",
            megabytes=178,
            summary="Mask R-CNN on COCO; its ResNet-50 is taken",
        ),
        Published(
            name="vggish-10086976.pth",
            url="https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
            sha256="10086976",
            megabytes=289,
            summary="VGGish, the audio encoder of pvt2 and r50",
        ),
    )
}
"""Files `stream-avs weights fetch` knows, by name. Torchvision and torchvggish put the first eight
digits of the SHA-256 into the file name; PVT publishes no hash."""

BUNDLED_FILES = {
    ImageEncoderName.ESPNETV2: "espnetv2_s2_voc384.safetensors",
    AudioEncoderName.MN04: "mn04_as.safetensors",
}
"""Encoders whose weights come with the package."""


def files_of(encoder: ImageEncoderName | AudioEncoderName) -> tuple[str, ...]:
    """Names of the published files an encoder can take, best first; none for the tiny ones."""
    if encoder is ImageEncoderName.RESNET50:
        # the paper's ResNet-50 saw COCO; which file it was is not known
        return ("maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", "resnet50-19c8e357.pth")
    if encoder is AudioEncoderName.VGGISH:
        return ("vggish-10086976.pth",)
    return (f"{encoder}.pth",) if encoder.startswith("pvt_v2_") else ()


def files_for(config: NetworkConfig) -> list[str]:
    """The files to fetch for a network: the best one of each encoder."""
    return [names[0] for e in (config.image_encoder, config.audio_encoder) if (names := files_of(e))]


def weights_dir(chosen: Path | None = None) -> Path:
    """The folder of downloaded weights."""
    return (chosen or DEFAULT_WEIGHTS_DIR).expanduser()
