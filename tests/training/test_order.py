"""Data order: every clip once an epoch, the same for any number of processes, from any step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_avs.errors import ConfigError
from stream_avs.training.order import Order

pieces = st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)
)  # micro-batches, processes, clips each


@given(pieces, st.integers(0, 20), st.integers(0, 5))
def test_processes_and_micro_batches_share_out_each_step(
    cut: tuple[int, int, int], extra: int, seed: int
) -> None:
    accumulation, processes, each = cut
    batch = accumulation * processes * each
    order = Order(clips=batch + extra, batch=batch, accumulation=accumulation, epochs=2, seed=seed)
    per_process = [list(order.shares(0, rank=r, processes=processes)) for r in range(processes)]
    alone = list(Order(clips=batch + extra, batch=batch, accumulation=1, epochs=2, seed=seed).shares(0))
    assert len(alone) == order.steps
    for k, whole in enumerate(alone):
        together = [i for shares in per_process for micro in shares[k].micro_batches for i in micro]
        assert sorted(together) == sorted(whole.micro_batches[0])
        assert {shares[k].step for shares in per_process} == {k}


@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 4), st.integers(0, 200))
def test_starting_late_gives_the_rest(clips: int, batch: int, epochs: int, first: int) -> None:
    batch = min(batch, clips)
    order = Order(clips=clips, batch=batch, accumulation=1, epochs=epochs, seed=3)
    assert list(order.shares(first)) == list(order.shares(0))[first:]


@given(st.integers(1, 30), st.integers(0, 3))
def test_an_epoch_sees_each_clip_once_and_epochs_differ(clips: int, epoch: int) -> None:
    order = Order(clips=clips, batch=1, accumulation=1, epochs=4, seed=0)
    seen = [share.micro_batches[0][0] for share in order.shares(0) if share.epoch == epoch]
    assert sorted(seen) == list(range(clips))
    if clips > 12:
        assert list(order.permutation(epoch)) != list(order.permutation(epoch + 1))


def test_what_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 clips, fewer than one batch of 4"):
        Order(clips=3, batch=4, accumulation=1, epochs=1, seed=0)
    order = Order(clips=8, batch=2, accumulation=1, epochs=1, seed=0)
    with pytest.raises(ConfigError, match="multiple of 4"):
        list(order.shares(0, rank=0, processes=4))
