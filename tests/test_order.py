"""Whose batches come when."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from cutlayer.order import batch_sizes, shuffled, stretches


@given(st.integers(1, 500), st.integers(1, 80))
def test_batches_hold_every_row_and_none_a_lone_one(rows: int, batch_size: int) -> None:
    sizes = batch_sizes(rows, batch_size)
    assert sum(sizes) == rows
    assert set(sizes[:-1]) <= {batch_size}
    assert 1 <= sizes[-1] <= batch_size + 1
    if rows > 1 and batch_size > 1:
        assert 1 not in sizes


def test_clients_take_turns_until_none_has_a_batch_left() -> None:
    assert list(stretches([2, 0, 3], 1)) == [(0, 0, 1), (2, 0, 1), (0, 1, 1), (2, 1, 1), (2, 2, 1)]
    assert list(stretches([3, 1], 2)) == [(0, 0, 2), (1, 0, 1), (0, 2, 1)]
    assert list(stretches([3, 1], 0)) == [(0, 0, 3), (1, 0, 1)]
    assert list(stretches([0, 0], 4)) == []


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(0, 5))
def test_every_batch_comes_once_and_in_its_order(batches: list[int], length: int) -> None:
    found: dict[int, list[int]] = {client: [] for client in range(len(batches))}
    for client, first, count in stretches(batches, length):
        assert 1 <= count <= (length or count)
        found[client] += range(first, first + count)
    assert list(found.values()) == [list(range(held)) for held in batches]


def test_an_epoch_is_shuffled_from_seed_client_and_epoch() -> None:
    rows = torch.arange(100, 120)
    drawn = [tuple(torch.cat(shuffled(rows, 8, *at)).tolist()) for at in ((1, 0, 1), (1, 0, 2), (1, 1, 1), (2, 0, 1))]
    assert len(set(drawn)) == 4
    assert all(sorted(order) == rows.tolist() for order in drawn)
    assert [len(batch) for batch in shuffled(rows, 8, 1, 0, 1)] == [8, 8, 4]
    assert torch.equal(shuffled(rows, 8, 1, 0, 1)[1], shuffled(rows, 8, 1, 0, 1)[1])
