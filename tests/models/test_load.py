"""load: strict about keys, shapes and values; convert: published layouts in, loadable files out."""

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from stream_avs.errors import WeightsError
from stream_avs.models.backbones.espnetv2 import EspNetV2
from stream_avs.models.backbones.mn04 import Mn04
from stream_avs.models.convert import convert
from stream_avs.models.load import BUNDLED, content_id, load_weights, read_weights


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)


def saved(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    safetensors.torch.save_file({key: value.clone() for key, value in tensors.items()}, path)
    return path


def test_a_file_that_fits_is_loaded_and_its_hash_returned(tmp_path: Path) -> None:
    source, target = Small(), Small()
    path = saved(tmp_path / "a.safetensors", source.state_dict())
    assert load_weights(target, path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert torch.equal(source.linear.weight, target.linear.weight)


def test_batch_norm_counters_may_be_left_out(tmp_path: Path) -> None:
    state = Small().state_dict()
    del state["norm.num_batches_tracked"]
    load_weights(Small(), saved(tmp_path / "a.safetensors", state))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda s: s.pop("linear.bias"), "missing: linear.bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected: extra"),
        (lambda s: s.update({"linear.weight": torch.zeros(2, 4)}), r"weight \(2, 4\) instead of \(2, 3\)"),
        (lambda s: s.update({"linear.bias": torch.full((2,), torch.nan)}), "not finite: linear.bias"),
    ],
)
def test_differences_are_named_with_the_file_and_nothing_is_loaded(
    tmp_path: Path, change: object, found: str
) -> None:
    state = Small().state_dict()
    change(state)  # type: ignore[operator]
    module = Small()
    before = module.linear.weight.clone()
    path = saved(tmp_path / "wrong.safetensors", state)
    with pytest.raises(WeightsError, match=found) as caught:
        load_weights(module, path)
    assert "wrong.safetensors" in str(caught.value)
    assert torch.equal(module.linear.weight, before)


def test_only_the_first_differences_are_listed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {"x": torch.zeros(1)})
    with pytest.raises(WeightsError, match="and 263 more") as caught:
        load_weights(Mn04(), path)
    assert len(str(caught.value)) < 500


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors does not exist"):
        read_weights(tmp_path / "none.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((BUNDLED / "mn04_as.safetensors").read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"damaged\.safetensors cannot be read"):
        read_weights(damaged)


def test_the_bundled_files_are_those_the_readme_lists() -> None:
    readme = (BUNDLED / "README.md").read_text()
    for path in BUNDLED.glob("*.safetensors"):
        assert read_weights(path).sha256 in readme


def test_model_ids_follow_the_content() -> None:
    assert content_id("1f2e3d4c99") == "1f2e3d4c"
    assert content_id("a", "b") != content_id("b", "a")
    assert len(content_id("a", "b")) == 8


@pytest.mark.parametrize(("module", "network"), [(Mn04(), "mn04_as"), (EspNetV2(0.5), "espnetv2_s0.5")])
def test_published_layouts_are_recognised_and_converted(
    tmp_path: Path, module: nn.Module, network: str
) -> None:
    source, target = tmp_path / "published.pth", tmp_path / "converted.safetensors"
    torch.save(module.state_dict(), source)
    converted = convert(source, target)
    assert (converted.network, converted.published_as) == (network, "")
    assert not any(key.endswith("num_batches_tracked") for key in read_weights(target).tensors)
    again = type(module)() if network == "mn04_as" else EspNetV2(0.5)
    load_weights(again, target)
    for key, value in module.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_what_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    with pytest.raises(WeightsError, match="does not exist"):
        convert(source, target)
    source.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        convert(source, target)
    torch.save({"epoch": 3}, source)
    with pytest.raises(WeightsError, match="plain state dict"):
        convert(source, target)
    torch.save({"x": torch.zeros(1)}, source)
    with pytest.raises(WeightsError, match="no known network"):
        convert(source, target)
    torch.save({**Mn04().state_dict(), "classifier.5.bias": torch.zeros(10)}, source)
    with pytest.raises(WeightsError, match=r"\(10,\) instead of \(527,\)"):
        convert(source, target)
    assert not target.exists()
