"""Which defense pays, if any: judged by a rule that stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cutlayer.papers.defenses.rows import Row, deciding, rows
from cutlayer.papers.defenses.setup import ATTACKS, DEFENSES, NO_DEFENSE
from cutlayer.papers.defenses.tables import AIMS, told_advantage, told_lost
from cutlayer.reproduction.block import Block, Table, Text
from cutlayer.reproduction.comparison import DASH
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

MOST = 0.01
"""Of accuracy that a defense which pays may cost."""
PAYS, WITHIN, DEAR = "pays", "takes no more than seeds differ by", "costs more than 1 point"
FEW, NOTHING = "fewer than three seeds that decide", "no leak without a defense"
PART = "not all defenses have run"


@dataclass(frozen=True)
class _Judged:
    """One defense at one cut against one aim of an attack."""

    row: Row
    before: Interval | None
    """The advantage that decides, of the same seeds without a defense."""
    after: Interval | None
    change: Interval | None

    @property
    def outcome(self) -> str:
        """Whether it pays; else why not, or why that cannot be told."""
        lost = self.row.lost
        if not (lost and self.before) or lost.few or self.before.few:
            return FEW
        if self.before.mean < self.row.bare[0].thresholds.partial:
            return NOTHING
        # A share is no exact number: 98 % less 97 % is a little more than 1 point.
        if round(lost.mean, 6) > MOST:
            return DEAR
        if self.change is None or self.change.half is None:
            return FEW
        return PAYS if self.change.mean + self.change.half < 0 else WITHIN

    @property
    def told(self) -> list[str]:
        """What stands behind the place."""
        advantages = map(told_advantage, (self.before, self.after, self.change))
        return [self.row.defense, *advantages, told_lost(self.row.lost), _share(self.row), self.outcome]


def _judged(row: Row, goal: str) -> _Judged:
    of = deciding(goal)
    before, after = (interval(map(of, records), 0.0, 1.0) for records in (row.bare, row.group.records))
    return _Judged(row, before, after, interval(row.changes(of)))


def _said(judged: Sequence[_Judged]) -> str:
    """Of all defenses at one cut."""
    outcomes = {one.outcome for one in judged}
    if PAYS in outcomes:
        return f"holds: {'; '.join(one.row.defense for one in judged if one.outcome == PAYS)}"
    untold = outcomes & {FEW, NOTHING}
    if {one.row.defense for one in judged} != DEFENSES.keys() - {NO_DEFENSE}:
        untold |= {PART}
    if untold:
        return f"cannot be told: {', '.join(sorted(untold))}"
    return "does not hold: no defense here"


def _blocks(found: Found) -> list[Block]:
    places: dict[tuple[str, str, str, str, str], list[_Judged]] = {}
    for attacked in ATTACKS:
        there = [row for row in rows(found, attacked) if row.defense != NO_DEFENSE]
        for goal in attacked.goals:
            for row in there:
                place = (attacked.name, AIMS[goal], row.dataset, row.cut, row.setting)
                places.setdefault(place, []).append(_judged(row, goal))
    if not places:
        return []
    heads = ["attack", "aim", "dataset", "cut", "setting"]
    numbers = ["defense", "advantage with none", "with it", "change", "accuracy lost", "bytes, of none's", "outcome"]
    return [
        Table([*heads, "some defense pays"], [[*place, _said(judged)] for place, judged in places.items()]),
        Text("The numbers behind it:"),
        Table([*heads, *numbers], [[*place, *one.told] for place, judged in places.items() for one in judged]),
    ]


def _share(row: Row) -> str:
    shares = {
        record.bytes_per_sample / bare.bytes_per_sample
        for record, bare in zip(row.group.records, row.bare, strict=False)
        if record.bytes_per_sample and bare.bytes_per_sample
    }
    return "; ".join(f"{share:.0%}" for share in sorted(shares)) or DASH


CONCLUSIONS = Exhibit(
    name="what pays",
    title="Which defense takes what, for how much",
    text="""A defense *pays* against an aim of an attack at a cut where it lowers the advantage that decides by more
than the seeds' 95 % interval of that change leaves open, for at most 1 point of accuracy in the mean. Changes are of
the same seed with and without the defense, and count by however little, as long as seeds agree. The advantage
is the greatest among the scores that decide, as in the verdict; below 0 it counts as 0, since less than a blind guess
is no attack. Where it is no leak without a defense there is nothing to take, and no defense is worth anything for it.
With fewer than three seeds that decide nothing can be told; about a client part none decides where the deployment
itself has learned nothing.

The thresholds are ours, and as many comparisons as stand here make a mistake likely: of 48 that change nothing about
one, in the mean, seems to lower the advantage. That a defense pays says how much these attacks lose, as they are, and
nothing of one that is made for it. Where the verdict is a leak with the defense, too, the data are still not safe.""",
    cells=lambda scale: (),
    blocks=_blocks,
)
