"""What trains when: encoders frozen at first or for good, batch norm's statistics never."""

from __future__ import annotations

from pathlib import Path

import torch
from tiny_runs import make, run, tiny_config
from torch import nn

from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import preset
from stream_avs.models.checkpoint import load_network
from stream_avs.training.config import recipe
from stream_avs.training.parts import enter_epoch, trained


def test_encoders_freeze_as_the_recipe_says(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, frozen_image_epochs=1, train_audio_encoder=False)
    network = make(config).network
    assert not any(name.startswith("audio_encoder.") for name in trained(network, config))
    assert enter_epoch(network, config, 0)
    assert not any(p.requires_grad for p in network.image_encoder.parameters())
    assert not network.image_encoder.training
    assert network.decoder.training
    assert enter_epoch(network, config, 1)
    assert all(p.requires_grad for p in network.image_encoder.parameters())
    assert not any(p.requires_grad for p in network.audio_encoder.parameters())
    assert not enter_epoch(network, config, 2)


def test_frozen_weights_do_not_move(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, frozen_image_epochs=1, train_audio_encoder=False, epochs=1)
    before = {name: t.clone() for name, t in make(config).network.state_dict().items()}
    run(config)
    after = load_network(tmp_path / "best.safetensors").network.state_dict()
    moved = {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert not moved & {"image_encoder", "audio_encoder"}
    assert {"eim", "encoder", "query_generator", "decoder", "head", "contrast"} <= moved


def test_batch_norm_keeps_its_statistics_while_it_trains() -> None:
    torch.set_num_threads(1)
    network = CCFormer(preset("r50", d=32, heads=2, ffn=32, generator_ffn=32, mask_hidden=8))
    enter_epoch(network, recipe("s4"), 30)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 53
    assert not any(m.training for m in norms)
    assert all(m.weight.requires_grad for m in norms)
