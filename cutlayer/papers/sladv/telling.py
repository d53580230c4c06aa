"""Which victims tell nothing: their shadow diverged, their accuracy is at chance, their inputs hardly changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

from cutlayer.papers.sladv.rows import CLEAN, SIGNS, SIZE
from cutlayer.record import Record
from cutlayer.reproduction.comparison import Number

_TWICE = 2.0
"""How many times what it was at first L_sim is at its highest where a shadow is said to have diverged."""
_ONE_CLASS = 0.1
"""Of CIFAR-10's test images."""
_HARDLY = 0.5
"""Mean change, in budgets, below which inputs were hardly changed."""

Silences: TypeAlias = "Mapping[str, Callable[[Record], bool]]"
"""By its name, whether a victim tells nothing for that reason."""


@dataclass(frozen=True)
class Sifted:
    """Records of several seeds without those that tell nothing."""

    telling: Sequence[Record]
    silent: int = 0
    """How many are left out."""
    why: Sequence[str] = ()

    @property
    def aside(self) -> str:
        """What was left out, in words."""
        some = f" {self.silent} of {self.silent + len(self.telling)} seeds" if self.telling else ""
        return f"; left out{some}: {', '.join(self.why)}" if self.silent else ""


def sift(records: Sequence[Record], silences: Silences) -> Sifted:
    """Those that tell something, and for what reasons the others do not."""
    reasons = [[name for name, silent in silences.items() if silent(record)] for record in records]
    telling = [record for record, why in zip(records, reasons, strict=True) if not why]
    return Sifted(telling, len(records) - len(telling), tuple(dict.fromkeys(name for why in reasons for name in why)))


@dataclass(frozen=True)
class Course:
    """L_sim over a training, by the points that its record keeps."""

    first: float
    highest: float
    last: float
    """In the middle of its last tenth."""

    @property
    def diverged(self) -> bool:
        """Whether it ended above what it was at first, or was well above that on the way."""
        return math.isinf(self.highest) or self.last > self.first or self.highest > _TWICE * self.first


def course(record: Record) -> Course | None:
    """Of the record's victim; None where no such loss was kept."""
    # What is no number is kept as none: the loss had left the range of numbers.
    losses = [math.inf if loss is None else loss for loss in record.attack.curves.get("similarity_loss", [])]
    return Course(losses[0], max(losses), median(losses[-max(1, len(losses) // 10) :])) if losses else None


def by_chance(targets: int) -> float:
    """What two gains on as many targets differ by through chance, and how far from 0 a correlation over them is."""
    # Two gains are of four shares, each with a variance of no more than a quarter.
    return 2 / math.sqrt(targets)


def of_one(chance: float) -> float:
    """Of what two gains differ by through chance, the part that one of them has."""
    return chance / math.sqrt(2)


def targets_of(record: Record) -> int:
    """How many inputs were perturbed."""
    return record.experiment["targets"] or 1


def _diverged(record: Record) -> bool:
    found = course(record)
    return found is not None and found.diverged


def _at_chance(record: Record) -> bool:
    clean, signs = _value(CLEAN, record), _value(SIGNS, record)
    if clean is None or signs is None:
        return False
    return clean - signs - _ONE_CLASS <= by_chance(targets_of(record))


def _untrained(record: Record) -> bool:
    clean = _value(CLEAN, record)
    return clean is not None and clean - _ONE_CLASS <= of_one(by_chance(targets_of(record)))


def _hardly_changed(record: Record) -> bool:
    size = _value(SIZE, record)
    return size is not None and size < _HARDLY


def _value(number: Number, record: Record) -> float | None:
    score = number.of(record)
    return score.value if score else None


DIVERGED: Silences = {"diverged": _diverged}
USELESS: Silences = {**DIVERGED, "never accurate": _untrained}
NO_DROP: Silences = {**DIVERGED, "at chance": _at_chance}
UNCHANGED: Silences = {**NO_DROP, "hardly changed": _hardly_changed}
