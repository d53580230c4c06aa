"""The theory of section 4.3, measured: correlation, likeness of the layers, and how the shadow's loss went."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.sladv.course import readings, three
from cutlayer.papers.sladv.rows import ALPHAS, Cells, apart, by_alpha, drawing, exhibit
from cutlayer.papers.sladv.setup import WHOLE, sladv
from cutlayer.papers.sladv.tables import TABLE_6, alpha_cells, table_1, table_3, table_5
from cutlayer.papers.sladv.telling import course
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table, Text
from cutlayer.reproduction.cell import SCALES, Cell
from cutlayer.reproduction.comparison import DASH, Number, spelled
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

_THEORY = {
    Metric.FEATURE_SIMILARITY: "similarity of the server's outputs",
    Metric.LOSS_CORRELATION: "rank correlation of similarity and loss",
    Metric.LAYER_DISTANCE: "largest distance d of the layers",
    Metric.SLOPE_SIMILARITY: "similarity of their input gradients",
}


def _theory(model: str, cells: Cells, found: Found) -> list[Block]:
    kept = [(column, alpha, group) for column, alpha, groups in by_alpha(found, cells) for group in groups]
    rows: list[list[str]] = []
    panels: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    numbers = {name: Number(told, name, "evasion") for name, told in _THEORY.items()}
    for (column, alpha, group), setting in zip(kept, apart([group for *_, group in kept]), strict=True):
        told = []
        for name, number in numbers.items():
            ours, blind = number.measured(group.records)
            told += [number.spelled(ours), number.spell(blind.mean if blind else None)]
            # On an axis of powers of ten there is no place for 0.
            at = alpha or min(other for other in ALPHAS if other) / 10
            if ours:
                series = ", ".join(filter(None, (column, setting)))
                panels.setdefault(_THEORY[name], {}).setdefault(series, []).append((at, ours))
        own = interval(record.attack.notes.get("own_similarity") for record in group.records)
        rows.append([f"{alpha:g}", column, group.told, str(len(group.runs)), *told, spelled(own, three)])
    went = _went(model, found)
    if not rows:
        return went
    heads = ["alpha", "own images", "setting", "seeds"]
    heads += [head for told in _THEORY.values() for head in (told, "blind")]
    heads.append("similarity on its own network")
    caption = "The quantities of section 4.3 against alpha (alpha = 0 at the left end)."
    drawn = [Figure(drawing("theory", model), caption, plot.lines(panels, "alpha", "", log=True))] if panels else []
    return [*drawn, Table(heads, rows), *went]


def _went(model: str, found: Found) -> list[Block]:
    """How L_sim went, for every victim that has a record, in whichever exhibit."""
    rows = []
    for victim, group in _victims(model, found):
        courses = [one for record in group.records if (one := course(record))]
        if courses:
            told = [_spelled([getattr(one, name) for one in courses]) for name in ("first", "highest", "last")]
            diverged = sum(one.diverged for one in courses)
            said = f"{diverged} of {len(courses)}" if len(courses) > 1 else "yes" if diverged else "no"
            rows.append([victim, group.told, str(len(group.runs)), *told, said])
    heads = ["victim", "setting", "seeds", "L_sim at first", "at its highest", "in its last tenth", "diverged"]
    return [Text("How L_sim went, for every victim that has a record:"), Table(heads, rows)] if rows else []


def _victims(model: str, found: Found) -> Iterator[tuple[str, Group]]:
    """Each group of runs of the attack once, and in what its cell is not the one of table 3 with CIFAR-10."""
    usual, seen = _asked(sladv("paper", model=model)), set[int]()
    others = [TABLE_6] if model == WHOLE else []
    for own in (table_3(model), table_1(model), table_5(model), readings(model), *others):
        asked = [_asked(cell) for scale in reversed(SCALES) for cell in own.cells(scale)]
        for wanted in (one for n, one in enumerate(asked) if one not in asked[:n]):
            parts = [f"{key.removeprefix('sladv.')}={at}" for key, at in wanted.items() if at != usual.get(key)]
            victim = ", ".join([f"alpha {wanted['sladv.alpha']:g}", *(p for p in parts if not p.startswith("alpha="))])
            for group in found.groups(own.cells, wanted):
                if not seen.issuperset(map(id, group.runs)):
                    seen.update(map(id, group.runs))
                    yield victim, group


def _asked(cell: Cell) -> dict[str, Any]:
    keys = ("dataset", "aux", "aux_rows", "model", "cut", "protocol")
    options = ("alpha", "shadow", "align", "distance")
    wanted = (*keys, *(f"sladv.{option}" for option in options))
    return {key: cell.values[key] for key in wanted if key in cell.values}


def _spelled(values: list[float]) -> str:
    if math.inf in values:
        return "no number"
    return spelled(interval(values), lambda value: DASH if value is None else f"{value:.1f}")


def theory(model: str) -> Exhibit:
    """What section 4.3 says, measured."""
    return exhibit(
        "theory",
        "The theory of section 4.3, measured",
        """Conclusion 1: the lower the cosine similarity of what the server's part gives for an image with and without
its change, the higher the loss. That is a negative rank correlation, here over the first 512 targets; blind is
the same for random signs. *Similarity of the server's outputs* is what the second stage lowers, in the deployment.
*Similarity on its own network* is what it has reached on the shadow and the server's part, as the attack itself says:
where that is far lower, a change was found but did not carry over to the deployment.

Conclusion 2: the similarity loss L_sim brings true and shadow layers together, and with them their input gradients. The
distance d is the largest over the first 32 targets; blind is that of a shadow that always gives the mean. The
similarity of the gradients is the mean cosine over as many targets; blind is 0.

L_sim is meant to fall. A shadow has *diverged* where L_sim ended above its first value (its end is the middle of its
last tenth), or was at its highest more than twice that; twice is ours. The clients' layers were then pulled towards
something that is not like them: such a victim says what divergence does, not what alpha does. Records keep at most 100
points of a curve, spread evenly over the steps, and the highest value is that of these points.""",
        model,
        alpha_cells,
        _theory,
    )
