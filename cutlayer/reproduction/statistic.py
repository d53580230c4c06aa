"""What several seeds say together: mean and 95 % interval, quartiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over ``count`` seeds and half the width of its interval (Student's t); none for a single seed."""

    mean: float
    half: float | None
    count: int

    def holds(self, value: float) -> bool | None:
        """Whether ``value`` lies within; None where there is no interval."""
        return None if self.half is None else abs(value - self.mean) <= self.half


def interval(values: Iterable[float | None]) -> Interval | None:
    """Of the values that are there; None when there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    half = None
    if len(known) > 1:
        half = float(stdtrit(len(known) - 1, (1 + CONFIDENCE) / 2)) * stdev(known) / math.sqrt(len(known))
    return Interval(mean(known), half, len(known))


@dataclass(frozen=True)
class Quartiles:
    """Mean and quartiles of ``count`` values."""

    mean: float
    low: float
    high: float
    count: int


def quartiles(values: Iterable[float | None]) -> Quartiles | None:
    """Of the values that are there; None when there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    low, high = np.percentile(known, (25, 75))
    return Quartiles(mean(known), float(low), float(high), len(known))
