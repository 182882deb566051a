"""Every switch of Tables IV to IX builds, runs and trains; shapes as the paper has them."""

import pytest
import torch
from small_network import PX, inputs, small_config, small_network

from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import ContrastPartner, Controllers, Mode, QueryGenerator
from stream_avs.models.ccformer.query_generator import IntraFrameQueries
from stream_avs.models.loss import Targets, total_loss
from stream_avs.models.loss_config import LossConfig

SWITCHES = {
    "full": {},
    "causal": {"mode": Mode.CAUSAL},
    "without EIM": {"ave": False, "vae": False},
    "AVE alone": {"vae": False},
    "VAE alone": {"ave": False},
    "without ICI": {"ici": False},
    "without ITI": {"iti": False, "carry": False},
    "without BCL": {"contrast": ContrastPartner.NONE},
    "no generator": {"query_generator": QueryGenerator.NONE},
    "repeat generator": {"query_generator": QueryGenerator.REPEAT},
    "1 ICI layer": {"ici_layers": 1},
    "4 ICI layers": {"ici_layers": 4},
    "4 ITI layers": {"iti_layers": 4},
    "BCL with original visual": {"contrast": ContrastPartner.ORIGINAL_VISUAL},
    "BCL with enhanced visual": {"contrast": ContrastPartner.ENHANCED_VISUAL},
    "extra level": {"extra_level": True},
    "shared controllers": {"controllers": Controllers.SHARED},
    "no relative coordinates": {"relative_coordinates": False},
    "5 classes": {"classes": 5},
    "without sounding score": {"sounding": False},
    "half resolution": {"upsample": 2},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("changes", SWITCHES.values(), ids=SWITCHES)
def test_it_runs_and_every_parameter_learns(changes: dict) -> None:
    network = small_network(**changes).train()
    config = network.config
    frames, audio = inputs(batch=2, frames=3)
    carried = torch.randn(2, config.queries, config.d) if config.carry else None
    output = network(frames, audio, carried)

    side = PX * config.upsample // 4
    assert len(output.masks) == config.ici_layers
    for masks in output.masks:
        assert masks.shape == (2, 3, config.classes, side, side)
    assert output.sounding.shape == (2, 3)
    assert output.queries.shape == (2, config.queries, config.d)
    assert (output.contrast is None) == (config.contrast is ContrastPartner.NONE)

    generator = torch.Generator().manual_seed(0)
    targets = Targets(
        masks=torch.randint(0, max(2, config.classes), (2, 3, PX, PX), generator=generator),
        labelled=torch.ones(2, 3, dtype=torch.bool),
        valid=torch.ones(2, 3, dtype=torch.bool),
    )
    total_loss(output, targets, LossConfig(cross_entropy=1.0, sounding=1.0)).total.backward()
    dead = [
        name
        for name, p in network.named_parameters()
        # a shift of all keys by the same vector moves no softmax
        if not name.endswith("key.bias") and (p.grad is None or not bool(p.grad.abs().sum() > 0))
    ]
    assert dead == []


def test_frames_of_a_window_may_be_as_many_as_the_data_has() -> None:
    network = small_network()
    with torch.no_grad():
        assert network(*inputs(frames=10)).masks[-1].shape[1] == 10
        assert network(*inputs(frames=1)).masks[-1].shape[1] == 1


def test_images_need_not_be_square_nor_of_the_configured_size() -> None:
    network = small_network()
    _, audio = inputs()
    with torch.no_grad():
        masks = network(torch.rand(2, 3, 3, 48, 80), audio).masks[-1]
    assert masks.shape == (2, 3, 1, 48, 80)


def test_the_last_layer_alone_is_the_last_of_all() -> None:
    network = small_network()
    with torch.no_grad():
        alone, every = (network(*inputs(), every_layer=e) for e in (False, True))
    assert len(alone.masks) == 1
    assert torch.equal(alone.masks[0], every.masks[-1])


def test_query_generators_use_the_audio_as_they_should() -> None:
    torch.manual_seed(0)
    quiet, loud = torch.randn(2, 4, 32), torch.randn(2, 4, 32)
    none = IntraFrameQueries(small_config(query_generator=QueryGenerator.NONE))
    assert torch.equal(none(quiet), none(loud))
    repeat = IntraFrameQueries(small_config(query_generator=QueryGenerator.REPEAT))
    torch.testing.assert_close(
        repeat(loud) - repeat(quiet), (loud - quiet).mean(1, keepdim=True).expand(-1, 3, -1)
    )
    attention = IntraFrameQueries(small_config())
    assert (attention(quiet) - attention(loud)).abs().max() > 0.1


def test_without_a_sounding_score_the_strongest_pixel_decides() -> None:
    with torch.no_grad():
        binary = small_network(sounding=False)(*inputs())
        torch.testing.assert_close(binary.sounding, binary.masks[-1].amax((2, 3, 4)))
        several = small_network(sounding=False, classes=3)(*inputs())
        margin = several.masks[-1][:, :, 1:].amax(2) - several.masks[-1][:, :, 0]
        torch.testing.assert_close(several.sounding, margin.amax((2, 3)))


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    network = CCFormer(small_config(dropout=0.3))
    with torch.no_grad():
        assert not torch.equal(network(*inputs()).masks[-1], network(*inputs()).masks[-1])
        network.eval()
        assert torch.equal(network(*inputs()).masks[-1], network(*inputs()).masks[-1])
