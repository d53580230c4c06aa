"""What the server-side backdoors are known by."""

from __future__ import annotations

from typing import Any

from cutlayer.papers.backdoor import printed
from cutlayer.papers.backdoor.appendix import MALICIOUS_CLIENT
from cutlayer.papers.backdoor.figures import CLEAN, FIGURES, NOISE, SUCCESS
from cutlayer.papers.backdoor.injector import FIGURE_6
from cutlayer.papers.backdoor.setup import BLOCKS
from cutlayer.reproduction.paper import Headline


def _surrogate(model: str, dataset: str, alpha: float, clients: int, cut: int) -> list[Headline]:
    said = printed.SURROGATE.get((dataset, model, clients, alpha, cut), (None, None))
    wanted: dict[str, Any] = {"dataset": dataset, "model": model, "clients": clients, "surrogate_client.alpha": alpha}
    wanted["cut"] = str(BLOCKS[model][cut - 1])
    who = "1 client" if clients == 1 else f"{clients} clients"
    what = f"surrogate client, {_NAMES[model]}, {dataset}, cut {cut}, {who}, alpha {alpha:g}"
    success, accuracy = said
    numbers = ((SUCCESS, success), (NOISE, None), (CLEAN, accuracy))
    return [Headline(what, FIGURES[dataset], wanted, number, value) for number, value in numbers]


def _injector(model: str, dataset: str) -> list[Headline]:
    wanted: dict[str, Any] = {"dataset": dataset, "model": model, "clients": 1, "injector_autoencoder.share": 0.5}
    wanted["cut"] = str(BLOCKS[model][0])
    what = f"injector autoencoder, {_NAMES[model]}, {dataset}, cut 1, 1 client, share 0.5"
    success, accuracy = printed.INJECTOR[dataset, model, 1, None, 1]
    return [
        Headline(what, FIGURE_6, wanted, SUCCESS, success, _UNSAID),
        Headline(what, FIGURE_6, wanted, NOISE, None),
        Headline(what, FIGURE_6, wanted, CLEAN, accuracy, _UNSAID),
    ]


def _client(trigger: str) -> list[Headline]:
    what = f"one malicious client of three, LeNet, mnist, cut 1, {trigger}"
    wanted = {"dataset": "mnist", "client_backdoor.trigger": trigger}
    return [Headline(what, MALICIOUS_CLIENT, wanted, number, None) for number in (SUCCESS, NOISE, CLEAN)]


_UNSAID = "(of which share is not said)"
_NAMES = {"lenet": "LeNet", "stripnet": "StripNet"}
_PLACES = (
    *(("lenet", "mnist", 0.09, 1, cut) for cut in (1, 3)),
    *(("lenet", "mnist", alpha, 1, 1) for alpha in (0.5, 0.04)),
    ("lenet", "mnist", 0.04, 1, 3),
    *(("lenet", "mnist", alpha, 3, 1) for alpha in (0.5, 0.04)),
    *(("lenet", "fashion_mnist", alpha, 1, 1) for alpha in (0.5, 0.04)),
    *(("stripnet", dataset, alpha, 1, 1) for dataset in ("mnist", "fashion_mnist") for alpha in (0.5, 0.04)),
    ("stripnet", "mnist", 0.04, 1, 3),
)
HEADLINES = (
    *(headline for place in _PLACES for headline in _surrogate(*place)),
    *(headline for model in ("lenet", "stripnet") for headline in _injector(model, "mnist")),
    *_client("patch"),
)
