"""Figure 7: the accuracy of the deployments without an attack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import mean

from cutlayer.papers.backdoor import printed
from cutlayer.papers.backdoor.figures import CLEAN, FIGURES, drawn
from cutlayer.papers.backdoor.injector import FIGURE_6
from cutlayer.papers.backdoor.setup import BLOCKS, ONE_CUT
from cutlayer.reproduction.block import Block, Table
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval


@dataclass(frozen=True)
class _Base:
    """A deployment without an attack that cells of figures 3 to 6 stand beside."""

    epochs: int
    clients: int
    cut: str
    seed: int


def _cells(scale: Scale) -> list[Cell]:
    """Of figures 3 to 6; at the scale *smoke* these are on other data."""
    if scale == "smoke":
        return []
    return [cell for exhibit in (*FIGURES.values(), FIGURE_6) for cell in exhibit.cells(scale)]


def _blocks(found: Found) -> list[Block]:
    rows, panels = [], dict[str, dict[str, list[tuple[float, Interval]]]]()
    for (dataset, model), (low, high) in printed.BASELINE.items():
        bases = _bases(found, dataset, model)
        _add(panels, dataset, model, bases)
        for epochs in sorted({base.epochs for base in bases}):
            own = _distinct(model, {base: value for base, value in bases.items() if base.epochs == epochs})
            span, said = (
                f"{CLEAN.spell(least)} to {CLEAN.spell(most)}" for least, most in ((own[0], own[-1]), (low, high))
            )
            rows.append([dataset, model, str(epochs), str(len(own)), CLEAN.spell(mean(own)), span, said])
    heads = ["dataset", "model", "epochs", "deployments", "mean BA", "lowest to highest", "printed"]
    caption = "Accuracy without an attack by number of clients."
    return [drawn("figure-7", caption, panels), Table(heads, rows)] if rows else []


def _bases(found: Found, dataset: str, model: str) -> dict[_Base, float]:
    """The accuracy of each, once for all attacks on it."""
    bases = dict[_Base, float]()
    for exhibit in (FIGURES[dataset], FIGURE_6):
        for cell in (cell for scale in ("quick", "paper") for cell in exhibit.cells(scale)):
            if (cell.values["dataset"], cell.values["model"]) != (dataset, model):
                continue
            for record in (r for group in found.groups(exhibit.cells, cell.values) for r in group.records):
                score, made = CLEAN.of(record), record.experiment
                if score and score.blind is not None:
                    bases[_Base(made["epochs"], made["clients"], made["cut"], record.cell.seed)] = score.blind
    return bases


def _distinct(model: str, bases: Mapping[_Base, float]) -> list[float]:
    """Each training once, the least accurate first.

    Where it is cut changes no bit of an honest training by one client, unless a layer draws; of several, each has an
    optimizer for its own layers alone.
    """
    kept = {replace(b, cut="") if b.clients == 1 and model == "lenet" else b: value for b, value in bases.items()}
    return sorted(kept.values())


def _add(
    panels: dict[str, dict[str, list[tuple[float, Interval]]]], dataset: str, model: str, bases: Mapping[_Base, float]
) -> None:
    for cut in range(1, len(BLOCKS[model]) + 1):
        places = {str(BLOCKS[model][same - 1]) for same in (cut, ONE_CUT.get((model, cut), cut))}
        there = {replace(base, cut=""): value for base, value in bases.items() if base.cut in places}
        for epochs, clients in sorted({(base.epochs, base.clients) for base in there}):
            seeds = (v for base, v in there.items() if (base.epochs, base.clients) == (epochs, clients))
            if at := CLEAN.over(seeds):
                panel = panels.setdefault(f"{model}, cut {cut}, {epochs} epochs", {})
                panel.setdefault(dataset, []).append((clients, at))


FIGURE_7 = Exhibit(
    name="figure 7",
    title="Accuracy without an attack",
    text="""Of the deployments that figures 3 to 6 are compared with, over all clients, cuts and seeds; in the table
each once.""",
    cells=_cells,
    blocks=_blocks,
)
