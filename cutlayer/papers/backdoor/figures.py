"""Figures 3 to 5: attack success and clean accuracy of the surrogate client by clients, cut and alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from cutlayer.metric import Metric
from cutlayer.papers.backdoor import printed
from cutlayer.papers.backdoor.setup import (
    ALPHAS,
    BLOCKS,
    CLIENTS,
    ONE_CUT,
    deployment,
    noise_range,
    server_cell,
)
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import Number, TableLine, comparison
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval

SUCCESS = Number(
    *("ASR", Metric.ATTACK_SUCCESS, "backdoor"),
    blindly="the same trigger without the attack, or the target's class unasked",
)
CLEAN = Number("CDA", Metric.CLEAN_ACCURACY, "backdoor", beside="BA")
NOISE = Number("ASR of noise", Metric.UNPLANTED_SUCCESS, "backdoor", beside="without the attack", against=SUCCESS)
_NAMES = {"mnist": "figure 3", "fashion_mnist": "figure 4", "cifar10": "figure 5"}
_QUICK = {
    # model: numbers of clients, alphas
    "lenet": ((1, 3), (0.5, 0.09, 0.04)),
    "stripnet": ((1,), (0.5, 0.04)),
}


def _surrogates(dataset: str, scale: Scale) -> list[Cell]:
    cells = []
    for model in BLOCKS:
        clients, alphas = (CLIENTS, ALPHAS) if scale == "paper" else _QUICK.get(model, ((), ()))
        if scale == "quick" and dataset == "cifar10":
            continue
        if scale == "smoke":
            clients, alphas = ((1,), (0.09,)) if model == "lenet" and dataset == "mnist" else ((), ())
        for count in clients:
            cuts = [cut for cut in (1, 2, 3) if scale == "paper" or (model, cut) not in ONE_CUT]
            for cut in cuts if scale != "smoke" else (1,):
                values = deployment("digits" if scale == "smoke" else dataset, model, count, cut, scale)
                cells += [
                    server_cell(values, "surrogate_client", scale, alpha=alpha, **noise_range(dataset))
                    for alpha in alphas
                ]
    return cells


def _surrogate_blocks(dataset: str, exhibit: str, found: Found) -> list[Block]:
    blocks: list[Block] = []
    own = FIGURES[dataset]
    lines, panels = [], dict[str, dict[str, list[tuple[float, Interval]]]]()
    for data in (dataset, *(("digits",) if dataset == "mnist" else ())):
        for model, places in BLOCKS.items():
            for alpha in ALPHAS:
                for cut, block in enumerate(places, start=1):
                    for count in CLIENTS:
                        wanted = {"dataset": data, "model": model, "clients": count, "surrogate_client.alpha": alpha}
                        groups = found.groups(own.cells, {**wanted, "cut": str(block)})
                        if not groups and (model, cut) in ONE_CUT:
                            groups = found.groups(own.cells, {**wanted, "cut": str(places[ONE_CUT[model, cut] - 1])})
                        said = printed.SURROGATE.get((data, model, count, alpha, cut), (None, None))
                        place = (data, model, f"{alpha:g}", str(cut), str(count))
                        lines += [TableLine(place, group, said) for group in groups]
                        # A smoke run in the same folder is of other data.
                        of = "" if data == dataset else f", {data}"
                        panel = panels.setdefault(f"{model}, cut {cut}, alpha {alpha:g}{of}", {})
                        add_last(panel, count, groups)
    if not lines:
        return []
    name = exhibit.replace(" ", "-")
    ran = ", ".join(dict.fromkeys(line.place[0] for line in lines))
    caption = f"Attack success, clean accuracy and accuracy without the attack by number of clients, {ran}."
    blocks.append(drawn(name, caption, panels))
    told = f"up to {100 * printed.apart(dataset):.0f} points of ASR apart: so much says one run."
    of = "Of those that this page holds, the printed values at LeNet's cuts 1 and 2, which are one attack run twice,"
    blocks.append(Text(f"{of} lie {told}"))
    return [*blocks, *compared(("dataset", "model", "alpha", "cut", "clients"), lines)]


def compared(heads: Sequence[str], lines: Sequence[TableLine], behind: Sequence[str] = ()) -> list[Table | Text]:
    """Success and accuracy beside the printed, and what any noise in the trigger's place does, which no paper prints.

    Records that were made before the judge measured the last have none. ``behind``: heads of further columns.
    """
    lines = [replace(line, printed=(*line.printed, None)) for line in lines]
    return comparison(heads, (SUCCESS, CLEAN, NOISE), lines, behind)


def add_last(series: dict[str, list[tuple[float, Interval]]], place: int, groups: Sequence[Group]) -> None:
    """What runs measure, and what stands beside it, at one number of clients: of several settings that of the last."""
    if not groups:
        return
    success, blind = SUCCESS.measured(groups[-1].records)
    clean, base = CLEAN.measured(groups[-1].records)
    for name, value in (("ASR", success), ("ASR without the attack, or unasked", blind), ("CDA", clean), ("BA", base)):
        if value:
            series.setdefault(name, []).append((place, value))


def drawn(name: str, caption: str, panels: Mapping[str, Mapping[str, list[tuple[float, Interval]]]]) -> Figure:
    """A panel for each cut and setting that was run, as in the paper."""
    panels = {panel: series for panel, series in panels.items() if series}
    return Figure(name, caption, plot.lines(panels, "clients", "share of test inputs", wide=3, shares=True))


def _surrogate_exhibit(dataset: str, name: str) -> Exhibit:
    return Exhibit(
        name=name,
        title=f"The surrogate client on {dataset}",
        text="""The smaller alpha, the less the server minds the clients' loss. ASR is counted over triggered test
images of other classes; beside it stands what the same trigger does to the same deployment without the attack (or how
often the attacked one answers with the target unasked, if that is more). CDA is the accuracy on clean test images, BA
that without the attack. The paper has one run of each. LeNet's and StripNet's cuts 1, 2 and 3 are `cut=1`,
`cut=2` and `cut=4`, ResNet9's `cut=0`, `cut=1` and `cut=2`. Between LeNet's first two lies a pooling, which has no
parameters: the attack trains the same networks at both, and the runs of cut 1 stand for both.""",
        cells=partial(_surrogates, dataset),
        blocks=partial(_surrogate_blocks, dataset, name),
    )


FIGURES = {dataset: _surrogate_exhibit(dataset, name) for dataset, name in _NAMES.items()}
