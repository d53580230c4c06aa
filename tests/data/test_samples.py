"""Dealing rows to clients, and finding samples by the numbers all parties agreed on."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cutlayer.data.samples import DealError, Samples, deal_rows
from tests.scenes import made_dataset


def classes_of(number: int = 1000) -> Tensor:
    return torch.arange(number) % 10


def deal(clients: int, skew: float | None, seed: int = 1, labels: Tensor | None = None) -> list[Tensor]:
    labels = classes_of() if labels is None else labels
    return deal_rows(torch.arange(len(labels)), labels, clients, skew, seed)


def disorder(hands: list[Tensor], labels: Tensor) -> float:
    """How far the clients' shares of classes are from those of all, on average over clients: 0 to almost 2."""
    shares = [torch.bincount(labels[hand], minlength=10) / len(hand) for hand in hands]
    return sum((share - 0.1).abs().sum().item() for share in shares) / len(hands)


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.none() | st.floats(1e-300, 1e300),
    st.integers(0, 2**40),
    st.lists(st.integers(0, 9), min_size=40, max_size=90),
)
def test_every_row_is_dealt_once_and_nobody_goes_without(
    clients: int, skew: float | None, seed: int, labels: list[int]
) -> None:
    hands = deal(clients, skew, seed, torch.tensor(labels))
    assert len(hands) == clients
    assert all(len(hand) for hand in hands)
    assert all(torch.equal(hand, hand.sort().values) for hand in hands)
    assert sorted(torch.cat(hands).tolist()) == list(range(len(labels)))


def test_rows_need_not_start_at_zero() -> None:
    rows = torch.arange(100, 140)
    for skew in (None, 0.5):
        hands = deal_rows(rows, classes_of(40), 3, skew, 1)
        assert torch.equal(torch.cat(hands).sort().values, rows)


def test_without_skew_clients_get_equally_much_of_everything() -> None:
    hands = deal(3, None)
    assert sorted(len(hand) for hand in hands) == [333, 333, 334]
    assert disorder(hands, classes_of()) < 0.3


def test_the_smaller_the_parameter_the_more_the_classes_differ() -> None:
    found = [disorder(deal(10, skew), classes_of()) for skew in (100.0, 1.0, 0.1)]
    assert all(later > earlier + 0.2 for earlier, later in pairwise(found))


def test_dirichlet_shares_have_the_mean_and_the_spread_that_the_parameter_says() -> None:
    """A share is Beta(a, (k - 1) a): mean 1/k, variance (k - 1) / (k^2 (k a + 1))."""
    clients, skew, labels = 4, 0.7, torch.zeros(2000, dtype=torch.int64)
    shares = torch.tensor([[len(hand) / 2000 for hand in deal(clients, skew, seed, labels)] for seed in range(400)])
    assert shares.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.04)
    expected = (clients - 1) / (clients**2 * (clients * skew + 1))
    assert shares.var(0).tolist() == pytest.approx([expected] * 4, rel=0.25)


def test_the_seed_alone_decides() -> None:
    for skew in (None, 0.5):
        one, same, other = deal(4, skew, 1), deal(4, skew, 1), deal(4, skew, 2)
        assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
        assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_more_clients_than_rows_are_refused() -> None:
    labels = classes_of(100)
    assert [len(hand) for hand in deal(100, 0.01, 1, labels)] == [1] * 100
    with pytest.raises(DealError, match="clients = 101: there are only 100 training samples to deal"):
        deal(101, None, 1, labels)


def test_rows_are_numbered_through_both_splits() -> None:
    dataset = made_dataset()
    samples = Samples(dataset)
    assert samples.train_rows.tolist() == list(range(44))
    assert samples.test_rows.tolist() == list(range(44, 60))
    assert torch.equal(samples.labels(torch.tensor([43])), dataset.train.labels[43:])
    assert torch.equal(samples.labels(torch.tensor([44, 59])), dataset.test.labels[[0, 15]])
    assert torch.equal(samples.inputs(torch.tensor([45])), dataset.test.inputs[1:2].float() / 255)
    torch.testing.assert_close(samples.mean_input, (dataset.train.inputs.double().mean(0) / 255).float())


def test_the_first_of_each_class_is_found_where_there_is_one() -> None:
    samples = Samples(made_dataset())
    assert samples.first_of_each_class().tolist() == [44, 45, 46, 47]
    few = Samples(made_dataset(test=3))
    assert few.first_of_each_class().tolist() == [44, 45, 46]
