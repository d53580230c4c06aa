"""Tables 1 and 3 to 6: what the server's own images, alpha, shadows and networks make of the accuracy drop."""

from __future__ import annotations

from statistics import mean
from typing import Any

from cutlayer.papers.sladv import printed
from cutlayer.papers.sladv.draws import redrawn
from cutlayer.papers.sladv.epochs import last_third
from cutlayer.papers.sladv.rows import ALPHAS, DROP, SEEN, Cells, Rows, columns, exhibit, of
from cutlayer.papers.sladv.setup import ALL_COLUMNS, BLOCKS, FAR, LAST, MULTI, NARROW, WHOLE, sladv
from cutlayer.reproduction.block import Block, Table
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import interval

_COUNTS = tuple(map(int, printed.TABLE_1))
_QUICK_COUNTS, _QUICK_ALPHAS = (128, 1024, 4096), (0.0, 0.1, 1.0, 10.0)
_NARROW_ALPHAS = (*_QUICK_ALPHAS, 100.0)
_NARROW_COUNTS = (128, 1024, 2048, 4096)
"""Whether 2,000 images are enough shows on both sides of them."""


def _image_cells(model: str, scale: Scale) -> list[Cell]:
    few = _NARROW_COUNTS if model == NARROW else _QUICK_COUNTS
    counts = {"smoke": (128,), "quick": few, "paper": _COUNTS}[scale]
    cells = [sladv(scale, column, count, model) for column in columns(scale, model) for count in counts]
    if (scale, model) == ("quick", NARROW):
        cells.append(sladv(scale, "tiny_imagenet", model=model))
    return cells if scale == "smoke" else [*cells, sladv(scale, FAR, model=model)]


def _images(model: str, cells: Cells, found: Found) -> list[Block]:
    rows = Rows(found, cells, model, ("images", "own images"))
    for column in ALL_COLUMNS:
        for count in _COUNTS:
            said = printed.TABLE_1[str(count)].get(column)
            rows.add({**of(column), "aux_rows": count}, (str(count), column), said)
    rows.add({"dataset": "digits"}, ("30", "digits"), None)
    return [*rows.blocks(), *rows.missing(ALL_COLUMNS)]


def table_1(model: str) -> Exhibit:
    """How many images the server has, and of which kind."""
    return exhibit(
        "table 1",
        "The server's own images: how many, and of which kind",
        """Cut 1, alpha 1. Other datasets give their training split, CIFAR-10 the fifth of it that no client
has. *fashion_mnist* is ours: images of quite another kind, gray, made three-channel and larger. The distance is the
L2 norm over the whole batch, unless the setting says *distance=image* (the mean of each image's norm). How far it turns
the gradient that clients get back stands under *gradients*, and other readings of the distance under *readings*.""",
        model,
        _image_cells,
        _images,
    )


def alpha_cells(model: str, scale: Scale) -> list[Cell]:
    """A victim for every alpha and column."""
    few = _NARROW_ALPHAS if model == NARROW else _QUICK_ALPHAS
    alphas = {"smoke": (0.0, 1.0), "quick": few, "paper": ALPHAS}[scale]
    return [sladv(scale, column, model=model, alpha=alpha) for column in columns(scale, model) for alpha in alphas]


def _alphas(model: str, cells: Cells, found: Found) -> list[Block]:
    rows = Rows(found, cells, model, ("alpha", "own images"))
    for column in SEEN:
        for alpha in ALPHAS:
            said = printed.TABLE_3[f"{alpha:g}"][column]
            rows.add({**of(column), "sladv.alpha": alpha, "aux_rows": 4096}, (f"{alpha:g}", column), said)
    for alpha in (0.0, 1.0):
        rows.add({"dataset": "digits", "sladv.alpha": alpha}, (f"{alpha:g}", "digits"), None)
    return [*rows.blocks(), *rows.missing()]


def table_3(model: str) -> Exhibit:
    """What alpha makes of the drop."""
    return exhibit(
        "table 3",
        "Alpha, the weight of the similarity",
        """At alpha = 0 the server tampers with nothing: the drop is then due to its own part of the network alone.
Where random signs take more from an attacked deployment than from the honest one (alpha = 0), the first stage may be
why; but two honest trainings of one seed differ in that, too (under *table 4*). What the drop has beyond random signs
is due to the second. Under attack the accuracy can swing from epoch to epoch (under *gradients*), and every victim is
attacked where its training happened to end.""",
        model,
        alpha_cells,
        _alphas,
    )


def _cost(model: str, cells: Cells, found: Found) -> list[Block]:
    rows, honest = [], list[Group]()
    for column in (*SEEN, "digits"):
        for alpha in ALPHAS:
            wanted = {"dataset": "digits"} if column == "digits" else {**of(column), "aux_rows": 4096}
            for group in found.groups(cells, {**wanted, "sladv.alpha": alpha}):
                said = printed.TABLE_4[f"{alpha:g}"].get(column)
                ours = interval(record.utility for record in group.records)
                late = interval(mean(third) for record in group.records if (third := last_third(record.training)))
                told = [DROP.spelled(ours), DROP.spelled(late), DROP.spell(said)]
                if model == WHOLE:
                    told.append(DROP.signed(None if said is None or ours is None else ours.mean - said))
                rows.append([f"{alpha:g}", column, group.told, str(len(group.runs)), *told])
                honest += [] if alpha else [group]
    behind = ["printed", "difference"] if model == WHOLE else ["printed of the whole network"]
    heads = ["alpha", "own images", "setting", "seeds", "clean accuracy", "over the last third", *behind]
    return [Table(heads, rows), *redrawn(honest)] if rows else []


def table_4(model: str) -> Exhibit:
    """What alpha makes of the clean accuracy."""
    return exhibit(
        "table 4",
        "What the attack costs the clients",
        """Test accuracy of the deployment after the last epoch, and the mean over the last third of the epochs. At
alpha = 0 the training is the honest one, and ends in the same bits as that; a record that ended otherwise is named
below the table. Under attack the accuracy swings from epoch to epoch, so that where it ends is a matter of
chance: conclusions are drawn from the last third.""",
        model,
        alpha_cells,
        _cost,
    )


def _depth_cells(model: str, scale: Scale) -> list[Cell]:
    if scale == "smoke":
        return [sladv(scale, shadow="single")]
    cuts = (1, 3) if scale == "quick" else (1, 2, 3, 4)
    own = ("cifar10",) if scale == "quick" else SEEN
    return [_at(scale, model, column, cut, shadow) for column in own for cut in cuts for shadow in printed.TABLE_5]


def _at(scale: Scale, model: str, column: str, cut: int, shadow: str) -> Cell:
    layers = MULTI[model][cut - 1] if shadow == "multi" else ""
    return sladv(scale, column, model=model, cut=cut, shadow=shadow, blocks=layers)


def _depths(model: str, cells: Cells, found: Found) -> list[Block]:
    rows = Rows(found, cells, model, ("cut", "shadow", "own images"))
    for column in SEEN:
        for cut, block in enumerate(BLOCKS[model], start=1):
            for shadow, said in printed.TABLE_5.items():
                wanted = {**of(column), "cut": f"{block}:{LAST[model]}", "sladv.shadow": shadow}
                rows.add(wanted, (str(cut), shadow, column), said[str(cut)][column])
    rows.add({"dataset": "digits"}, ("1", "single", "digits"), None)
    return [*rows.blocks(), *rows.missing()]


def table_5(model: str) -> Exhibit:
    """What the depth of the client's first part makes of the drop, and that of the shadow."""
    return exhibit(
        "table 5",
        "Deeper input layers, and deeper shadows of them",
        """The shadow *single* is one convolution without bias, *multi* one residual block for each stage of the
client's. At cut 1 the paper prints for both the value of its default shadow. By its words that is two convolutions with
a skip connection; the equal values and the authors' partial code suggest that it may have been one of these two.""",
        model,
        _depth_cells,
        _depths,
    )


def _network_cells(scale: Scale) -> list[Cell]:
    if scale == "smoke":
        return [sladv(scale)]
    own = ("cifar10",) if scale == "quick" else SEEN
    return [sladv(scale, column, model=model) for column in own for model in printed.TABLE_6[column]]


def _networks(found: Found) -> list[Block]:
    rows = Rows(found, _network_cells, WHOLE, ("network", "own images"))
    for column in SEEN:
        for model, said in printed.TABLE_6[column].items():
            wanted: dict[str, Any] = {**of(column), "model": model}
            rows.add(wanted, (model, column), said)
    rows.add({"dataset": "digits"}, ("lenet", "digits"), None)
    return [*rows.blocks(), *rows.missing()]


TABLE_6 = Exhibit(
    name="table 6",
    title="Other networks",
    text="Cut 1, alpha 1, 4,096 images. All have the default shadow: the paper names a shadow for ResNet18 alone.",
    cells=_network_cells,
    blocks=_networks,
)
