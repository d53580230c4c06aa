"""Our numbers beside the printed ones: mean and interval over seeds, the blind value, the difference, what to say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from cutlayer.metric import Metric
from cutlayer.record import LEAK, NONE, PARTIAL, Record, Score
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.found import Group
from cutlayer.reproduction.statistic import Interval, interval

DASH = "-"


@dataclass(frozen=True)
class Number:
    """A column: which score of a record, and how it is spelled."""

    head: str
    metric: Metric
    goal: str = "inputs"
    guess: str = ""
    lower_is_better: bool = False
    beside: str = "blind"
    """What stands beside it, where that is no guess: the same network without the attack."""
    against: Number | None = None
    """What it is read against, being no aim of its own: told again where not all records have this one."""
    blindly: str = "a guess that never looks at the wire"
    """What the blind value is of."""
    limit: Number | None = None
    """What it can never be more than, as a drop the accuracy before it."""

    def of(self, record: Record) -> Score | None:
        """The record's score; None where it has none."""
        wanted = (self.goal, self.metric, self.guess)
        return next((score for score in record.scores if (score.goal, score.metric, score.guess) == wanted), None)

    def spell(self, value: float | None) -> str:
        """``value`` as in the table."""
        if value is None:
            return DASH
        return f"{100 * value:.1f} %" if self.metric.percent else f"{value:.3f}"

    def signed(self, difference: float | None) -> str:
        """A difference of two values, of shares in percentage points."""
        if difference is None:
            return DASH
        return f"{100 * difference:+.1f} pp" if self.metric.percent else f"{difference:+.3f}"

    def over(self, values: Iterable[float | None]) -> Interval | None:
        """Of one value for each seed."""
        return interval(values, *self.metric.bounds)

    def spelled(self, found: Interval | None) -> str:
        """Over several seeds as in the table."""
        # A wide interval says less than the values do.
        widest = 0.5 if self.metric.percent else 2 * abs(found.mean) if found else math.inf
        return spelled(found, self.spell, widest)

    def measured(self, records: Iterable[Record]) -> tuple[Interval | None, Interval | None]:
        """Ours and the blind guess's, over the records; without the seeds where it decides nothing, though elsewhere
        it does."""
        scores = self._measured(records)
        return self.over(score.value for score in scores), self.over(score.blind for score in scores)

    def told(self, records: Sequence[Record]) -> str:
        """Over the records of a row; where only some have it, of how many that is, and what it is read against there.

        Means over different seeds do not stand beside each other as if they were over the same.
        """
        having = [record for record in records if (score := self.of(record)) and score.value is not None]
        told = self.spelled(self.measured(having)[0])
        if left := self.undecided(having):
            # Those in which the attack has ruined what it is measured on, say: it is the better without them.
            return f"{told} (of {len(having)} seeds {left} left out, where nothing can be decided)"
        if len(having) in {0, len(records)}:
            return told
        there = self.against.measured(having)[0] if self.against else None
        aside = f"; {self.against.head} there {self.against.spelled(there)}" if self.against and there else ""
        return f"{told} ({len(having)} of {len(records)} seeds{aside})"

    def by_seed(self, records: Iterable[Record]) -> str:
        """How many of the seeds that are measured have which verdict; of what decides nothing, how many beat blind."""
        scores = self._measured(records)
        if verdicts := Counter(score.verdict for score in scores if score.verdict):
            return ", ".join(f"{verdict} {verdicts[verdict]}" for verdict in (LEAK, PARTIAL, NONE) if verdicts[verdict])
        pairs = [(s.value, s.blind) for s in scores if s.value is not None and s.blind is not None]
        sign = -1 if self.lower_is_better else 1
        return f"better {sum(sign * (ours - blind) > 0 for ours, blind in pairs)} of {len(pairs)}"

    def undecided(self, records: Iterable[Record]) -> int:
        """How many seeds are left out of what is measured."""
        decides = [score.decides for record in records if (score := self.of(record))]
        return decides.count(False) if any(decides) else 0

    def _measured(self, records: Iterable[Record]) -> list[Score]:
        scores = [score for record in records if (score := self.of(record))]
        return [score for score in scores if score.decides] or scores


@dataclass(frozen=True)
class TableLine:
    """A line of a table: where it stands, the runs, and what the paper prints there for each number."""

    place: Sequence[str]
    group: Group
    printed: Sequence[float | None]
    behind: Sequence[str] = ()
    """What stands in further columns."""
    blind_there: Sequence[float | None] = ()
    """For each number what never looks at the wire has on what the paper measured, where that is not what ours did."""


def comparison(
    heads: Sequence[str], numbers: Sequence[Number], lines: Sequence[TableLine], behind: Sequence[str] = ()
) -> list[Table | Text]:
    """A table with, for each number, ours, blind, printed and the difference; then what must be said about it.

    A number that no line has is left out.
    """
    kept = [n for n, number in enumerate(numbers) if any(number.measured(line.group.records)[0] for line in lines)]
    numbers = [numbers[n] for n in kept]
    lines = [replace(line, printed=[line.printed[n] for n in kept]) for line in lines]
    there = [[line.blind_there[n] if line.blind_there else None for n in kept] for line in lines]
    shown = [any(line.printed[column] is not None for line in lines) for column in range(len(numbers))]
    columns = [*heads, "setting", "seeds"]
    for number, beside in zip(numbers, shown, strict=True):
        behind_it = [f"{number.head} printed", "difference"] if beside else []
        columns += [number.head, *behind_it, number.beside]
    rows, said = [], _Said(heads)
    for line, blind_there in zip(lines, there, strict=True):
        row = [*line.place, line.group.told, str(len(line.group.runs))]
        for number, printed, beside, theirs in zip(numbers, line.printed, shown, blind_there, strict=True):
            ours, blind = number.measured(line.group.records)
            row.append(number.told(line.group.records))
            if beside:
                difference = None if ours is None or printed is None else ours.mean - printed
                row += [number.spell(printed), number.signed(difference)]
            row.append(number.spell(blind.mean if blind else None))
            said.look(line, number, ours, blind, printed)
            known = theirs if theirs is not None else blind.mean if blind else None
            if printed is not None and ours is not None and known is not None:
                said.idle(line, number, known, printed)
        rows.append([*row, *line.behind])
    return [Table([*columns, *behind], rows), *said.texts()]


def spelled(found: Interval | None, spell: Callable[[float | None], str], widest: float = math.inf) -> str:
    """Mean and half the interval; the seeds' values where there is none, or it is wider than ``widest``."""
    if found is None:
        return DASH
    if found.half is not None and 2 * found.half <= widest:
        return f"{spell(found.mean)} ± {spell(found.half)}"
    return spell(found.mean) + (f" (seeds: {'; '.join(map(spell, found.values))})" if len(found.values) > 1 else "")


class _Said:
    """What must be said about a table, each thing once, with all the places where it holds."""

    FAR: ClassVar = 0.2
    """How far off a printed value is said to lie where there are only the seeds' values: of a share that many points,
    of another number that part of the printed one."""

    def __init__(self, heads: Sequence[str]) -> None:
        self._heads = " / ".join(heads)
        self._places: dict[str, list[str]] = {}

    def look(
        self, line: TableLine, number: Number, ours: Interval | None, blind: Interval | None, printed: float | None
    ) -> None:
        """At one number of one line."""
        if left := number.undecided(line.group.records):
            seeds = "seed" if left == 1 else "seeds"
            self._at(line, f"{number.head}: {left} {seeds}, where nothing can be decided, left out")
        if ours is None or printed is None:
            return
        self._outside(line, number, ours, blind, printed)

    def idle(self, line: TableLine, number: Number, blind: float, printed: float) -> None:
        """At one printed value and what no look at the wire would have given its authors."""
        if number.beside == "blind" and (printed >= blind if number.lower_is_better else printed <= blind):
            self._at(line, f"{number.head}: the printed value is no better than {number.blindly}")

    def _outside(self, line: TableLine, number: Number, ours: Interval, blind: Interval | None, printed: float) -> None:
        off, by = ours.beyond(printed), ""
        where = "the printed value lies outside what one more run would give"
        if ours.half is None:
            # A handful of values bounds nothing: only what lies far from all of them disagrees.
            if off <= self.FAR * (1 if number.metric.percent else abs(printed)):
                return
            seeds = "from our one seed" if len(ours.values) == 1 else "outside the range of our seeds"
            where = f"the printed value lies far {seeds}"
            by = f" (by {number.signed(off).lstrip('+')})"
        if not off:
            return
        most = number.limit.measured(line.group.records)[0] if number.limit else None
        if number.limit and most and printed > most.values[-1]:
            what = f"the printed value is more than the {number.limit.head} here, which no attack can exceed"
            self._at(line, f"{number.head} ({line.group.told}): {what}", f" ({number.spell(most.values[-1])})")
            return
        better = "better" if (ours.mean < printed) == number.lower_is_better else "worse"
        # Where the network falls short without the attack, too, it need not be the attack that costs accuracy here.
        if number.beside != "blind" and blind and ours.mean < printed and blind.mean < printed:
            where += f"; without the attack ({number.beside}) it is lower than printed as well"
        self._at(
            line, f"{number.head} ({line.group.told}): ours is {better} for the attacker than printed, and {where}", by
        )

    def _at(self, line: TableLine, what: str, by: str = "") -> None:
        places = self._places.setdefault(what, [])
        place = " / ".join(line.place) + by
        if place not in places:
            places.append(place)

    def texts(self) -> list[Text]:
        """A sentence for each thing."""
        return [Text(f"{what}, at {self._heads} {', '.join(places)}.") for what, places in self._places.items()]
