"""Inversion with and without queries, measured anew: He, Zhang, Lee (ACSAC 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from cutlayer.metric import Metric
from cutlayer.reproduction.block import Block
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import Number, TableLine, comparison
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit, Headline, Paper

_PSNR, _SSIM = Number("PSNR", Metric.PSNR), Number("SSIM", Metric.SSIM)
_CUTS = {"digits": ("0",), "mnist": ("0", "4"), "cifar10": ("0", "8", "13")}
_NAMES = {"0": "conv1", "4": "ReLU2", "8": "ReLU22", "13": "ReLU32"}
_Reading = Mapping[str, Any]
Pair = tuple[float, float]

_WHITE: dict[str, tuple[_Reading, dict[str, tuple[Pair, ...]]]] = {
    "white-box": ({}, {"mnist": ((39.69, 0.997), (15.10, 0.600)),
                       "cifar10": ((37.59, 0.996), (19.47, 0.694), (13.38, 0.163))}),
}  # fmt: skip
_BLACK: dict[str, tuple[_Reading, dict[str, tuple[Pair, ...]]]] = {
    "same set": (
        {"inversion_black_box.source": "auxiliary", "aux": "train"},
        {"mnist": ((39.64, 0.989), (20.35, 0.733)), "cifar10": ((49.88, 0.999), (19.81, 0.694), (15.42, 0.312))},
    ),
    "same distribution": (
        {"inversion_black_box.source": "auxiliary", "aux": "test"},
        {"mnist": ((40.72, 0.995), (20.81, 0.805)), "cifar10": ((49.02, 0.999), (19.36, 0.680), (13.95, 0.220))},
    ),
    "noise": (
        {"inversion_black_box.source": "noise"},
        {"mnist": ((14.76, 0.719), (7.72, 0.431)), "cifar10": ((48.59, 1.0), (12.79, 0.293), (12.37, 0.044))},
    ),
}
_FREE: dict[str, tuple[_Reading, dict[str, tuple[Pair, ...]]]] = {
    "same data, same network": (
        {"inversion_query_free.shadow": "same", "aux": "train"},
        {"mnist": ((17.60, 0.742), (9.61, 0.498)), "cifar10": ((21.16, 0.910), (12.74, 0.175), (11.09, 0.042))},
    ),
    "different data": (
        {"inversion_query_free.shadow": "same", "aux": "test"},
        {"mnist": ((21.53, 0.912), (9.27, 0.465)), "cifar10": ((21.45, 0.915), (11.51, 0.172), (11.98, 0.010))},
    ),
    "different network": (
        {"inversion_query_free.shadow": "different", "aux": "train"},
        {"mnist": ((12.59, 0.643), (8.05, 0.379)), "cifar10": ((17.55, 0.634), (12.46, 0.271), (10.68, 0.025))},
    ),
    "both different": (
        {"inversion_query_free.shadow": "different", "aux": "test"},
        {"mnist": ((17.86, 0.695), (8.03, 0.323)), "cifar10": ((13.06, 0.155), (11.30, 0.047), (11.47, 0.079))},
    ),
}
"""By setting: what makes it, and PSNR in decibels and SSIM at each cut."""


def _victim(dataset: str, scale: Scale) -> dict[str, Any]:
    """As published, but for the flipped and turned images that CIFAR-10's victims are trained on."""
    values: dict[str, Any] = {
        "dataset": dataset,
        "model": "inversion_cifar" if dataset == "cifar10" else "inversion_mnist",
        "protocol": "vanilla",
        "when": "after",
        "epochs": 50,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "epsilon": 1e-3,
        "milestones": (20, 40),
        "decay": 0.5,
        "targets": 100,
        "train_rows": None,
        "test_rows": None,
    }
    if scale == "smoke":
        values |= {"epochs": 1, "targets": 4, "train_rows": 300, "test_rows": 100}
    elif scale == "quick":
        values |= {"epochs": 10, "targets": 20}
    return values


def _space(attack: str, dataset: str) -> dict[str, float]:
    """The standard deviation of the inputs that the attack steps in, one for all channels."""
    return {f"{attack}.scale": 0.225 if dataset == "cifar10" else 0.5}


def _cells(
    scale: Scale, attack: str, settings: Mapping[str, tuple[_Reading, object]], offers: str, short: _Reading
) -> list[Cell]:
    steps = "paper" if scale == "paper" else "quick"
    datasets = {"smoke": ("digits",), "quick": ("mnist",), "paper": ("mnist", "cifar10")}[scale]
    how: dict[str, Any] = {"offers": offers.split(), **(short if scale == "smoke" else {})}
    return [
        Cell(
            {
                **_victim(dataset, scale),
                "attack": attack,
                "cut": cut,
                "steps": steps,
                **_space(attack, dataset),
                **reading,
            },
            how,
        )
        for dataset in datasets
        for cut in _CUTS[dataset]
        for reading, _ in settings.values()
    ]


def _exhibit(
    name: str,
    attack: str,
    settings: Mapping[str, tuple[_Reading, Mapping[str, tuple[Pair, ...]]]],
    offers: str,
    short: _Reading,
    text: str,
) -> Exhibit:
    def blocks(found: Found) -> list[Block]:
        lines = []
        for dataset, cuts in _CUTS.items():
            for setting, (reading, printed) in settings.items():
                for number, cut in enumerate(cuts):
                    said = printed[dataset][number] if dataset in printed else (None, None)
                    place = (dataset, setting, _NAMES[cut])
                    groups = found.groups(exhibit.cells, {"dataset": dataset, "cut": cut, **reading})
                    lines += [TableLine(place, group, said) for group in groups]
        heads = ("dataset", "adversary", "cut")
        return list(comparison(heads, (_PSNR, _SSIM), lines)) if lines else []

    cells = partial(_cells, attack=attack, settings=settings, offers=offers, short={**short, "isolate": False})
    exhibit = Exhibit(name, f"{name.capitalize()} inversion", text, cells, blocks)
    return exhibit


_WHITE_BOX, _BLACK_BOX, _QUERY_FREE = (
    _exhibit(
        "white-box",
        "inversion_white_box",
        _WHITE,
        "peer_architecture peer_weights",
        {"inversion_white_box.iterations": 5},
        "The client's part is known, weights and all.",
    ),
    _exhibit(
        "black-box",
        "inversion_black_box",
        _BLACK,
        "peer_architecture peer_queries aux_inputs",
        {"inversion_black_box.epochs": 1, "inversion_black_box.queries": 50},
        "The client's part answers queries, on its own training images, on others like them, or on noise.",
    ),
    _exhibit(
        "query-free",
        "inversion_query_free",
        _FREE,
        "peer_architecture aux_inputs aux_labels",
        {"inversion_query_free.epochs": 1, "inversion_query_free.iterations": 5},
        "A shadow is trained through the server's own part, on the client's training images or on others.",
    ),
)


def _headlines(
    exhibit: Exhibit, of: Mapping[str, tuple[_Reading, dict[str, tuple[Pair, ...]]]], setting: str
) -> list[Headline]:
    reading, said = of[setting]
    told = exhibit.name if setting == exhibit.name else f"{exhibit.name}, {setting}"
    return [
        Headline(
            f"inputs, {told}, mnist, {_NAMES[cut]}",
            exhibit,
            {"dataset": "mnist", "cut": cut, **reading},
            _SSIM,
            said["mnist"][number][1],
        )
        for number, cut in enumerate(_CUTS["mnist"])
    ]


PAPER = Paper(
    citation="He, Zhang, Lee: Model Inversion Attacks Against Collaborative Inference (ACSAC 2019)",
    text="""Targets are the first images of the test split, 100 of them, and 20 at the scale *quick*; the paper does not
say which ones it took. *Blind* is the same metric for the better of the mean training image and the best constant
image. SSIM below 0.3 counts as unrecognizable in the paper. CIFAR-10's training images are not flipped and turned
here.""",
    exhibits=(_WHITE_BOX, _BLACK_BOX, _QUERY_FREE),
    headlines=(
        *_headlines(_WHITE_BOX, _WHITE, "white-box"),
        *_headlines(_BLACK_BOX, _BLACK, "same distribution"),
        *_headlines(_BLACK_BOX, _BLACK, "noise"),
        *_headlines(_QUERY_FREE, _FREE, "both different"),
    ),
)
