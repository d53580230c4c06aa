"""Samples by the row numbers all parties agreed on, and how they are dealt to clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cutlayer.dataset import Dataset, Split
from cutlayer.stream import derive, generator


@dataclass(frozen=True)
class Samples:
    """The rows of a dataset: 0 to n - 1 its training split, from n on its test split."""

    dataset: Dataset
    validation_rows: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    """Rows of one of the splits that are kept from it, int64, ascending."""

    def __len__(self) -> int:
        return len(self.dataset.train) + len(self.dataset.test)

    @property
    def train_rows(self) -> Tensor:
        """int64, ascending."""
        return self._kept(0, len(self.dataset.train))

    @property
    def test_rows(self) -> Tensor:
        """int64, ascending, after the training rows."""
        return self._kept(len(self.dataset.train), len(self))

    def inputs(self, rows: Tensor) -> Tensor:
        """float32 [n, ...] in [0, 1]; all rows from one split."""
        split, local = self._local(rows)
        return split.take(local)

    def labels(self, rows: Tensor) -> Tensor:
        """int64 [n]; all rows from one split."""
        split, local = self._local(rows)
        return split.labels[local]

    def first_of_each_class(self) -> Tensor:
        """The first test row of each class that occurs there, by class: UnSplit's targets."""
        rows = self.test_rows
        labels = self.labels(rows)
        found = [rows[labels == c][0] for c in range(len(self.dataset.classes)) if (labels == c).any()]
        return torch.stack(found)

    @cached_property
    def mean_input(self) -> Tensor:
        """The mean of the training inputs, float32 [...]: what one would guess without looking at the wire."""
        total = sum(self.inputs(rows).double().sum(0) for rows in torch.split(self.train_rows, 4096))
        assert isinstance(total, Tensor)
        return (total / len(self.train_rows)).float()

    def _kept(self, start: int, end: int) -> Tensor:
        rows = torch.arange(start, end)
        return rows[~torch.isin(rows, self.validation_rows)] if len(self.validation_rows) else rows

    def _local(self, rows: Tensor) -> tuple[Split, Tensor]:
        size = len(self.dataset.train)
        return (self.dataset.test, rows - size) if int(rows[0]) >= size else (self.dataset.train, rows)


class DealError(ValueError):
    """Samples that cannot be dealt as asked."""


def hold_out(dataset: Dataset, count: int, source: str, seed: int) -> Samples:
    """All of ``dataset`` but ``count`` random rows of the split ``source`` for training and test."""
    offset, size = (0, len(dataset.train)) if source == "train" else (len(dataset.train), len(dataset.test))
    if count >= size:
        raise DealError(f"validation_rows = {count}: the {source} split has {size} rows, some must be left of it")
    rows = torch.randperm(size, generator=generator(seed, "validation"))[:count] + offset
    return Samples(dataset, rows.sort().values)


def deal_rows(
    rows: Tensor, labels: Tensor, clients: int, skew: float | None, seed: int, withheld: int = 0
) -> list[Tensor]:
    """Deal ``rows`` to ``clients``: in equal random parts, or with Dirichlet(``skew``) shares of each class.

    The smaller ``skew``, the fewer classes a client sees (Hsu, Qi, Brown 2019). Every client gets at least one row.
    ``withheld``: first so many are taken from all rows alike; they come last.
    """
    if clients > len(rows) - withheld:
        also = " and a share that no client gets" if withheld else ""
        raise DealError(f"clients = {clients}{also}: there are only {len(rows)} training samples to deal")
    order = torch.randperm(len(rows), generator=generator(seed, "deal"))
    kept, own = order[: len(rows) - withheld], order[len(rows) - withheld :]
    left = [torch.sort(rows[own]).values] if withheld else []
    if skew is None:
        return [*(torch.sort(rows[part]).values for part in kept.tensor_split(clients)), *left]
    if withheld:
        return [*deal_rows(rows[kept], labels[kept], clients, skew, seed), *left]
    draw = np.random.default_rng(derive(seed, "skew"))
    hands: list[list[Tensor]] = [[] for _ in range(clients)]
    for label in sorted(set(labels.tolist())):
        of_class = order[labels[order] == label]
        ends = np.floor(np.cumsum(draw.dirichlet([skew] * clients)) * len(of_class)).astype(int)[:-1]
        for hand, part in zip(hands, of_class.tensor_split(ends.tolist()), strict=True):
            hand.append(part)
    dealt = [torch.cat(hand) for hand in hands]
    for number in range(clients):
        if len(dealt[number]) == 0:
            largest = max(range(clients), key=lambda other: len(dealt[other]))
            dealt[number], dealt[largest] = dealt[largest][:1], dealt[largest][1:]
    return [torch.sort(rows[part]).values for part in dealt]
