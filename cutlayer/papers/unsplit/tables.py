"""Tables 1 to 3: what the attacks need, inversion and stealing, label inference."""

from __future__ import annotations

from collections.abc import Sequence

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.metric import Metric
from cutlayer.papers.unsplit import printed
from cutlayer.papers.unsplit.setup import DEPTHS, PAPERS_OWN, datasets, unsplit_cells, victim
from cutlayer.papers.unsplit.speed import seconds_an_image, shown
from cutlayer.record import Record
from cutlayer.reproduction.block import Block, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, Number, TableLine, comparison
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import interval
from cutlayer.threat import Knows

_NEEDS = {
    "structure": Knows.PEER_ARCHITECTURE,
    "parameters": Knows.PEER_WEIGHTS,
    "data like the client's": Knows.AUX_INPUTS,
    "queries": Knows.PEER_QUERIES,
}
MSE = Number("MSE", Metric.MSE_PUBLISHED, lower_is_better=True)
SSIM = Number("SSIM", Metric.SSIM)
STRETCHED = Number("SSIM, stretched", Metric.SSIM_STRETCHED)
CLONE = Number("accuracy with the clone", Metric.ACCURACY, "model")
_READINGS = (
    {"label_inference.observes": "weights", "label_inference.match": "first"},
    {"label_inference.observes": "weights", "label_inference.match": "last"},
    {"label_inference.observes": "weights", "label_inference.match": "all"},
    {"label_inference.observes": "activations", "label_inference.match": "all"},
)
_LAST_PARTS = {"digits": (9, 7), "mnist": (9, 7), "fashion_mnist": (9, 7), "cifar10": (16, 14)}
"""The block before the client's last part, by dataset, when it holds one linear layer or two."""


def _needs(found: Found) -> list[Block]:
    rows = []
    for name, said in printed.TABLE_1.items():
        attack = registry.cls("attacks", name, Attack)()
        declared = attack.threat.knows
        own = [knows in declared for knows in _NEEDS.values()]
        marks = [f"{_mark(ours)} ({_mark(theirs)})" for ours, theirs in zip(own, said, strict=True)]
        others = sorted(declared - set(_NEEDS.values()))
        rows.append(
            [f"{name}: {attack.paper}", *marks, ", ".join(others) or DASH, "yes" if attack.threat.tampers else "no"]
        )
    heads = ["attack", *_NEEDS, "and besides", "tampers"]
    return [Table(heads, rows), Text("Declared by our attacks with their default options; in brackets as printed.")]


def _mark(needed: bool) -> str:
    return "x" if needed else "-"


TABLE_1 = Exhibit(
    name="table 1",
    title="What the attacks need",
    text="Not measured but declared: an attack here gets nothing that its threat model does not name.",
    cells=lambda scale: (),
    blocks=_needs,
)


def _table_2(found: Found) -> list[Block]:
    blocks: list[Block] = []
    absent: list[Block] = []
    shorter = shown(found)
    for dataset, when in ((dataset, when) for dataset in DEPTHS for when in ("after", "before")):
        lines: list[TableLine] = []
        others: list[TableLine] = []
        for depth in DEPTHS[dataset]:
            row = printed.TABLE_2[dataset][depth] if dataset in printed.TABLE_2 else None
            said = (None, None) if row is None else (row.after, row.clone) if when == "after" else (row.before, None)
            told, blind = (said[0], None, None, said[1]), (printed.BLIND.get(dataset), None, None, None)
            here = [
                TableLine((str(depth),), group, told, (_seconds(group.records),), blind)
                for group in found.groups(TABLE_2.cells, {"dataset": dataset, "when": when, "cut": str(depth)})
                if not shorter.issuperset(run.folder for run in group.runs)
            ]
            lines += here[-1:]
            others += here[:-1]
        if not lines:
            absent += [Text(f"{dataset}, attacked {when} training: not run.")] if dataset in PAPERS_OWN else []
            continue
        victims = _victims(dataset, lines) if when == "after" else "The victims are untrained."
        blocks.append(Text(f"**{dataset}, attacked {when} training.** {victims}"))
        blocks += comparison(("depth",), (MSE, SSIM, STRETCHED, CLONE), lines, ("seconds an image",))
        blocks += _other_images(dataset, lines)
        if others:
            blocks.append(Text("In settings farther from the published one:"))
            blocks.append(comparison(("depth",), (MSE, SSIM, STRETCHED, CLONE), others, ("seconds an image",))[0])
    return [*blocks, *absent] if blocks else []


def _other_images(dataset: str, lines: Sequence[TableLine]) -> list[Text]:
    """That the printed MSE is of others than ours, where what a guess scores on them is known."""
    here = MSE.measured(record for line in lines for record in line.group.records)[1]
    if here is None or dataset not in printed.BLIND:
        return []
    there = MSE.spell(printed.BLIND[dataset])
    told = f"there blind has {there}, on ours {MSE.spell(here.mean)}. A difference holds that change, too."
    return [Text(f"The printed MSE is of other images: {told}")]


def _victims(dataset: str, lines: Sequence[TableLine]) -> str:
    accuracy = interval(record.utility for line in lines for record in line.group.records)
    said = f", printed {printed.REFERENCE[dataset]:.0%}" if dataset in printed.REFERENCE else ""
    return f"Test accuracy of the victims {accuracy.mean:.1%}{said}." if accuracy else ""


def _seconds(records: Sequence[Record]) -> str:
    seconds = seconds_an_image(records)
    return DASH if seconds is None else f"{seconds:.0f}"


TABLE_2 = Exhibit(
    name="table 2",
    title="Inputs and client parts from activations alone",
    text="""The client holds blocks 0 to *depth*. Victims are trained for ten epochs, or not at all (*before*: what is
stolen then is worth nothing, so its accuracy has no printed value). Seconds are those of the whole attack on one thread
of whatever machine ran it, divided by its images; the paper names one to five minutes an image. Further runs with a
part of the published steps stand under *Fewer steps*.

Runs at all published steps are those with order=joint, all images side by side, where the paper takes one after
another with the same clone. Where they fall short of the printed clones, likely reasons are that the printed values
are those of single victims of which nothing but the accuracy is known, while ours differ much from seed to seed; and
that order, though at a twentieth of the steps (*Fewer steps*) clones of the published one are no better at depths 2
and 3; at depth 1 they are, so that there it is the first suspect. Neither has been settled.""",
    cells=lambda scale: unsplit_cells(scale, times=(("after", 10), ("before", 10))),
    blocks=_table_2,
)


def _table_3_cells(scale: Scale) -> list[Cell]:
    cells = []
    for dataset in datasets(scale):
        for before in _LAST_PARTS[dataset]:
            for reading in _READINGS:
                values = victim(dataset, scale) | {"protocol": "u_shaped", "cut": f"1:{before}", "when": "before"}
                if scale == "quick" and dataset == "cifar10":
                    values["train_rows"] = 5000  # nothing is trained on them
                values |= {"attack": "label_inference", "targets": 20 if scale == "smoke" else 100, "target_batch": 1}
                cells.append(Cell({**values, "epochs": 0, **reading}))
    return cells


def _table_3(found: Found) -> list[Block]:
    lines = []
    for dataset, parts in _LAST_PARTS.items():
        for depth, before in enumerate(parts, start=1):
            for reading in _READINGS:
                observes, match = reading.values()
                for group in found.groups(TABLE_3.cells, {"dataset": dataset, "cut": f"1:{before}", **reading}):
                    said = printed.TABLE_3.get(dataset, {}).get(depth) if match == "first" else None
                    place = (dataset, str(depth), observes, match)
                    lines.append(TableLine(place, group, (said, *(None,) * (len(_LABELS) - 1))))
    heads = ("dataset", "client depth", "observes", "match")
    return list(comparison(heads, _LABELS, lines)) if lines else []


_LABELS = (
    Number("accuracy", Metric.ACCURACY, "labels"),
    Number("by matching", Metric.ACCURACY, "labels", "matching"),
    Number("by clustering, best naming", Metric.RELABELED_ACCURACY, "labels", "clustering"),
)

TABLE_3 = Exhibit(
    name="table 3",
    title="Labels from gradients",
    text="""100 test images one at a time, each a training step; all parts are untrained at the start. The published
code compares one weight tensor of the client's last part (*first*), equation 3 all of them (*all*): the printed
chance at depth 2 is that of the first tensor alone. Both need the gradients of the client's own weights, which
no protocol sends; what the wire gives is the gradient at the activations (*activations*), from which two
attacks are made.""",
    cells=_table_3_cells,
    blocks=_table_3,
)
