"""Tables 4 and 6: pictures, at depth 3 and at every depth before and after the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cutlayer.papers.unsplit.setup import DEPTHS, unsplit_cells
from cutlayer.report.evidence import Evidence
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Text
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit

_NONE = Text("Pictures lie in the folders of runs, not beside committed records: the page of such a run shows them.")


def _shown(found: Found, exhibit: Exhibit, name: str, wanted: dict[str, Any]) -> list[Block]:
    """Truth and guesses of the first seed whose pictures are there."""
    rows: dict[str, Any] = {}
    columns: Sequence[str] = ()
    for label, values in wanted.items():
        for run in (run for group in reversed(found.groups(exhibit.cells, values)) for run in group.runs):
            kept = Evidence(run.record, run.folder).images() if label not in rows else {}
            if kept and run.record.pictures:
                rows = rows or {"truth": list(kept["truth"])}
                rows[label] = list(kept["guess"])
                columns = run.record.pictures.labels
    if not rows:
        return []
    return [Figure(f"{exhibit.name.replace(' ', '-')}-{name}", f"{name}: first test image of each class.",
                   plot.pictures(rows, columns), "png")]  # fmt: skip


def _table_4(found: Found) -> list[Block]:
    blocks = []
    for dataset in DEPTHS:
        blocks += _shown(found, TABLE_4, dataset, {"depth 3": {"dataset": dataset, "cut": "3", "when": "after"}})
    return blocks or [_NONE]


TABLE_4 = Exhibit(
    name="table 4",
    title="Pictures at split depth 3",
    text="As the optimizer left them, clipped to the range.",
    cells=unsplit_cells,
    blocks=_table_4,
)


def _table_6(found: Found) -> list[Block]:
    blocks = []
    for dataset in DEPTHS:
        wanted = {
            f"depth {depth}, {when}": {"dataset": dataset, "cut": str(depth), "when": when}
            for depth in DEPTHS[dataset]
            for when in ("before", "after")
        }
        blocks += _shown(found, TABLE_6, dataset, wanted)
    return blocks or [_NONE]


TABLE_6 = Exhibit(
    name="table 6",
    title="Pictures at every depth, before and after training",
    text="As the optimizer left them, clipped to the range.",
    cells=lambda scale: unsplit_cells(scale, times=(("after", 10), ("before", 10))),
    blocks=_table_6,
)
