"""How a conclusion is judged: from which cells, by what rule, and what is left out because it tells nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cutlayer.papers.sladv.rows import DROP
from cutlayer.papers.sladv.setup import NARROW, WHOLE
from cutlayer.papers.sladv.telling import Sifted, Silences, by_chance, of_one, sift, targets_of
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import Group
from cutlayer.reproduction.paper import Exhibit

HOLDS, FAILS, UNTOLD, FEW = "holds", "does not hold", "cannot be told", "too few cells"
HONEST = "alpha 0"
"""The place of a series where the server tampers with nothing."""
_UNRELATED = {WHOLE: 0.06, NARROW: 0.12}
"""Twice the standard deviation of the mean cosine that sixty pairs of random, unrelated layers had on the same inputs:
one direction is looked along, and a layer of few channels has few."""
_ENOUGH = 2048
"""Images of its own from which on, the paper says, more of them add little."""


@dataclass(frozen=True)
class Point:
    """One place of a series, means over those seeds that tell something, or over all where none does."""

    place: str
    value: float
    blind: float
    group: Group
    sifted: Sifted
    whole: bool = False
    """Whether all of it counts, and not what is beyond blind alone."""
    unrelated: float = 0.0
    """Within which the cosine of unrelated layers is, on either side of 0."""

    @property
    def tells(self) -> bool:
        """Whether any seed tells something."""
        return bool(self.sifted.telling)

    @property
    def gain(self) -> float:
        """What counts of it: of a drop only what is beyond blind is the attack's."""
        return self.value if self.whole else self.value - self.blind

    def told(self, number: Number) -> str:
        """As in the table."""
        return f"{self.place} {number.spell(self.value)} ({number.spell(self.blind)}{self.sifted.aside})".strip()


Rule = Callable[[Sequence[Point], float], str]
"""From the points, and what two of them differ by through chance, whether a conclusion holds."""


@dataclass(frozen=True)
class Claim:
    """A conclusion: of which cells which number is compared, and how."""

    what: str
    exhibit: Callable[[str], Exhibit]
    places: Callable[[str], Mapping[str, Mapping[str, Any]]]
    """By the name of a place, what its cells have; from the first to the last."""
    number: Number
    rule: Rule
    silences: Silences = field(default_factory=dict)
    """What makes a victim tell nothing of it."""
    ours: bool = False
    """Whether it is stricter than what the paper says, or not said there at all."""
    least: int = 1
    """Places below which nothing can be said."""
    alike: bool = True
    """Whether all places are of one setting, as those of one attack are."""
    everywhere: bool = False
    """Whether it is told of every setting, and not of one of several."""
    most: int | None = None
    """Targets that the number is taken over, where not over all."""
    whole: bool = False
    """Whether a drop counts with what random signs take."""

    @property
    def criterion(self) -> str:
        """Whose it is."""
        beyond = self.number == DROP and not self.whole
        return "ours" if self.ours else "the paper's, of what is beyond random signs" if beyond else "the paper's"

    def point(self, place: str, group: Group) -> Point | None:
        """Ours at one place; None where it was not measured."""
        sifted = sift(group.records, self.silences)
        ours, blind = self.number.measured(sifted.telling or group.records)
        if ours is None:
            return None
        unrelated = _UNRELATED.get(group.records[0].cell.model, 0.0)
        return Point(place, ours.mean, blind.mean if blind else 0.0, group, sifted, self.whole, unrelated)

    def outcome(self, points: Sequence[Point]) -> str:
        """Whether it holds; where it cannot be told, why."""
        chance = self._chance(points)
        found = self._by([point for point in points if point.tells], chance)
        if found != FEW or self._by(points, chance) == FEW:
            return found
        why = dict.fromkeys(name for point in points if not point.tells for name in point.sifted.why)
        return f"{UNTOLD}: {', '.join(why)}"

    def outcome_in_short(self, points: Sequence[Point]) -> str:
        """The same with how many places it is of, and what it would be of all: they are left out for what alpha did."""
        found, left = self.outcome(points), [point for point in points if not point.tells]
        if not left or found not in {HOLDS, FAILS}:
            return found
        why = ", ".join(dict.fromkeys(name for point in left for name in point.sifted.why))
        of_all = self._by(points, self._chance(points))
        differs = "" if of_all == found else f"; with them it {of_all}" if of_all == FAILS else f"; with them: {of_all}"
        return f"{found} at {len(points) - len(left)} of {len(points)} (left out: {why}{differs})"

    def _chance(self, points: Sequence[Point]) -> float:
        targets = min(targets_of(record) for point in points for record in point.group.records)
        return by_chance(min(targets, self.most or targets))

    def _by(self, points: Sequence[Point], chance: float) -> str:
        return self.rule(points, chance) if points and len(points) >= self.least else FEW


def said(holds: bool) -> str:
    """In words."""
    return HOLDS if holds else FAILS


def grows(points: Sequence[Point], chance: float) -> str:
    """From the first to the last, without falling by the way."""
    # What is less than blind is no attack, and one is as little of it as the other.
    gains = [max(point.gain, 0.0) for point in points]
    steady = all(after > before - chance / 2 for before, after in pairwise(gains))
    return said(gains[-1] - gains[0] > chance and steady)


def more(points: Sequence[Point], chance: float) -> str:
    """The last of two attacks than the first: of two that both do nothing neither is better."""
    return grows(points, chance) if _any_gain(points, chance) else f"{UNTOLD}: neither is beyond blind"


def falls(points: Sequence[Point], chance: float) -> str:
    """From the first to the last: from nothing nothing falls."""
    return grows(points[::-1], chance) if _any_gain(points, chance) else f"{UNTOLD}: none is beyond blind"


def above(points: Sequence[Point], chance: float) -> str:
    """The last two than the first two, each than either."""
    gains = [max(point.gain, 0.0) for point in points]
    return (
        said(min(gains[2:]) - max(gains[:2]) > chance)
        if _any_gain(points, chance)
        else f"{UNTOLD}: none is beyond blind"
    )


def _any_gain(points: Sequence[Point], chance: float) -> bool:
    return any(point.gain > of_one(chance) for point in points)


def saturates(points: Sequence[Point], chance: float) -> str:
    """More from many images than from few, and no more from more than many."""
    few = [point.gain for point in points if int(point.place) < _ENOUGH]
    enough = [point.gain for point in points if int(point.place) >= _ENOUGH]
    if not few or len(enough) < 2:
        return FEW
    return said(min(enough) - min(few) > chance and max(enough) - min(enough) <= chance)


def beats_blind(points: Sequence[Point], chance: float) -> str:
    """More than chance makes of one gain, which is less than it makes of two; what is within that shows neither."""
    gain, within = points[-1].gain, of_one(chance)
    return said(gain > within) if abs(gain) > within else f"{UNTOLD}: within chance"


def negative(points: Sequence[Point], chance: float) -> str:
    """A correlation at every place; within chance of 0 it has no sign."""
    if any(point.value > chance for point in points):
        return FAILS
    return HOLDS if all(point.value < -chance for point in points) else f"{UNTOLD}: within chance of 0"


def more_negative(points: Sequence[Point], chance: float) -> str:
    """A correlation at every place than by random signs, by more than chance makes of two."""
    by = math.sqrt(2) * chance
    if any(point.gain > by for point in points):
        return FAILS
    return HOLDS if all(point.gain < -by for point in points) else f"{UNTOLD}: within chance"


def below_blind(points: Sequence[Point], chance: float) -> str:
    """At every place."""
    return said(all(point.gain < 0 for point in points))


def alike(points: Sequence[Point], chance: float) -> str:
    """A cosine at every place that unrelated layers do not have."""
    return said(all(point.value > point.unrelated for point in points))


def less_than_honest(points: Sequence[Point], chance: float) -> str:
    """At every alpha above 0."""
    return _beside_honest(points, lambda value, honest: value < honest)


def more_alike_than_honest(points: Sequence[Point], chance: float) -> str:
    """A cosine at every alpha above 0, by more than two of unrelated layers differ."""
    by = math.sqrt(2) * points[0].unrelated
    return _beside_honest(points, lambda value, honest: value - honest > by)


def _beside_honest(points: Sequence[Point], better: Callable[[float, float], bool]) -> str:
    first, *others = points
    if first.place != HONEST or not others:
        return FEW
    return said(all(better(point.value, first.value) for point in others))
