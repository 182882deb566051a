"""Multi-head attention and the feed-forward network, the two blocks every Transformer layer is made of."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with separate query, key, value and output projections.

    Has 4 d² + 4 d parameters (4 d² without bias).

    Args:
        d: width of queries, keys, values and output.
        heads: number of heads, a divisor of `d`.
        dropout: share of attention weights dropped in training.
        bias: whether the projections have one.
    """

    def __init__(self, d: int, heads: int, *, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(d, d, bias=bias)
        self.key = nn.Linear(d, d, bias=bias)
        self.value = nn.Linear(d, d, bias=bias)
        self.out = nn.Linear(d, d, bias=bias)
        for projection in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(projection.weight)
            if bias:
                nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let each query attend to the keys.

        Args:
            query: [B, Q, d].
            key: [B, K, d].
            value: [B, K, d].
            mask: bool [Q, K] or [B, Q, K], True where a query may look; each row has a True.

        Returns:
            [B, Q, d].
        """
        return self.attend(query, self.key(key), self.value(value), mask)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """As `forward`, with keys and values that went through `key` and `value` before."""
        q, k, v = self._split(self.query(query)), self._split(keys), self._split(values)
        if mask is not None and mask.dim() == 3:
            mask = mask.unsqueeze(1)  # [B, 1, Q, K]
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """[B, L, d] -> [B, heads, L, d / heads]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with an activation between; 2 d h + h + d parameters.

    Args:
        d: width of input and output.
        hidden: width between, h.
        dropout: share of hidden activations dropped in training.
        gelu: GELU instead of ReLU.
    """

    def __init__(self, d: int, hidden: int, *, dropout: float = 0.0, gelu: bool = False) -> None:
        super().__init__()
        self.expand = nn.Linear(d, hidden)
        self.activation: nn.Module = nn.GELU() if gelu else nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.contract = nn.Linear(hidden, d)
        for layer in (self.expand, self.contract):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., d] -> [..., d]."""
        return self.contract(self.dropout(self.activation(self.expand(x))))


class Mlp(nn.Sequential):
    """`layers` linear layers with ReLU between: [..., sizes[0]] -> [..., sizes[-1]].

    Args:
        sizes: widths of input, hidden layers and output.
    """

    def __init__(self, *sizes: int) -> None:
        modules: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
            if i:
                modules.append(nn.ReLU())
            modules.append(nn.Linear(n_in, n_out))
        super().__init__(*modules)


class Residual(nn.Module):
    """LayerNorm(x + dropout(update)): the post-norm residual step after each block; 2 d parameters.

    Args:
        d: width.
        dropout: share of the update dropped in training.
    """

    def __init__(self, d: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(d)

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        """[..., d], [..., d] -> [..., d]."""
        return self.norm(x + self.dropout(update))


def frame_mask(frames: int, span: int, *, device: torch.device | None = None) -> Tensor:
    """Which frames a frame may attend to when time runs one way: itself and the `span - 1` before it.

    Returns:
        bool [frames, frames], True where row t may look at column s: 0 <= t - s < span.
    """
    t = torch.arange(frames, device=device)
    age = t[:, None] - t[None, :]
    return (age >= 0) & (age < span)


def token_mask(mask: Tensor | None, queries: int, keys: int) -> Tensor | None:
    """Widen a mask over frames to one over tokens.

    Args:
        mask: bool [..., T, S] over frames, or None for no restriction.
        queries: tokens of each query frame.
        keys: tokens of each key frame.

    Returns:
        bool [..., T * queries, S * keys], or None.
    """
    if mask is None:
        return None
    return mask.repeat_interleave(queries, dim=-2).repeat_interleave(keys, dim=-1)
