"""The live steps equal the network run on whole windows and streams; they can be exported."""

import pytest
import torch
from small_network import PX, inputs, small_network

from stream_avs.errors import ConfigError
from stream_avs.models.ccformer.ccformer import CCFormer
from stream_avs.models.ccformer.config import Mode, preset
from stream_avs.models.ccformer.step import CausalState, CausalStep, EncodeStep, FuseStep, WindowStep

SAME = {"rtol": 0.0, "atol": 3e-5}
EXACT = {"rtol": 0.0, "atol": 1e-10}
START = torch.ones(2, dtype=torch.bool)
ON = torch.zeros(2, dtype=torch.bool)


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    "changes", [{}, {"carry": False}, {"iti": False, "carry": False}, {"mode": Mode.CAUSAL}]
)
def test_a_window_step_is_the_newest_frame_of_the_window(changes: dict) -> None:
    network = small_network(**changes)
    frames, audio = inputs()
    whole = network(frames, audio)
    step = WindowStep(network, PX)(frames, audio, network.no_queries(2), START)
    if network.config.mode is Mode.CAUSAL:
        # a window step starts the newest frame's inter-frame queries afresh; the stream carried them
        network.config = small_network(mode=Mode.CAUSAL, carry=False).config
        whole = network(frames, audio)
    torch.testing.assert_close(step.mask, whole.masks[-1][:, -1], **SAME)
    torch.testing.assert_close(step.sounding, whole.sounding[:, -1], **SAME)
    torch.testing.assert_close(step.queries, whole.queries, **SAME)


def test_windows_carry_their_queries_from_step_to_step() -> None:
    network = small_network()
    frames, audio = inputs(frames=5)
    step = WindowStep(network, PX)
    queries, reset = network.no_queries(2), START
    for t in range(3):
        window = slice(t, t + 3)
        whole = network(frames[:, window], audio[:, window], queries, reset)
        result = step(frames[:, window], audio[:, window], queries, reset)
        torch.testing.assert_close(result.mask, whole.masks[-1][:, -1], **SAME)
        queries, reset = result.queries, ON


def test_features_may_be_kept_while_the_window_slides() -> None:
    network = small_network()
    frames, audio = inputs(frames=4)
    encode, fuse = EncodeStep(network), FuseStep(network, PX)
    kept = [encode(frames[:, t : t + 1], audio[:, t : t + 1]) for t in range(4)]
    visual = [torch.cat([kept[t][0][i] for t in (1, 2, 3)], dim=1) for i in range(len(kept[0][0]))]
    heard = torch.cat([kept[t][1] for t in (1, 2, 3)], dim=1)
    step = fuse(visual, heard, network.no_queries(2), START)
    whole = WindowStep(network, PX)(frames[:, 1:], audio[:, 1:], network.no_queries(2), START)
    torch.testing.assert_close(step.mask, whole.mask, **SAME)


def run_stream(step: CausalStep, frames: torch.Tensor, audio: torch.Tensor, resets: dict[int, torch.Tensor]):
    state = step.initial_state(frames.shape[0])
    masks, scores = [], []
    for t in range(frames.shape[1]):
        mask, score, state = step(frames[:, t], audio[:, t], state, resets.get(t, ON))
        masks.append(mask)
        scores.append(score)
    return torch.stack(masks, 1), torch.stack(scores, 1), state


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"carry": False},
        {"vae": False},
        {"ave": False},
        {"iti": False, "carry": False},
        {"ici": False},
        {"frames": 1},
    ],
)
def test_causal_steps_equal_the_network_over_the_whole_stream(changes: dict) -> None:
    network = small_network(mode=Mode.CAUSAL, **changes).double()
    frames, audio = (x.double() for x in inputs(frames=8))
    whole = network(frames, audio)
    masks, scores, state = run_stream(CausalStep(network, PX), frames, audio, {0: START})
    torch.testing.assert_close(masks, whole.masks[-1], **EXACT)
    torch.testing.assert_close(scores, whole.sounding, **EXACT)
    torch.testing.assert_close(state.queries, whole.queries, **EXACT)
    assert whole.masks[-1].std() > 0.01  # there is something to agree on


def test_after_a_reset_a_causal_stream_is_a_new_stream() -> None:
    network = small_network(mode=Mode.CAUSAL)
    frames, audio = inputs(frames=7)
    one_reset = torch.tensor([False, True])
    masks, _, _ = run_stream(CausalStep(network, PX), frames, audio, {0: START, 3: one_reset})
    torch.testing.assert_close(masks[0], network(frames, audio).masks[-1][0], **SAME)
    torch.testing.assert_close(masks[1, 3:], network(frames[:, 3:], audio[:, 3:]).masks[-1][1], **SAME)


def test_reset_cleans_a_causal_stream_of_nan() -> None:
    network = small_network(mode=Mode.CAUSAL)
    frames, audio = inputs(frames=4)
    step = CausalStep(network, PX)
    frames[:, 1] = float("nan")
    masks, _, _ = run_stream(step, frames, audio, {0: START, 2: START})
    assert masks[:, 1].isnan().all()
    torch.testing.assert_close(masks[:, 2:], network(frames[:, 2:], audio[:, 2:]).masks[-1], **SAME)


def test_streams_in_one_batch_do_not_touch() -> None:
    network = small_network(mode=Mode.CAUSAL)
    frames, audio = inputs(batch=2, frames=4)
    both, _, _ = run_stream(CausalStep(network, PX), frames, audio, {0: START})
    for b in range(2):
        alone = network(frames[b : b + 1], audio[b : b + 1]).masks[-1]
        torch.testing.assert_close(both[b : b + 1], alone, **SAME)


def test_a_causal_step_needs_a_causal_network() -> None:
    with pytest.raises(ConfigError, match="window mode"):
        CausalStep(small_network(), PX)


def test_state_keeps_its_shape() -> None:
    network = small_network(mode=Mode.CAUSAL)
    step = CausalStep(network, PX)
    frames, audio = inputs(frames=1)
    before = step.initial_state(2)
    _, _, after = step(frames[:, 0], audio[:, 0], before, START)
    shapes = [torch.utils._pytree.tree_map(lambda x: (x.shape, x.dtype), s) for s in (before, after)]
    assert shapes[0] == shapes[1]
    assert isinstance(after, CausalState)


# export


def exported_equals_eager(module: torch.nn.Module, *arguments: object) -> None:
    program = torch.export.export(module, arguments, strict=False).module()
    other = torch.utils._pytree.tree_map(lambda x: x.clone() if x.dtype is torch.bool else x * 0.9, arguments)
    for values in (arguments, other):
        expected = torch.utils._pytree.tree_leaves(module(*values))
        for mine, theirs in zip(torch.utils._pytree.tree_leaves(program(*values)), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0.0, atol=1e-5)


def window_arguments(network: CCFormer, px: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(2)
    T = network.config.frames
    return (
        torch.rand(1, T, 3, px, px),
        torch.randn(1, T, *network.audio_shape),
        torch.randn(1, network.config.queries, network.config.d),
        torch.zeros(1, dtype=torch.bool),
    )


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "nano",
        pytest.param("pvt2", marks=pytest.mark.slow),
        pytest.param("r50", marks=pytest.mark.slow),
    ],
)
def test_the_step_of_every_preset_can_be_exported(name: str) -> None:
    torch.manual_seed(0)
    network = CCFormer(preset(name, frames=2)).eval()
    exported_equals_eager(WindowStep(network, 64), *window_arguments(network, 64))


def test_switches_can_be_exported() -> None:
    network = small_network(classes=4, extra_level=True, iti=False, carry=False, ici_layers=1)
    exported_equals_eager(WindowStep(network, 64), *window_arguments(network, 64))


def test_both_halves_and_the_causal_step_can_be_exported() -> None:
    network = small_network(frames=2)
    frames, audio, queries, reset = window_arguments(network, PX)
    exported_equals_eager(EncodeStep(network), frames, audio)
    features = EncodeStep(network)(frames, audio)
    exported_equals_eager(FuseStep(network, PX), *features, queries, reset)
    causal = CausalStep(small_network(frames=2, mode=Mode.CAUSAL), PX)
    exported_equals_eager(causal, frames[:, 0], audio[:, 0], causal.initial_state(1), reset)


def test_openvino_computes_the_same() -> None:
    ov = pytest.importorskip("openvino", reason="conversion needs openvino")
    network = small_network(frames=2, ici_layers=1)
    step = WindowStep(network, PX)
    arguments = window_arguments(network, PX)
    model = ov.convert_model(torch.export.export(step, arguments, strict=False))
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    found = compiled([x.numpy() for x in arguments])
    for i, expected in enumerate(step(*arguments)):
        torch.testing.assert_close(torch.from_numpy(found[i]), expected, rtol=0.0, atol=1e-4)
