"""Own labelled clips: the settings that are made of a folder, and a short run beside the shipped presets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stream_avs.commands import finetune
from stream_avs.datasets.scenes import ProceduralSource, SceneConfig
from stream_avs.datasets.scenes.write import Layout, write_scenes
from stream_avs.errors import ConfigError, DatasetError
from stream_avs.models.architectures import architecture
from stream_avs.models.checkpoint import load_network, save_network
from stream_avs.training.config import DatasetKind
from stream_avs.training.finetune import FinetuneConfig, open_clips, plan, score_preset


def scenes(folder: Path, layout: Layout = Layout.MS3, clips: int = 6) -> Path:
    sources = {split: ProceduralSource(shapes=2, colours=2) for split in ("train", "val", "test")}
    return write_scenes(folder, layout, sources, clips=clips, config=SceneConfig(size_px=64))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scenes(tmp_path_factory.mktemp("clips") / "ms3")


def test_the_plan_follows_the_folder(clips: Path) -> None:
    settings = plan(FinetuneConfig(root=str(clips), steps=10, batch=2))
    assert settings.data.kind is DatasetKind.MS3
    assert settings.epochs == 5  # 4 training clips, two steps a pass
    assert settings.frozen_image_epochs == 5
    assert settings.test
    assert settings.model.image_encoder == "espnetv2"
    assert plan(FinetuneConfig(root=str(clips), train_encoder=True)).frozen_image_epochs == 0
    assert plan(FinetuneConfig(root=str(clips), batch=100)).batch == 4


def test_a_checkpoint_gives_its_own_network(clips: Path, tmp_path: Path) -> None:
    kind = architecture("ccformer")
    network = kind.build(kind.preset("tiny", d=32))
    save_network(tmp_path / "mine.safetensors", network, ("background", "sounding"), {})
    settings = plan(FinetuneConfig(root=str(clips), start=str(tmp_path / "mine.safetensors"), input_px=96))
    assert settings.model == kind.preset("tiny", d=32, input_px=96)
    assert settings.init_from == str(tmp_path / "mine.safetensors")


def test_folders_that_cannot_be_trained_on(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds none of"):
        plan(FinetuneConfig(root=str(tmp_path)))
    scenes(tmp_path / "both" / "a", Layout.S4, 3)
    scenes(tmp_path / "both" / "b", Layout.MS3, 3)
    with pytest.raises(ConfigError, match="s4 and ms3"):
        plan(FinetuneConfig(root=str(tmp_path / "both")))
    table = scenes(tmp_path / "no_val", clips=3) / "ms3_meta_data.csv"
    table.write_text(table.read_text().replace(",val", ",train"))
    with pytest.raises(ConfigError, match="no clip in split 'val'"):
        plan(FinetuneConfig(root=str(tmp_path / "no_val")))


def test_a_preset_on_clips_it_is_silent_about(clips: Path) -> None:
    torch.set_num_threads(1)
    split = open_clips(plan(FinetuneConfig(root=str(clips))), "test")
    scores = score_preset("consensus", split, threads=1, size_px=64)
    # shapes and tones are no class of it: it is right exactly where nothing sounds
    silent = np.mean([not mask.any() for k in range(len(split)) for mask in split[k].masks])
    assert scores.j == pytest.approx(silent)
    assert scores.clips == len(split)


def test_a_short_run_ends_with_a_network_that_loads(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code = finetune.run(
        [str(clips), "--steps", "1", "--input-px", "64", "--out", str(out), "--threads", "1",
         "--compare", "consensus"]
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    assert "consensus" in printed
    assert "yours" in printed
    assert load_network(out / "best.safetensors").network.config.input_px == 64
