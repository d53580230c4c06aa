"""How right claimed labels are: as they are named, under the best naming of groups, and by naming one class for all."""

from __future__ import annotations

import torch
from torch import Tensor

from cutlayer.stream import generator

_CHANCE_DRAWS = 200  # random clusterings that the blind value of a clustering is averaged over


def share(hits: Tensor) -> float:
    """Of ``hits`` [n] those that are true, from 0 to 1."""
    return hits.double().mean().item()


def commonest(labels: Tensor) -> float:
    """What always naming one class gets right of ``labels`` int64 [n], from 0 to 1."""
    return torch.bincount(labels).max().item() / len(labels)


def best_relabeling(labels: Tensor, clusters: Tensor) -> float:
    """What ``clusters`` int64 [n] get right under the naming that suits ``labels`` [n] best, from 0 to 1."""
    # Half a second to import, which most commands never need.
    from scipy.optimize import linear_sum_assignment

    names, groups = torch.unique(clusters, return_inverse=True)
    counts = confused(labels, groups, int(labels.max()) + 1, len(names))
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    return float(counts.numpy()[rows, columns].sum()) / len(labels)


def blind_relabeling(labels: Tensor, classes: int) -> float:
    """What groups get right under their best naming that were made without a look."""
    chance = generator(len(labels), "clusters")
    draws = [
        best_relabeling(labels, torch.randint(classes, labels.shape, generator=chance)) for _ in range(_CHANCE_DRAWS)
    ]
    # Few targets, one of a class, are told apart without a look: each is a group of its own.
    apart = best_relabeling(labels, torch.arange(len(labels)))
    return max(commonest(labels), apart, sum(draws) / len(draws))


def confused(labels: Tensor, claimed: Tensor, height: int, width: int) -> Tensor:
    """How often each of ``labels`` [height] was ``claimed`` to be each of [width]."""
    return torch.bincount(labels * width + claimed, minlength=height * width).view(height, width)
