"""What was measured of each attack under each defense, and the figure of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from cutlayer.papers.defenses.rows import Row, deciding, rows
from cutlayer.papers.defenses.setup import ATTACKS, BLACK_BOX, NO_DEFENSE, UNSPLIT, WHITE_BOX, Attacked
from cutlayer.record import LEAK, NONE, NOT_APPLICABLE, PARTIAL, Record
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table, Text
from cutlayer.reproduction.comparison import DASH, Number, spelled
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

AIMS = {"inputs": "inputs", "model": "client part"}
"""Goals in words."""
_HEADS = ("dataset", "cut", "defense", "setting", "seeds", "accuracy", "lost", "bytes a sample")
_WIDEST = 0.5
"""An interval of a share, of an advantage or of points that is wider than this says less than the values do."""


def _points(value: float | None) -> str:
    """A difference of shares."""
    return DASH if value is None else f"{100 * value:.1f} pp"


def _three(value: float | None) -> str:
    """An advantage."""
    return DASH if value is None else f"{value:.3f}"


def told_advantage(found: Interval | None) -> str:
    """Over the seeds."""
    return spelled(found, _three, _WIDEST)


def told_lost(found: Interval | None) -> str:
    """Of the accuracy, over the seeds."""
    return spelled(found, _points, _WIDEST)


def _measured(found: Found, attacked: Attacked) -> list[Block]:
    there = rows(found, attacked)
    heads = [*_HEADS]
    for number in attacked.numbers:
        heads += [f"{number.head} {'↓' if number.lower_is_better else '↑'}", "blind", "advantage"]
    return [Table([*heads, "verdicts"], [_line(row, attacked) for row in there])] if there else []


def _line(row: Row, attacked: Attacked) -> list[str]:
    records = row.group.records
    accuracy = interval((record.utility for record in records), 0.0, 1.0)
    line = [row.dataset, row.cut, row.defense, row.setting, str(len(records))]
    line += [spelled(accuracy, _percent, _WIDEST), DASH if row.defense == NO_DEFENSE else told_lost(row.lost)]
    line.append(_bytes(records))
    for number in attacked.numbers:
        blind = number.measured(records)[1]
        line += [number.told(records), number.spell(blind.mean if blind else None), _advantage(number, records)]
    counted = Counter(record.verdict for record in records)
    verdicts = (LEAK, PARTIAL, NONE, NOT_APPLICABLE)
    return [*line, ", ".join(f"{verdict} {counted[verdict]}" for verdict in verdicts if counted[verdict])]


def _advantage(number: Number, records: Sequence[Record]) -> str:
    scores = (number.of(record) for record in records)
    return told_advantage(interval((score.advantage for score in scores if score), most=1.0))


def _bytes(records: Sequence[Record]) -> str:
    sizes = dict.fromkeys(record.bytes_per_sample for record in records)
    return "; ".join(f"{size:,.0f}" for size in sizes if size is not None) or DASH


def _percent(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"


def _exhibit(attacked: Attacked, title: str) -> Exhibit:
    return Exhibit(attacked.name.lower(), title, attacked.knows, attacked.cells, partial(_measured, attacked=attacked))


def _tradeoff(found: Found) -> list[Block]:
    panels: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    costs: dict[str, dict[str, float]] = {}
    for attacked in ATTACKS:
        nearest: dict[tuple[str, str], Row] = {}
        for row in rows(found, attacked):
            nearest.setdefault((f"{row.dataset}, cut {row.cut}", row.defense), row)
        for (panel, defense), row in nearest.items():
            for goal in attacked.goals:
                advantage = interval(map(deciding(goal), row.group.records), 0.0, 1.0)
                if row.lost and advantage:
                    cost = round(100 * row.lost.mean, 2)
                    costs.setdefault(panel, {}).setdefault(defense, cost)
                    series = panels.setdefault(panel, {}).setdefault(f"{attacked.name}, {AIMS[goal]}", [])
                    series.append((cost, advantage))
    if not panels:
        return []
    for series in (series for panel in panels.values() for series in panel.values()):
        series.sort(key=lambda mark: mark[0])
    caption = "What is left of the advantage that decides, against the accuracy that a defense costs: a mark for each."
    data = plot.lines(panels, "accuracy lost, percentage points", "advantage", near=1)
    return [
        Figure("tradeoff", caption, data),
        *(Text(f"{panel}, from left to right: {_in_order(costs[panel])}.") for panel in panels),
    ]


def _in_order(costs: Mapping[str, float]) -> str:
    return "; ".join(f"{defense} {cost:.1f}" for defense, cost in sorted(costs.items(), key=lambda one: one[1]))


MEASURED = (
    _exhibit(UNSPLIT, "Inputs and client parts from activations alone"),
    _exhibit(WHITE_BOX, "Inputs with the client's weights known"),
    _exhibit(BLACK_BOX, "Inputs with the client's answers to queries"),
)
TRADEOFF = Exhibit(
    name="tradeoff",
    title="What is left to the attacks, and what it costs",
    text="""A mark for each defense, and one at 0 for none: an attack's line that falls early is of one that a cheap
defense takes much from. The advantage is the greatest among the scores that decide, as in the verdict, and at least 0.
Costs of up to 1 point stand evenly, those beyond by their logarithm. Of several settings the one nearest to what was
fixed is drawn.""",
    cells=lambda scale: (),
    blocks=_tradeoff,
)
