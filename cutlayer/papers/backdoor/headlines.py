"""What the server-side backdoors are known by."""

from __future__ import annotations

from typing import Any

from cutlayer.papers.backdoor import printed
from cutlayer.papers.backdoor.figures import CLEAN, FIGURES, SUCCESS
from cutlayer.papers.backdoor.setup import BLOCKS
from cutlayer.reproduction.paper import Headline


def _lenet(dataset: str, alpha: float, clients: int, cut: int) -> list[Headline]:
    said = printed.SURROGATE.get((dataset, "lenet", clients, alpha, cut), (None, None))
    wanted: dict[str, Any] = {"dataset": dataset, "model": "lenet", "clients": clients, "surrogate_client.alpha": alpha}
    wanted["cut"] = str(BLOCKS["lenet"][cut - 1])
    who = "1 client" if clients == 1 else f"{clients} clients"
    what = f"surrogate client, LeNet, {dataset}, cut {cut}, {who}, alpha {alpha:g}"
    numbers = zip((SUCCESS, CLEAN), said, strict=True)
    return [Headline(what, FIGURES[dataset], wanted, number, value) for number, value in numbers]


_PLACES = (
    *(("mnist", 0.09, 1, cut) for cut in (1, 3)),
    *(("mnist", alpha, 1, 1) for alpha in (0.5, 0.04)),
    *(("mnist", alpha, 3, 1) for alpha in (0.5, 0.04)),
    *(("fashion_mnist", alpha, 1, 1) for alpha in (0.5, 0.04)),
)
HEADLINES = tuple(headline for place in _PLACES for headline in _lenet(*place))
