"""The paper's deployments and attacks as cells, and what is cut short at which scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutlayer.papers.sladv.printed import COLUMNS
from cutlayer.reproduction.cell import Cell, Scale

WHOLE, NARROW = "resnet18", "resnet18_narrow"
"""The paper's network, and one of an eighth of its channels, which two cores train for all of the iterations."""
BLOCKS = {
    WHOLE: (0, 3, 5, 7),
    NARROW: (0, 3, 5, 7),
    "mobilenet_v2": (0, 5, 9, 13),
    "densenet": (0, 2, 4, 6),
    "efficientnet_b0": (0, 4, 7, 10),
    "lenet": (1, 2, 4, 5),
}
"""By network: the client's last block at cuts 1 to 4."""
LAST = {WHOLE: 10, NARROW: 10, "mobilenet_v2": 20, "densenet": 8, "efficientnet_b0": 18, "lenet": 9}
"""The block before the client's last part, which is one linear layer."""
MULTI = {
    WHOLE: ("64", "32-64", "32-64-128@2", "32-64-128@2-256@2"),
    NARROW: ("8", "4-8", "4-8-16@2", "4-8-16@2-32@2"),
    "mobilenet_v2": ("32", "16-32@2", "16-32@2-64@2", "16-32-64@2-96@2"),
    "densenet": ("24", "24-48@2", "24-48@2-96@2", "24-48@2-96@2-192@2"),
    "efficientnet_b0": ("32", "32-24@2", "32@2-24@2-80@2", "32-24@2-80@2-112@2"),
}
"""Blocks of the shadow "multi" at cuts 1 to 4, as the authors' code has them."""
FAR = "fashion_mnist"
"""Images of quite another kind, which the paper does not have."""
ALL_COLUMNS = (*COLUMNS, FAR)
STANDIN = "lenet"
"""The network of the scale ``smoke``, on the embedded digits."""
EIGHT, SIXTEEN = "8/255", "16/255"
_SAMPLED = {"vmi_fgsm": ("neighbors",), "ssa": ("spectra",)}
_OFFERS = ["natural_inputs", "aux_inputs"]
_QUICK_SEEDS = 1
"""With one, either network's grid takes hours on two cores."""


def deployment(scale: Scale, model: str = WHOLE, cut: int = 1, protocol: str = "u_shaped") -> dict[str, Any]:
    """What is attacked: 3,000 iterations of batches of 128 are 9.4 epochs over ten clients with 4,000 images each."""
    short = scale == "quick" and model != NARROW
    if scale == "smoke":
        model = STANDIN
    blocks = str(BLOCKS[model][cut - 1]) + (f":{LAST[model]}" if protocol == "u_shaped" else "")
    values: dict[str, Any] = {
        "dataset": "cifar10",
        "model": model,
        "protocol": protocol,
        "cut": blocks,
        "clients": 10,
        "share": 0.2,
        "turn": 1,
        "optimizer_state": "carried",
        "when": "after",
        "epochs": 1 if short else 9,
        "batch_size": 128,
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 0.01,
        "train_rows": None,
        "test_rows": None,
        "budget": 0.3,
        "budget_unit": "normalized",
        "steps": "paper" if scale == "paper" else "quick",
    }
    if scale == "smoke":
        values |= {"dataset": "digits", "clients": 2, "epochs": 1, "batch_size": 32, "budget_unit": "pixel"}
        values |= {"train_rows": 200, "test_rows": 60}
    return values


def own_images(column: str, count: int, scale: Scale) -> dict[str, Any]:
    """The server's own images; of the clients' dataset those that no client has."""
    if scale == "smoke":
        return {"aux": "share", "aux_rows": 30}
    return {"aux": "share" if column == "cifar10" else column, "aux_rows": count}


def sladv(
    scale: Scale,
    column: str = "cifar10",
    count: int = 4096,
    model: str = WHOLE,
    cut: int = 1,
    protocol: str = "u_shaped",
    **options: Any,
) -> Cell:
    """One run of the attack, by default as in the paper's tables 1 to 4, on all test images."""
    named = {"alpha": 1.0, "shadow": "two_conv", "blocks": "", "align": "cut", **options}
    values = deployment(scale, model, cut, protocol) | own_images(column, count, scale) | {"attack": "sladv"}
    values |= {f"sladv.{name}": value for name, value in named.items()}
    short = (scale, model) == ("quick", NARROW)
    adapt = {"aux_adapt": True} if column == FAR and scale != "smoke" else {}
    return Cell(values, {"offers": _OFFERS, **adapt, **_how(scale, 2000 if short else 10000)}, _QUICK_SEEDS)


def transfer(scale: Scale, attack: str, count: int, victim: str, model: str = WHOLE, **options: Any) -> Cell:
    """A transfer attack on the honest victim, or on the one that SLADV has weakened (``attacked``)."""
    values = deployment(scale, model) | own_images("cifar10", count, scale) | {"attack": attack}
    # Told in full: of an attack that another one is under a record keeps what was given.
    tampering = {"sladv.alpha": 1.0, "sladv.distance": "batch", "sladv.clip": 1.0}
    under = {"under": "sladv", **tampering} if victim == "attacked" else {"under": ""}
    values |= {**under, **{f"{attack}.{name}": value for name, value in options.items()}}
    white = options.get("network") == "victim"
    if scale == "quick" and not white:
        # A tenth of the epochs leaves a proxy that has hardly learned.
        values[f"{attack}.least_steps"] = 600
        if model == NARROW:
            # Few places or spectra give a noisy slope; on the whole network twenty take too long.
            values |= {f"{attack}.{name}": 20 for name in _SAMPLED.get(attack, ())}
    if white:
        # No proxy is trained, whatever the scale.
        values[f"{attack}.epochs"] = 60
    offers = [*_OFFERS, "aux_labels", "peer_architecture", *(["peer_weights"] if white else [])]
    offers += ["natural_labels"] if white or options.get("labels") == "true" else []
    short: Mapping[str, Any] = {}
    if scale == "smoke" and not white:
        short = {f"{attack}.epochs": 1}
    count = 512 if scale == "quick" else 10000
    return Cell(values, {"offers": offers, **short, **_how(scale, count)}, _QUICK_SEEDS)


def _how(scale: Scale, targets: int) -> dict[str, Any]:
    # Where seconds count, the process that isolates a cell takes longest.
    how: dict[str, Any] = {"targets": targets, "pixel_budgets": [8, 16], "memory_format": "channels_last"}
    return {**how, "targets": 20, "isolate": False} if scale == "smoke" else how
