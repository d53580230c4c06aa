"""Tables 1 to 6: what the server's own images, other attacks, alpha, shadows and networks make of the accuracy drop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from cutlayer.papers.sladv import printed
from cutlayer.papers.sladv.setup import (
    ALL_COLUMNS,
    BLOCKS,
    EIGHT,
    FAR,
    LAST,
    MULTI,
    SIXTEEN,
    own_images,
    sladv,
    transfer,
)
from cutlayer.reproduction.block import Block, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, Line, Number, comparison
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import interval

ALPHAS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
SEEN = ("svhn", "cifar10", "cifar100", "tiny_imagenet")
_COUNTS = tuple(map(int, printed.TABLE_1))
_QUICK_COUNTS, _QUICK_ALPHAS = (128, 1024, 4096), (0.0, 0.1, 1.0, 10.0)
DROP = Number("accuracy drop", "accuracy_drop", "evasion", percent=True)
_AT_8 = Number(f"drop at {EIGHT}", "accuracy_drop", "evasion", EIGHT, percent=True)
_AT_16 = Number(f"drop at {SIXTEEN}", "accuracy_drop", "evasion", SIXTEEN, percent=True)
_DROPS = (DROP, _AT_8, _AT_16)
_SIGNS = Number("random signs alone", "random_signs_drop", "evasion", percent=True)


def columns(scale: Scale) -> Sequence[str]:
    """Where the server's own images come from; those that are not here are not run."""
    return ("cifar10",) if scale == "smoke" else SEEN


def line(place: Sequence[str], group: Group, said: float | None, behind: Sequence[str] = ()) -> Line:
    """A line of drops at three budgets, of which the paper prints the first one, and of what noise alone does."""
    return Line(place, group, (said, None, None), (_SIGNS.spelled(_SIGNS.measured(group.records)[0]), *behind))


def drops(heads: Sequence[str], made: Sequence[Line], behind: Sequence[str] = ()) -> list[Block]:
    """The table of such lines, with further columns ``behind``."""
    return list(comparison(heads, _DROPS, made, (_SIGNS.head, *behind))) if made else []


def lines(
    found: Found, exhibit: Exhibit, wanted: dict[str, Any], place: Sequence[str], said: float | None
) -> list[Line]:
    """A line for each setting in which the wanted cells were run."""
    return [line(place, group, said) for group in found.groups(exhibit.cells, wanted)]


def missing(made: Iterable[Line], wanted: Sequence[str] = SEEN, at: int = -1) -> list[Block]:
    """Which of the paper's columns have no run at all."""
    there = {one.place[at] for one in made}
    if not there:
        return []
    absent = [column for column in wanted if column not in there]
    return [Text(f"Not run: {', '.join(absent)}.")] if absent else []


def of(column: str) -> dict[str, Any]:
    """What a cell of the column has."""
    return {"dataset": "cifar10", "aux": own_images(column, 0, "paper")["aux"]}


def _table_1_cells(scale: Scale) -> list[Cell]:
    counts = {"smoke": (128,), "quick": _QUICK_COUNTS, "paper": _COUNTS}[scale]
    cells = [sladv(scale, column, count) for column in columns(scale) for count in counts]
    return cells if scale == "smoke" else [*cells, sladv(scale, FAR, 4096)]


def _table_1(found: Found) -> list[Block]:
    made = []
    for column in ALL_COLUMNS:
        for count in _COUNTS:
            said = printed.TABLE_1[str(count)].get(column)
            made += lines(found, TABLE_1, {**of(column), "aux_rows": count}, (str(count), column), said)
    made += lines(found, TABLE_1, {"dataset": "digits"}, ("30", "digits"), None)
    return [*drops(("images", "own images"), made), *missing(made)]


TABLE_1 = Exhibit(
    name="table 1",
    title="The server's own images: how many, and of which kind",
    text="""ResNet18, cut 1, alpha 1. Other datasets give their training split, CIFAR-10 the fifth of it that no client
has. *fashion_mnist* is ours: images of quite another kind, gray, made three-channel and larger. The distance is the
L2 norm of each image's difference, with its mean over the batch; how far it turns the gradient that clients get back
stands below, under what a client could notice, and other readings of the distance under *readings*.""",
    cells=_table_1_cells,
    blocks=_table_1,
)

_TABLE_2 = {"vmi_fgsm": "VR", "ssa": "SSA", "fgsm": "FGSM", "pgd": "PGD"}
_STANDIN = 30  # images at the scale "smoke"
_BOUND = {"attack": "pgd", "pgd.network": "victim"}


def _table_2_cells(scale: Scale) -> list[Cell]:
    counts = {"smoke": (4096,), "quick": (1024, 4096), "paper": tuple(printed.TABLE_2["sladv"])}[scale]
    cells = [sladv(scale, count=count) for count in counts]
    for victim in ("honest", "attacked"):
        cells += [transfer(scale, name, count, victim) for name in ("vmi_fgsm", "ssa") for count in counts]
        cells += [transfer(scale, "fgsm", 4096, victim), transfer(scale, "pgd", 4096, victim, network="proxy")]
        cells.append(transfer(scale, "pgd", 4096, victim, network="victim"))
    return cells


def _data(count: int) -> dict[str, Any]:
    return {"dataset": "digits" if count == _STANDIN else "cifar10", "aux": "share"}


def _table_2(found: Found) -> list[Block]:
    made = []
    for count in (*printed.TABLE_2["sladv"], _STANDIN):
        said = printed.TABLE_2["sladv"].get(count)
        own: dict[str, Any] = {**_data(count), "aux_rows": count}
        made += lines(found, TABLE_2, {**own, "attack": "sladv"}, ("SLADV", str(count), "attacked"), said)
        for name, told in _TABLE_2.items():
            for victim, under in (("honest", ""), ("attacked", "sladv")):
                wanted = {**own, "attack": name, "under": under, **({"pgd.network": "proxy"} if name == "pgd" else {})}
                said = printed.TABLE_2.get(name, {}).get(count)
                made += lines(found, TABLE_2, wanted, (told, str(count), victim), said)
    for count, (victim, under) in product((4096, _STANDIN), (("honest", ""), ("attacked", "sladv"))):
        wanted = {**_BOUND, **_data(count), "under": under}
        made += lines(found, TABLE_2, wanted, ("PGD on the victim itself", DASH, victim), None)
    return drops(("attack", "images", "victim"), made)


TABLE_2 = Exhibit(
    name="table 2",
    title="Beside transfer attacks, which need labels",
    text="""VR is VMI-FGSM, SSA spectrum simulation, both on a proxy of the victim's architecture that is trained with
labels on as many images of CIFAR-10. The paper does not say whether they meet the victim that SLADV's alpha = 1 has
already weakened: both are shown, the honest victim and the attacked one. PGD on the victim itself knows its weights and
is the upper bound of what the budget allows.""",
    cells=_table_2_cells,
    blocks=_table_2,
)


def alpha_cells(scale: Scale) -> list[Cell]:
    """A victim for every alpha and column."""
    alphas = {"smoke": (0.0, 1.0), "quick": _QUICK_ALPHAS, "paper": ALPHAS}[scale]
    return [sladv(scale, column, alpha=alpha) for column in columns(scale) for alpha in alphas]


def _table_3(found: Found) -> list[Block]:
    made = []
    for column in SEEN:
        for alpha in ALPHAS:
            said = printed.TABLE_3[f"{alpha:g}"][column]
            wanted = {**of(column), "sladv.alpha": alpha, "aux_rows": 4096}
            made += lines(found, TABLE_3, wanted, (f"{alpha:g}", column), said)
    for alpha in (0.0, 1.0):
        made += lines(found, TABLE_3, {"dataset": "digits", "sladv.alpha": alpha}, (f"{alpha:g}", "digits"), None)
    return [*drops(("alpha", "own images"), made), *missing(made)]


TABLE_3 = Exhibit(
    name="table 3",
    title="Alpha, the weight of the similarity",
    text="At alpha = 0 the server tampers with nothing: what drops then is due to its own part of the network alone.",
    cells=alpha_cells,
    blocks=_table_3,
)


def _table_4(found: Found) -> list[Block]:
    rows = []
    for column in (*SEEN, "digits"):
        for alpha in ALPHAS:
            wanted = {"dataset": "digits"} if column == "digits" else {**of(column), "aux_rows": 4096}
            for group in found.groups(TABLE_4.cells, {**wanted, "sladv.alpha": alpha}):
                said = printed.TABLE_4[f"{alpha:g}"].get(column)
                ours = interval(record.utility for record in group.records)
                difference = DASH if said is None or ours is None else f"{ours.mean - said:+.1%}"
                seeds = str(len(group.runs))
                told = [DROP.spelled(ours), DROP.spell(said), difference]
                rows.append([f"{alpha:g}", column, group.told, seeds, *told])
    heads = ["alpha", "own images", "setting", "seeds", "clean accuracy", "printed", "difference"]
    return [Table(heads, rows)] if rows else []


TABLE_4 = Exhibit(
    name="table 4",
    title="What the attack costs the clients",
    text="Test accuracy of the deployment. At alpha = 0 it is that of honest training, to the last bit.",
    cells=alpha_cells,
    blocks=_table_4,
)


def _table_5_cells(scale: Scale) -> list[Cell]:
    if scale == "smoke":
        return [sladv(scale, shadow="single")]
    cuts = (1, 3) if scale == "quick" else (1, 2, 3, 4)
    shadows = [(cut, shadow) for cut in cuts for shadow in ("single", "multi")]
    own = ("cifar10",) if scale == "quick" else SEEN
    return [
        sladv(scale, column, cut=cut, shadow=shadow, blocks=MULTI["resnet18"][cut - 1] if shadow == "multi" else "")
        for column in own
        for cut, shadow in shadows
    ]


def _table_5(found: Found) -> list[Block]:
    made = []
    for column in SEEN:
        for cut, block in enumerate(BLOCKS["resnet18"], start=1):
            for shadow, rows in printed.TABLE_5.items():
                wanted = {**of(column), "cut": f"{block}:{LAST['resnet18']}", "sladv.shadow": shadow}
                said = rows[str(cut)][column]
                made += lines(found, TABLE_5, wanted, (str(cut), shadow, column), said)
    made += lines(found, TABLE_5, {"dataset": "digits"}, ("1", "single", "digits"), None)
    return [*drops(("cut", "shadow", "own images"), made), *missing(made)]


TABLE_5 = Exhibit(
    name="table 5",
    title="Deeper input layers, and deeper shadows of them",
    text="ResNet18. The shadow *single* is one convolution, *multi* one residual block for each stage of the client's.",
    cells=_table_5_cells,
    blocks=_table_5,
)


def _table_6_cells(scale: Scale) -> list[Cell]:
    if scale == "smoke":
        return [sladv(scale)]
    own = ("cifar10",) if scale == "quick" else SEEN
    return [sladv(scale, column, model=model) for column in own for model in MULTI]


def _table_6(found: Found) -> list[Block]:
    made = []
    for column in SEEN:
        for model, said in printed.TABLE_6[column].items():
            made += lines(found, TABLE_6, {**of(column), "model": model}, (model, column), said)
    made += lines(found, TABLE_6, {"dataset": "digits"}, ("lenet", "digits"), None)
    return [*drops(("network", "own images"), made), *missing(made)]


TABLE_6 = Exhibit(
    name="table 6",
    title="Other networks",
    text="Cut 1, alpha 1, 4,096 images. The default shadow for all: the paper names its own for ResNet18 alone.",
    cells=_table_6_cells,
    blocks=_table_6,
)
