"""Figures 3 to 7: attack success and clean accuracy by clients, cut and alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cutlayer.papers.backdoor import printed
from cutlayer.papers.backdoor.setup import (
    ALPHAS,
    BLOCKS,
    CLIENTS,
    ONE_CUT,
    deployment,
    noise_range,
    pair_falls,
    server_cell,
)
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import Line, Number, comparison
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

SUCCESS = Number("ASR", "attack_success", "backdoor", percent=True)
CLEAN = Number("CDA", "clean_accuracy", "backdoor", percent=True, beside="BA")
_NOISE = Number("ASR of noise", "unplanted_success", "backdoor", percent=True, beside="without the attack")
_FIGURES = {"mnist": "figure 3", "fashion_mnist": "figure 4", "cifar10": "figure 5"}
_QUICK = {
    # model: numbers of clients, alphas
    "lenet": ((1, 3), (0.5, 0.09, 0.04)),
    "stripnet": ((1,), (0.5, 0.04)),
}
_SHARES = (0.5, 0.25)


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
                        lines += [Line(place, group, said) for group in groups]
                        panel = panels.setdefault(f"{model}, cut {cut}, alpha {alpha:g}", {})
                        add_last(panel, count, groups)
    if not lines:
        return []
    name = exhibit.replace(" ", "-")
    ran = ", ".join(dict.fromkeys(line.place[0] for line in lines))
    caption = f"Attack success, clean accuracy and accuracy without the attack by number of clients, {ran}."
    blocks.append(drawn(name, caption, panels))
    told = f"up to {100 * printed.apart(dataset):.0f} points of ASR apart: so much says one run."
    blocks.append(Text(f"The printed values at LeNet's cuts 1 and 2, which are one attack run twice, lie {told}"))
    return [*blocks, *compared(("dataset", "model", "alpha", "cut", "clients"), lines)]


def compared(heads: Sequence[str], lines: Sequence[Line]) -> list[Table | Text]:
    """Success and accuracy beside the printed, and what any noise in the trigger's place does, which no paper prints.

    Records that were made before the judge measured the last have none.
    """
    return comparison(heads, (SUCCESS, CLEAN, _NOISE), [replace(line, printed=(*line.printed, None)) for line in lines])


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


FIGURES = {dataset: _surrogate_exhibit(dataset, name) for dataset, name in _FIGURES.items()}


def _injector_cells(scale: Scale) -> list[Cell]:
    cells = []
    for dataset in _FIGURES:
        for model in BLOCKS:
            for count, share in _injected(dataset, model, scale):
                for cut in (1, 2, 3) if scale != "smoke" else (1,):
                    values = deployment("digits" if scale == "smoke" else dataset, model, count, cut, scale)
                    options = {"share": share, **noise_range(dataset), **_injector_course(dataset, model, scale)}
                    cells.append(server_cell(values, "injector_autoencoder", scale, **options))
    return cells


def _injector_course(dataset: str, model: str, scale: Scale) -> dict[str, Any]:
    """How long pairs and autoencoder train."""
    if scale == "smoke":
        return {"pair_epochs": 1, "autoencoder_epochs": 1}
    if scale == "quick":
        return {}
    longer = {"pair_epochs": 100, "autoencoder_epochs": 180} if dataset == "cifar10" else {}
    return {**pair_falls(model), **longer}


def _injected(dataset: str, model: str, scale: Scale) -> list[tuple[int, float]]:
    """Numbers of clients with shares of a batch."""
    if scale == "paper":
        return [(count, share) for count in CLIENTS for share in _SHARES]
    if scale == "smoke":
        return [(1, 0.5)] if (dataset, model) == ("mnist", "lenet") else []
    if model == "lenet" and dataset != "cifar10":
        return [(1, share) for share in _SHARES]
    return [(1, 0.5)] if (dataset, model) == ("mnist", "stripnet") else []


def _injector_blocks(found: Found) -> list[Block]:
    lines, highest = [], dict[tuple[str, str], float]()
    panels = dict[str, dict[str, list[tuple[float, Interval]]]]()
    for dataset in ("digits", *_FIGURES):
        for model, places in BLOCKS.items():
            for count in CLIENTS:
                for cut, block in enumerate(places, start=1):
                    for share in _SHARES:
                        wanted = {"dataset": dataset, "model": model, "cut": str(block), "clients": count}
                        groups = found.groups(FIGURE_6.cells, {**wanted, "injector_autoencoder.share": share})
                        for group in groups:
                            place = (dataset, model, f"{share:g}", str(cut), str(count))
                            lines.append(Line(place, group, (None, None)))
                            value = SUCCESS.measured(group.records)[0]
                            if value:
                                key = (dataset, model)
                                highest[key] = max(highest.get(key, 0.0), value.mean)
                        panel = panels.setdefault(f"{dataset}, {model}, cut {cut}, share {share:g}", {})
                        add_last(panel, count, groups)
    if not lines:
        return []
    rows = [
        [dataset, model, SUCCESS.spell(value), SUCCESS.spell(printed.AUTOENCODER.get((dataset, model)))]
        for (dataset, model), value in highest.items()
    ]
    heads = ["dataset", "model", "highest ASR here (mean over seeds)", "highest printed (one run)"]
    return [
        drawn(
            "figure-6", "Attack success, clean accuracy and accuracy without the attack by number of clients.", panels
        ),
        *compared(("dataset", "model", "share", "cut", "clients"), lines),
        Table(heads, rows),
        Text("The highest of a few cells here stands beside the highest of all cells there."),
    ]


FIGURE_6 = Exhibit(
    name="figure 6",
    title="The injector autoencoder",
    text="""A share of each batch is replaced by what the autoencoder makes of it: half of it in the paper, a quarter
in the published code. The autoencoder ends in the printed Tanh. The paper says that CDA equals BA everywhere; in its
authors' result files LeNet's CDA on MNIST goes from 74.5 to 95.5 %, whatever the cause.""",
    cells=_injector_cells,
    blocks=_injector_blocks,
)


def _baseline_blocks(found: Found) -> list[Block]:
    rows = []
    for (dataset, model), (low, high) in printed.BASELINE.items():
        for epochs, values in sorted(_bases(found, dataset, model).items()):
            own = interval(values)
            if own:
                span = f"{CLEAN.spell(own.values[0])} to {CLEAN.spell(own.values[-1])}"
                said = f"{CLEAN.spell(low)} to {CLEAN.spell(high)}"
                rows.append([dataset, model, str(epochs), str(len(values)), CLEAN.spell(own.mean), span, said])
    heads = ["dataset", "model", "epochs", "deployments", "mean BA", "lowest to highest", "printed"]
    return [Table(heads, rows)] if rows else []


def _bases(found: Found, dataset: str, model: str) -> dict[int, list[float]]:
    """By the epochs of the training: the accuracy of each deployment that the cells of figures 3 to 6 stand beside."""
    kept = dict[tuple[int, int, str, int], float]()
    for exhibit in (FIGURES[dataset], FIGURE_6):
        for cell in (cell for scale in ("quick", "paper") for cell in exhibit.cells(scale)):
            if (cell.values["dataset"], cell.values["model"]) != (dataset, model):
                continue
            for record in (r for group in found.groups(exhibit.cells, cell.values) for r in group.records):
                score, made = CLEAN.of(record), record.experiment
                if score and score.blind is not None:
                    # One for all attacks on it. Where it is cut changes no bit of an honest training by one client,
                    # unless a layer draws; of several, each has an optimizer for its own layers alone.
                    drawing = made["clients"] > 1 or model != "lenet"
                    kept[made["epochs"], made["clients"], record.cell.cut if drawing else "", record.cell.seed] = (
                        score.blind
                    )
    by_epochs = dict[int, list[float]]()
    for (epochs, *_), value in kept.items():
        by_epochs.setdefault(epochs, []).append(value)
    return by_epochs


FIGURE_7 = Exhibit(
    name="figure 7",
    title="Accuracy without an attack",
    text="Of the deployments that figures 3 to 6 are compared with, each once, over all clients, cuts and seeds.",
    cells=lambda scale: (),
    blocks=_baseline_blocks,
)
