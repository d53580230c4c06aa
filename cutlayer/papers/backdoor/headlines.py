"""What the server-side backdoors are known by."""

from __future__ import annotations

from cutlayer.papers.backdoor import printed
from cutlayer.papers.backdoor.figures import FIGURES, SUCCESS
from cutlayer.papers.backdoor.setup import BLOCKS
from cutlayer.reproduction.paper import Headline


def _lenet(dataset: str, alpha: float, clients: int, cut: int) -> Headline:
    said = printed.SURROGATE.get((dataset, "lenet", clients, alpha, cut), (None, None))[0]
    wanted = {"dataset": dataset, "model": "lenet", "clients": clients, "cut": str(BLOCKS["lenet"][cut - 1])}
    who = "1 client" if clients == 1 else f"{clients} clients"
    return Headline(
        f"surrogate client, LeNet, {dataset}, cut {cut}, {who}, alpha {alpha:g}",
        FIGURES[dataset],
        {**wanted, "surrogate_client.alpha": alpha},
        SUCCESS,
        said,
    )


HEADLINES = (
    *(_lenet("mnist", 0.09, 1, cut) for cut in (1, 3)),
    *(_lenet("mnist", alpha, 1, 1) for alpha in (0.5, 0.04)),
    _lenet("mnist", 0.04, 3, 1),
    *(_lenet("fashion_mnist", alpha, 1, 1) for alpha in (0.5, 0.09, 0.04)),
)
