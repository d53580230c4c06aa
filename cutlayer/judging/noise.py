"""What random noise within a budget leaves of a deployment's accuracy: beside it adversarial inputs are judged."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from cutlayer.budget import Budget
from cutlayer.disk import write_whole
from cutlayer.experiment import ExperimentError
from cutlayer.judging.labeling import share
from cutlayer.state import as_tensor, digest
from cutlayer.stream import generator

Answers = Callable[[Tensor], Tensor]
"""A deployment's logits [n, classes] for inputs [n, ...] that take the place of the first n targets."""
BESIDE = 2000
"""Targets at most on which what only stands beside a score is tried: each try costs as much as the score."""
_NOISY, _MOST_DRAWS = 1000, 10  # inputs with noise that a blind value rests on: few targets are drawn several times


@dataclass(frozen=True)
class Accuracies:
    """Of a deployment, from 0 to 1."""

    natural: float
    """On the targets as they are."""
    signs: float
    """With plus or minus the budget at every value of them, by chance."""
    first_signs_drop: float
    """What those signs take from the first ``BESIDE`` of them."""
    first_uniform_drop: float
    """What uniform noise within the budget takes from these."""
    first_pattern_drop: float | None = None
    """The most that one of a few fixed patterns takes from these; None at a budget that decides nothing."""


class Noisy(Protocol):
    """Whatever knows what noise leaves of a deployment's accuracy."""

    def accuracies(self, budget: Budget) -> Accuracies:
        """Within ``budget``."""


@dataclass(frozen=True)
class Deployed:
    """A deployment as it answers, and the targets that it is tried on."""

    answers: Answers
    natural: Tensor
    """The targets, float32 [n, ...] in [0, 1]."""
    labels: Tensor
    """int64 [n]."""

    @cached_property
    def predicted(self) -> Tensor:
        """For the targets as they are, int64 [n]."""
        return self.answers(self.natural).argmax(1)

    def accuracy(self, inputs: Tensor) -> float:
        """On ``inputs`` [n, ...] in place of the first n targets, from 0 to 1."""
        return share(self._right(inputs))

    def drop(self, changed: Tensor) -> float:
        """What ``changed`` [n, ...] take of the accuracy on the first n targets."""
        first = len(changed)
        return share(self.predicted[:first] == self.labels[:first]) - self.accuracy(changed)

    def accuracies(self, budget: Budget) -> Accuracies:
        """With noise drawn several times where there are few targets."""
        natural, first = self.predicted == self.labels, self.natural[:BESIDE]
        signs = [self._right(inputs) for inputs in _noisy(self.natural, budget, signs=True)]
        return Accuracies(
            natural=share(natural),
            signs=statistics.fmean(map(share, signs)),
            first_signs_drop=share(natural[:BESIDE]) - statistics.fmean(share(right[:BESIDE]) for right in signs),
            first_pattern_drop=None if budget.name else max(map(self.drop, patterned(first, budget))),
            first_uniform_drop=statistics.fmean(self.drop(inputs) for inputs in _noisy(first, budget, signs=False)),
        )

    def _right(self, inputs: Tensor) -> Tensor:
        return self.answers(inputs).argmax(1) == self.labels[: len(inputs)]


@dataclass(frozen=True)
class Remembered:
    """A deployment whose accuracies many cells ask for: measured once and kept in ``folder``."""

    deployed: Deployed
    folder: Path
    """Of what trained it: for nothing else."""
    told: str
    """What sets it apart from other deployments of the same network."""

    def accuracies(self, budget: Budget) -> Accuracies:
        """Those of the ``Deployed``."""
        asked = as_tensor(f"{self.told} {budget}".encode())
        file = self.folder / f"{digest(asked, self.deployed.natural, self.deployed.labels)}.json"
        if file.is_file():
            try:
                return Accuracies(**json.loads(file.read_bytes()))
            except (ValueError, TypeError):
                raise ExperimentError(f"{file} is of another version, or damaged: remove it") from None
        found = self.deployed.accuracies(budget)
        write_whole(file, json.dumps(asdict(found)))
        return found


def patterned(natural: Tensor, budget: Budget) -> Iterator[Tensor]:
    """``natural`` with each of a few patterns of the whole budget that are the same for all inputs; in [0, 1].

    All values higher, all lower, and random signs: one for each value, of images also for blocks of 4x4 and 8x8, which
    networks average away less.
    """
    shape, reach = natural.shape[1:], budget.over(natural)
    for sign in (1.0, -1.0):
        yield (natural + sign * reach).clamp(0, 1)
    for width in (1, 4, 8) if len(shape) == 3 else (1,):
        coarse = [-(-length // width) for length in shape[1:]]
        signs = torch.rand((shape[0], *coarse), generator=generator(width, "pattern", budget.name)).sub_(0.5).sign()
        for axis in range(1, len(shape)):
            signs = signs.repeat_interleave(width, axis).narrow(axis, 0, shape[axis])
        yield (natural + signs * reach).clamp(0, 1)


def _noisy(natural: Tensor, budget: Budget, signs: bool) -> Iterator[Tensor]:
    draw = generator(0, "noise", budget.name)
    for _ in range(min(_MOST_DRAWS, -(-_NOISY // len(natural)))):
        yield budget.noise(natural, draw, signs)
