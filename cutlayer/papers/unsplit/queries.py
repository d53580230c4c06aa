"""Table 5: how many queries black-box inversion needs to be as good as UnSplit without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.unsplit import printed
from cutlayer.papers.unsplit.setup import DEPTHS, PAPERS_OWN, datasets, seeds, unsplit_cells, victim
from cutlayer.reproduction.block import Block, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, Number
from cutlayer.reproduction.found import Found, Group, nearest
from cutlayer.reproduction.paper import Exhibit

_MSE = Number("MSE", Metric.MSE_PUBLISHED, lower_is_better=True)
_QUERIES = (1, 2, 3, 5, 7, 10, 20, 50, 100)
_LONG = (1, 3, 10, 50)
"""The numbers whose decoders are trained for long at the scale ``quick``."""
_READINGS: Mapping[str, Mapping[str, Any]] = {
    "50 epochs": {},
    "2,000 steps or more": {"inversion_black_box.least_steps": 2000},
}
"""How long the decoder is trained: as published, which are 50 steps for up to 32 queries; or for longer."""


def _table_5_cells(scale: Scale) -> list[Cell]:
    cells = unsplit_cells(scale)
    for dataset in datasets(scale, PAPERS_OWN):
        for depth in DEPTHS[dataset] if dataset != "cifar10" else range(1, 7):
            for number in _QUERIES if scale != "smoke" else (2, 20):
                values = {**victim(dataset, scale), "cut": str(depth), "when": "after", "steps": "paper"}
                # A run of seconds: the process that would isolate it takes longer than it does.
                how = {"offers": ["peer_queries", "aux_inputs"], "isolate": False}
                asking = {"attack": "inversion_black_box", "inversion_black_box.queries": number}
                # The long ones take half a minute, of images with three channels minutes.
                long = dataset != "cifar10" and number in _LONG
                short = scale == "smoke" or (scale == "quick" and not long)
                for reading in ({},) if short else _READINGS.values():
                    cells.append(Cell({**values, **asking, **reading}, how))
    return cells


def _table_5(found: Found) -> list[Block]:
    rows, idle = [], dict[str, None]()
    for dataset in DEPTHS:
        for depth in DEPTHS[dataset]:
            wanted: dict[str, Any] = {"dataset": dataset, "cut": str(depth)}
            own = nearest(found.groups(TABLE_5.cells, {**wanted, "attack": "unsplit"}))
            aim, blind = _MSE.measured(own.records) if own else (None, None)
            said = dict(enumerate(printed.TABLE_5.get(dataset, ()), start=1)).get(depth)
            for name, reading in _READINGS.items():
                tried = _tried(found, {**wanted, **reading})
                reached = [(number, mean.mean) for number, g in tried if (mean := _MSE.measured(g.records)[0])]
                if own and aim and blind and reached:
                    each = ", ".join(f"{number}: {value:.3f}" for number, value in reached)
                    ours = [own.told, seeds([own]), _MSE.spell(aim.mean), _MSE.spell(blind.mean)]
                    ours += [name, seeds([group for _, group in tried]), needed(reached, aim.mean)]
                    rows.append([dataset, str(depth), *ours, f"{said:.2f}" if said else DASH, each])
                    if aim.mean >= blind.mean:
                        idle[f"{dataset} / {depth}"] = None
    if not rows:
        return []
    measured = ("UnSplit's setting", "its seeds", "its MSE", "blind", "decoder", "decoder's seeds", "queries needed")
    heads = ["dataset", "depth", *measured, "printed", "MSE by queries"]
    told = f"UnSplit's MSE is no better than blind, which takes no query at all, at dataset / depth {', '.join(idle)}."
    return [Table(heads, rows), *([Text(told)] if idle else [])]


def _tried(found: Found, wanted: Mapping[str, Any]) -> list[tuple[int, Group]]:
    """Each number of queries that was tried, and the runs with it."""
    asked = {number: {**wanted, "inversion_black_box.queries": number} for number in _QUERIES}
    groups = ((number, nearest(found.groups(TABLE_5.cells, of))) for number, of in asked.items())
    return [(number, group) for number, group in groups if group]


def needed(reached: Sequence[tuple[int, float]], aim: float) -> str:
    """The number of queries from which black-box inversion is as good as ``aim``, between two that were tried."""
    if reached[0][1] <= aim:
        return f"at most {reached[0][0]}"
    for (fewer, above), (more, below) in pairwise(reached):
        if below <= aim < above:
            return f"{fewer + (more - fewer) * (above - aim) / (above - below):.1f}"
    return f"more than {reached[-1][0]}"


TABLE_5 = Exhibit(
    name="table 5",
    title="Queries that black-box inversion needs for the MSE of UnSplit",
    text="""Black-box inversion with that many images of the same distribution, scored on UnSplit's targets. The paper
takes the mean of 30 runs on 500 images each, and does not say how long the decoder is trained. As published, 50 epochs
of batches of 32, up to 32 queries make 50 steps, too few for most decoders: what is needed then is steps, not queries.
Trained for 2,000 steps or more it shows rather what the queries tell. Ours are of ten images and of the seeds that the
columns count; numbers between two that were tried are interpolated.""",
    cells=_table_5_cells,
    blocks=_table_5,
)
