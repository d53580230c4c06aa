"""Whose batches come when: the turns of an epoch, and the samples in a client's batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cutlayer.stream import generator


class Stretch(NamedTuple):
    """Batches that a client trains on in one go."""

    client: int
    first: int
    """The first of them, in the client's order of this epoch."""
    length: int


def stretches(batches: Sequence[int], length: int) -> Iterator[Stretch]:
    """An epoch's turns, where client ``i`` has ``batches[i]``: ``length`` of them at a time (0: all), by turns."""
    done = [0] * len(batches)
    while any(first < held for first, held in zip(done, batches, strict=True)):
        for client, held in enumerate(batches):
            first = done[client]
            if count := min(length or held, held - first):
                yield Stretch(client, first, count)
                done[client] += count


def batch_sizes(rows: int, batch_size: int) -> list[int]:
    """The sizes of an epoch's batches. A last sample on its own goes with those before it: it cannot be normalized."""
    sizes = [batch_size] * (rows // batch_size)
    rest = rows % batch_size
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def shuffled(rows: Tensor, batch_size: int, seed: int, client: int, epoch: int) -> list[Tensor]:
    """A client's ``rows``, int64 [n], in batches in the order in which it draws them for an epoch."""
    order = torch.randperm(len(rows), generator=generator(seed, "shuffle", client, epoch))
    return list(torch.split(rows[order], batch_sizes(len(rows), batch_size)))
