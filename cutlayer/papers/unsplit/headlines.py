"""What UnSplit is known by."""

from __future__ import annotations

from cutlayer.papers.unsplit import printed
from cutlayer.papers.unsplit.tables import CLONE, MSE, SSIM, TABLE_2, TABLE_3
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.paper import Headline

_WEIGHTS = {"label_inference.observes": "weights", "label_inference.match": "first"}


def _depths(number: Number, what: str) -> list[Headline]:
    return [
        Headline(
            f"{what}, {dataset}, depth {depth}",
            TABLE_2,
            {"dataset": dataset, "when": "after", "cut": str(depth)},
            number,
            {MSE: row.after, CLONE: row.clone}.get(number),
        )
        for dataset in ("mnist", "fashion_mnist")
        for depth, row in printed.TABLE_2[dataset].items()
        if depth in {1, 3, 6}
    ]


HEADLINES = (
    *_depths(MSE, "inputs, from activations alone"),
    *_depths(SSIM, "inputs, from activations alone"),
    *_depths(CLONE, "the client's part, from activations alone"),
    *(
        Headline(
            f"labels, from the gradients of the last part, {dataset}",
            TABLE_3,
            {"dataset": dataset, "cut": f"1:{before}", **_WEIGHTS},
            Number("accuracy", "accuracy", "labels", percent=True),
            printed.TABLE_3[dataset][1],
        )
        for dataset, before in (("mnist", 9), ("fashion_mnist", 9), ("cifar10", 16))
    ),
)
