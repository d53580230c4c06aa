"""Our numbers beside the printed ones: mean and interval over seeds, the blind value, the difference, what to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from cutlayer.record import Record, Score
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.found import Group
from cutlayer.reproduction.statistic import Interval, interval

DASH = "-"


@dataclass(frozen=True)
class Number:
    """A column: which score of a record, and how it is spelled."""

    head: str
    metric: str
    goal: str = "inputs"
    guess: str = ""
    percent: bool = False
    lower_is_better: bool = False
    beside: str = "blind"
    """What stands beside it, where that is no guess: the same network without the attack."""

    def of(self, record: Record) -> Score | None:
        """The record's score; None where it has none."""
        wanted = (self.goal, self.metric, self.guess)
        return next((score for score in record.scores if (score.goal, score.metric, score.guess) == wanted), None)

    def spell(self, value: float | None) -> str:
        """``value`` as in the table."""
        if value is None:
            return DASH
        return f"{100 * value:.1f} %" if self.percent else f"{value:.3f}"

    def measured(self, records: Iterable[Record]) -> tuple[Interval | None, Interval | None]:
        """Ours and the blind guess's, over the records."""
        scores = [score for record in records if (score := self.of(record))]
        return interval(score.value for score in scores), interval(score.blind for score in scores)


@dataclass(frozen=True)
class Line:
    """A line of a table: where it stands, the runs, and what the paper prints there for each number."""

    place: Sequence[str]
    group: Group
    printed: Sequence[float | None]
    behind: Sequence[str] = ()
    """What stands in further columns."""


def comparison(
    heads: Sequence[str], numbers: Sequence[Number], lines: Sequence[Line], behind: Sequence[str] = ()
) -> list[Table | Text]:
    """A table with, for each number, ours, blind, printed and the difference; then what must be said about it.

    A number that no line has is left out.
    """
    kept = [n for n, number in enumerate(numbers) if any(number.measured(line.group.records)[0] for line in lines)]
    numbers = [numbers[n] for n in kept]
    lines = [replace(line, printed=[line.printed[n] for n in kept]) for line in lines]
    shown = [any(line.printed[column] is not None for line in lines) for column in range(len(numbers))]
    columns = [*heads, "setting", "seeds"]
    for number, beside in zip(numbers, shown, strict=True):
        columns += [number.head, number.beside, *(["printed", "difference"] if beside else [])]
    rows, said = [], []
    for line in lines:
        row = [*line.place, line.group.told, str(len(line.group.runs))]
        for number, printed, beside in zip(numbers, line.printed, shown, strict=True):
            ours, blind = number.measured(line.group.records)
            row += [spelled(ours, number.spell), number.spell(blind.mean if blind else None)]
            if beside:
                difference = None if ours is None or printed is None else ours.mean - printed
                row += [number.spell(printed), _signed(difference, number)]
            said += _disagreement(line, number, ours, blind, printed)
        rows.append([*row, *line.behind])
    return [Table([*columns, *behind], rows), *(Text(sentence) for sentence in dict.fromkeys(said))]


def spelled(found: Interval | None, spell: Callable[[float | None], str]) -> str:
    """Mean and half the interval."""
    if found is None:
        return DASH
    return spell(found.mean) + (f" ± {spell(found.half)}" if found.half is not None else "")


def _signed(value: float | None, number: Number) -> str:
    return DASH if value is None else ("+" if value >= 0 else "-") + number.spell(abs(value))


def _disagreement(
    line: Line, number: Number, ours: Interval | None, blind: Interval | None, printed: float | None
) -> list[str]:
    if ours is None or printed is None:
        return []
    where = f"{', '.join(line.place)}, {number.head} ({line.group.told})"
    said = []
    if ours.holds(printed) is False:
        better = (ours.mean < printed) == number.lower_is_better
        said.append(
            f"{where}: ours is {spelled(ours, number.spell)} over {ours.count} seeds, the printed "
            f"{number.spell(printed)} lies outside; ours is {'better' if better else 'worse'} for the attacker."
        )
    if (
        number.beside == "blind"
        and blind
        and (printed >= blind.mean if number.lower_is_better else printed <= blind.mean)
    ):
        said.append(
            f"{', '.join(line.place)}, {number.head}: the printed {number.spell(printed)} is no better than a guess "
            f"that never looks at the wire ({number.spell(blind.mean)})."
        )
    return said
