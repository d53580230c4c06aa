"""What several seeds say together: mean and 95 % interval, quartiles."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95
_SEEDS = 3


@dataclass(frozen=True)
class Interval:
    """A mean over seeds, and half the width of its interval (Student's t)."""

    mean: float
    half: float | None
    """None for fewer than three seeds: over two it is 12.7 standard errors, which tells less than both values do. None,
    too, where it would reach beyond what the number can be: there the values are not spread as Student's t has it."""
    values: tuple[float, ...]
    """One for each seed, the lowest first."""

    @property
    def few(self) -> bool:
        """Whether fewer seeds are there than an interval takes."""
        return len(self.values) < _SEEDS

    @property
    def ends(self) -> tuple[float, float]:
        """From where to where it goes; without an interval the lowest and the highest value."""
        if self.half is None:
            return self.values[0], self.values[-1]
        return self.mean - self.half, self.mean + self.half

    def beyond(self, value: float) -> float:
        """How far a single run's ``value`` lies outside what one more run would give, 0 within.

        That is the prediction interval, wider than that of the mean by the square root of all runs with this one.
        Without an interval: outside the ends.
        """
        low, high = self.ends
        if self.half is not None:
            reach = self.half * math.sqrt(len(self.values) + 1)
            low, high = self.mean - reach, self.mean + reach
        return max(low - value, value - high, 0.0)


def interval(values: Iterable[float | None], least: float = -math.inf, most: float = math.inf) -> Interval | None:
    """Of the values that are there, of a number from ``least`` to ``most``; None when there is none."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return None
    middle, half = mean(known), None
    if len(known) >= _SEEDS:
        half = float(stdtrit(len(known) - 1, (1 + CONFIDENCE) / 2)) * stdev(known) / math.sqrt(len(known))
        if middle - half < least or middle + half > most:
            half = None
    return Interval(middle, half, tuple(sorted(known)))


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
