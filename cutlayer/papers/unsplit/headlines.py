"""What UnSplit is known by."""

from __future__ import annotations

from cutlayer.metric import Metric
from cutlayer.papers.unsplit import printed
from cutlayer.papers.unsplit.speed import BEST, SPEED, wanted
from cutlayer.papers.unsplit.tables import CLONE, MSE, SSIM, STRETCHED, TABLE_2, TABLE_3
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.paper import Headline

_ROUNDS = 50
_WEIGHTS = {"label_inference.observes": "weights", "label_inference.match": "first"}
_WIRE = {"label_inference.observes": "activations", "label_inference.match": "all"}
_ACCURACY = Number("accuracy", Metric.ACCURACY, "labels")
_MATCHED = Number("accuracy by matching", Metric.ACCURACY, "labels", "matching")
_GROUPS = Number("accuracy under the best naming", Metric.RELABELED_ACCURACY, "labels", "clustering")


def _depths(number: Number, what: str) -> list[Headline]:
    return [
        Headline(
            f"{what}, {dataset}, depth {depth}",
            TABLE_2,
            {"dataset": dataset, "when": "after", "cut": str(depth)},
            number,
            {MSE: row.after, CLONE: row.clone}.get(number),
            f"(other images: blind {MSE.spell(printed.BLIND[dataset])})" if number is MSE else "",
        )
        for dataset in ("mnist", "fashion_mnist")
        for depth, row in printed.TABLE_2[dataset].items()
        if depth in {1, 3, 6}
    ]


def _best(number: Number, what: str, depth: str) -> Headline:
    told = f"{what}, mnist, depth {depth}, our options"
    return Headline(told, SPEED, wanted(depth, BEST, _ROUNDS), number, None, setting=f"{BEST}, {_ROUNDS} rounds")


def _labels(what: str, number: Number, observed: dict[str, str], said: bool) -> list[Headline]:
    return [
        Headline(
            f"labels, {what}, {dataset}",
            TABLE_3,
            {"dataset": dataset, "cut": f"1:{before}", **observed},
            number,
            printed.TABLE_3[dataset][1] if said else None,
        )
        for dataset, before in (("mnist", 9), ("fashion_mnist", 9), ("cifar10", 16))
    ]


HEADLINES = (
    *_depths(MSE, "inputs, from activations alone"),
    *_depths(SSIM, "inputs, from activations alone"),
    *_depths(STRETCHED, "inputs, from activations alone"),
    *(_best(SSIM, "inputs, from activations alone", depth) for depth in ("1", "3")),
    *_depths(CLONE, "the client's part, from activations alone"),
    *(_best(CLONE, "the client's part, from activations alone", depth) for depth in ("1", "3")),
    *_labels("from gradients of weights, which no protocol sends", _ACCURACY, _WEIGHTS, said=True),
    *_labels("from the wire, in groups without names", _GROUPS, _WIRE, said=False),
    *_labels("from the wire, by matching", _MATCHED, _WIRE, said=False),
)
