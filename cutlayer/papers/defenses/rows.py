"""A cut under a defense beside the same cut without any, seed by seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cutlayer.papers.defenses.setup import CUTS, DEFENSES, NO_DEFENSE, Attacked
from cutlayer.record import Record
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.statistic import Interval, interval

Told = Callable[[Record], float | None]


@dataclass(frozen=True)
class Row:
    """Runs of one cut under one defense, and those without any in the same setting."""

    dataset: str
    cut: str
    defense: str
    group: Group
    bare: Sequence[Record]

    @property
    def setting(self) -> str:
        """How it was run."""
        return self.group.told.replace("as published", "as fixed")

    @property
    def lost(self) -> Interval | None:
        """Of the deployment's accuracy, to what the same seeds have without a defense."""
        changes = self.changes(lambda record: record.utility)
        return interval((-change for change in changes), -1.0, 1.0)

    def changes(self, of: Told) -> list[float]:
        """What the defense changes about a number, for each seed that has it with and without."""
        without = {record.cell.seed: of(record) for record in self.bare}
        pairs = [(of(record), without.get(record.cell.seed)) for record in self.group.records]
        return [own - other for own, other in pairs if own is not None and other is not None]


def rows(found: Found, attacked: Attacked) -> list[Row]:
    """Every cut under every defense that has any records, in the setting nearest to the fixed one first."""
    made = []
    for dataset, cut in ((dataset, cut) for dataset, cuts in CUTS.items() for cut in cuts):
        there = {
            defense: found.groups(attacked.cells, {"dataset": dataset, "cut": cut, **values})[::-1]
            for defense, values in DEFENSES.items()
        }
        bare = {group.setting: group.records for group in there[NO_DEFENSE]}
        made += [
            Row(dataset, cut, defense, group, bare.get(group.setting, ()))
            for defense, groups in there.items()
            for group in groups
        ]
    return made


def deciding(goal: str) -> Told:
    """The greatest advantage among the scores that decide about ``goal``, or would but for chance, from 0 on."""

    def of(record: Record) -> float | None:
        speaking = (score for score in record.scores if score.goal == goal and (score.decides or score.doubtful))
        known = [score.advantage for score in speaking]
        found = [advantage for advantage in known if advantage is not None]
        return max(*found, 0.0) if found else None

    return of
