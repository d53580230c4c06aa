"""Table 3's and 4's question at the paper's number of iterations, on a network that two cores can train for so long."""

from __future__ import annotations

from cutlayer.papers.sladv import printed
from cutlayer.papers.sladv.course import mean_over_training
from cutlayer.papers.sladv.setup import sladv
from cutlayer.papers.sladv.tables import ALPHAS, DROP, drops, line
from cutlayer.reproduction.block import Block
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, spelled
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import interval

_MODEL, _EPOCHS = "resnet18_narrow", 9
_QUICK = (0.0, 0.1, 1.0, 10.0)


def _cells(scale: Scale) -> list[Cell]:
    alphas = {"smoke": (), "quick": _QUICK, "paper": ALPHAS}[scale]
    whole = [sladv(scale, model=_MODEL, alpha=alpha) for alpha in alphas]
    few = {"targets": 2000} if scale == "quick" else {}
    return [Cell({**cell.values, "epochs": _EPOCHS}, {**cell.how, **few}) for cell in whole]


def _blocks(found: Found) -> list[Block]:
    made = []
    for alpha in ALPHAS:
        said = {name: table[f"{alpha:g}"]["cifar10"] for name, table in _PRINTED.items()}
        for group in found.groups(NARROW.cells, {"model": _MODEL, "sladv.alpha": alpha}):
            clean = DROP.spelled(interval(record.utility for record in group.records))
            # No difference is taken: the printed values are those of another network.
            turned = interval(mean_over_training(record, "gradient_cosine") for record in group.records)
            seen = spelled(turned, lambda value: DASH if value is None else f"{value:.3f}")
            beside = (DROP.spell(said["drop"]), clean, DROP.spell(said["clean"]), seen)
            made.append(line((f"{alpha:g}",), group, None, beside))
    behind = ("printed drop", "clean accuracy", "printed", "cosine of task's and returned gradient")
    return drops(("alpha",), made, behind)


_PRINTED = {"drop": printed.TABLE_3, "clean": printed.TABLE_4}

NARROW = Exhibit(
    name="narrow",
    title="Tables 3 and 4 on a narrow ResNet18, with all iterations",
    text="""ResNet18 with an eighth of the channels, trained for as many iterations as in the paper, which ResNet18
itself is not at the scale *quick*; own images are those of CIFAR-10 that no client has. The printed values are those of
the whole ResNet18. What of a drop random signs alone reach is due to the first stage, which has then opened the
deployment to any noise; the rest is due to the second.""",
    cells=_cells,
    blocks=_blocks,
)
