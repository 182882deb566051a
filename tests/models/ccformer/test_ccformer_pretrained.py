"""Encoders take the published files, in the layouts they are published in, and refuse others by name."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from small_network import small_network
from torch import Tensor, nn

from stream_avs.errors import WeightsError
from stream_avs.models.backbones.pvtv2 import PVTv2
from stream_avs.models.backbones.resnet50 import ResNet50
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import preset
from stream_avs.models.encoders import EspNetV2Maps, Mn04Tokens
from stream_avs.models.load import BUNDLED
from stream_avs.models.network_config import AudioEncoderName, ImageEncoderName
from stream_avs.models.pretrained import find, load_encoder, load_encoders, read_tensors
from stream_avs.models.published import BUNDLED_FILES, PUBLISHED, files_for, files_of


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def pvt_file(path: Path, **more: Tensor) -> dict[str, Tensor]:
    """A PVTv2-B0 file as published: flat keys and a classifier."""
    torch.manual_seed(1)
    state = {
        **PVTv2("b0").state_dict(),
        "head.weight": torch.zeros(1000, 256),
        "head.bias": torch.zeros(1000),
    }
    state.update(more)
    torch.save(state, path)
    return state


def holds(module: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


def test_a_published_pvt_file_loads_without_its_classifier(tmp_path: Path) -> None:
    state = pvt_file(tmp_path / "pvt_v2_b0.pth")
    network = PVTv2("b0")
    assert not holds(network, state)
    load_encoder(network, tmp_path / "pvt_v2_b0.pth")
    assert holds(network, state)


def test_the_same_as_safetensors(tmp_path: Path) -> None:
    state = pvt_file(tmp_path / "a.pth")
    safetensors.torch.save_file(state, tmp_path / "pvt_v2_b0.safetensors")
    network = PVTv2("b0")
    load_encoder(network, find(ImageEncoderName.PVTV2_B0, tmp_path))
    assert holds(network, state)


@pytest.mark.parametrize("prefix", ["", "backbone.body.", "backbone.0.body."])
def test_a_resnet_is_found_inside_a_detector(tmp_path: Path, prefix: str) -> None:
    torch.manual_seed(1)
    # torchvision's detectors freeze batch norm and store no counters
    own = {k: v for k, v in ResNet50().state_dict().items() if "num_batches" not in k}
    state = {prefix + k: v for k, v in own.items()}
    state |= {"rpn.head.conv.weight": torch.zeros(3)} if prefix else {"fc.weight": torch.zeros(1000, 2048)}
    torch.save({"model": state} if prefix == "backbone.0.body." else state, tmp_path / "r.pth")
    network = ResNet50()
    load_encoder(network, tmp_path / "r.pth")
    assert torch.equal(network.layer4[2].conv3.weight, own["layer4.2.conv3.weight"])
    assert torch.equal(network.bn1.running_var, own["bn1.running_var"])


def test_the_bundled_encoders_of_nano_load() -> None:
    network = CCFormer(preset("nano"))
    read = load_encoders(network)
    assert [path.parent for path in read] == [BUNDLED, BUNDLED]
    for module, kind, name in (
        (network.image_encoder, EspNetV2Maps, ImageEncoderName.ESPNETV2),
        (network.audio_encoder, Mn04Tokens, AudioEncoderName.MN04),
    ):
        assert isinstance(module, kind)
        state = safetensors.torch.load_file(BUNDLED / BUNDLED_FILES[name])
        key = next(k for k in module.state_dict() if k.endswith(".weight"))
        assert torch.equal(module.state_dict()[key], state[key])


def test_encoders_without_published_files_keep_their_weights() -> None:
    network = small_network()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert load_encoders(network) == []
    assert holds(network, before)


def test_a_missing_file_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no weights for resnet50") as error:
        find(ImageEncoderName.RESNET50, tmp_path)
    assert "stream-avs weights fetch maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth" in error.value.next_step
    assert "resnet50-19c8e357.pth" in error.value.next_step


def test_of_several_files_the_best_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "resnet50-19c8e357.pth").touch()
    assert find(ImageEncoderName.RESNET50, tmp_path).name == "resnet50-19c8e357.pth"
    (tmp_path / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth").touch()
    assert find(ImageEncoderName.RESNET50, tmp_path).name == "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "pvt_v2_b0.pth"
    state = pvt_file(path, **{"block9.0.norm1.weight": torch.zeros(3)})
    del state["norm4.bias"]
    state["norm1.weight"] = torch.ones(7)
    torch.save(state, path)
    with pytest.raises(WeightsError) as error:
        load_encoder(PVTv2("b0"), path)
    for part in (
        "missing: norm4.bias",
        "unexpected: block9.0.norm1.weight",
        "norm1.weight (7,) instead of (32,)",
    ):
        assert part in str(error.value)


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    pvt_file(tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"does not fit ResNet50: missing: conv1\.weight"):
        load_encoder(ResNet50(), tmp_path / "x.pth")


class Harmful:
    """Would run a program if it were unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"not a weight file at all", "cannot be read"),
        ({"weight": Harmful()}, "cannot be read"),
        ([1, 2, 3], "holds a list"),
    ],
)
def test_damaged_or_harmful_files_are_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "x.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=message):
        read_tensors(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pvt_v2_b0.pth"
    pvt_file(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_tensors(path)


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        read_tensors(tmp_path / "none.pth")


def test_the_catalogue_is_whole() -> None:
    for name, file in PUBLISHED.items():
        assert file.url.endswith(f"/{name}")
        assert name == file.name
        if file.sha256:
            assert f"-{file.sha256}." in name
    for encoder in (*ImageEncoderName, *AudioEncoderName):
        assert set(files_of(encoder)) <= set(PUBLISHED)
    assert files_for(preset("pvt2")) == ["pvt_v2_b5.pth", "vggish-10086976.pth"]
    assert files_for(preset("nano")) == files_for(preset("tiny")) == []
