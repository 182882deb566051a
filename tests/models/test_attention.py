"""Attention masks over frames, and attention against its formula."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.models.attention import (
    FeedForward,
    Mlp,
    MultiHeadAttention,
    Residual,
    frame_mask,
    token_mask,
)
from stream_avs.models.flops import count_parameters


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_frame_sees_itself_and_the_ones_just_before(frames: int, span: int) -> None:
    mask = frame_mask(frames, span)
    for t in range(frames):
        assert [s for s in range(frames) if mask[t, s]] == list(range(max(0, t - span + 1), t + 1))


def test_a_token_may_look_where_its_frame_may() -> None:
    frames = torch.tensor([[True, False], [True, True]])
    tokens = token_mask(frames, 2, 3)
    assert tokens is not None
    assert tokens.tolist() == [
        [True, True, True, False, False, False],
        [True, True, True, False, False, False],
        [True] * 6,
        [True] * 6,
    ]
    assert token_mask(None, 2, 3) is None


def test_attention_is_softmax_of_scaled_products() -> None:
    torch.manual_seed(0)
    layer = MultiHeadAttention(8, 2).double()
    q, k, v = (torch.randn(2, n, 8).double() for n in (3, 5, 5))
    mask = torch.rand(3, 5) < 0.6
    mask[:, 0] = True
    heads = []
    for h in range(2):
        part = slice(4 * h, 4 * h + 4)
        score = layer.query(q)[..., part] @ layer.key(k)[..., part].transpose(1, 2) / 2.0
        heads.append(score.masked_fill(~mask, float("-inf")).softmax(-1) @ layer.value(v)[..., part])
    torch.testing.assert_close(layer(q, k, v, mask), layer.out(torch.cat(heads, -1)))


def test_parameters_of_the_blocks() -> None:
    assert count_parameters(MultiHeadAttention(256, 8)) == 263_168
    assert count_parameters(FeedForward(256, 2048)) == 1_050_880
    assert count_parameters(Residual(256)) == 512
    assert count_parameters(Mlp(256, 256, 256, 256)) == 197_376
