"""The paper's deployments and attacks as cells, and what is cut short at which scale."""

from __future__ import annotations

from typing import Any

from cutlayer.reproduction.cell import Cell, Scale

ALPHAS = (0.5, 0.2, 0.09, 0.06, 0.04)
CLIENTS = (1, 3, 5, 7)
BLOCKS = {"lenet": (1, 2, 4), "stripnet": (1, 2, 4), "resnet9": (0, 1, 2)}
"""By model: the client's last block at cuts 1 to 3."""
ONE_CUT = {("lenet", 2): 1}
"""A model's cuts with only a layer without parameters in between: an attack that never looks at what crosses trains the
same networks on the same at either."""
HOW = {"memory_format": "channels_last"}
"""The faster one, see benchmarks/backdoor_cells.py."""
_SCALING = {
    "fashion_mnist": ((0.5,), (0.5,)),
    "emnist_letters": ((0.5,), (0.5,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
"""What the published code subtracts and divides by; nothing elsewhere."""
_FALLS = {"lenet": (26, 41, 56, 71), "stripnet": (26, 41, 56, 71), "resnet9": (21, 31, 41, 51)}
"""Epochs after which the rate is divided by ten. The published code asks whether more than 25 (20) are over, counting
from 0: 26 (21) run at the first rate."""
_QUICK = {"lenet": (12, (9, 11)), "stripnet": (6, (5,)), "resnet9": (6, (5,))}
"""Epochs, and those after which the rate falls. Not at the published shares of them: that leaves a third of so few at
the first rate, and little is learned at a hundredth of it."""


def deployment(dataset: str, model: str, clients: int, cut: int, scale: Scale) -> dict[str, Any]:
    """What is attacked, as the published code trains it; shorter schedules at smaller scales."""
    epochs, falls = {
        "smoke": (1, ()),
        "quick": _QUICK[model],
        "paper": (140 if dataset == "cifar10" else 90, _FALLS[model]),
    }[scale]
    mean, std = _SCALING.get(dataset, ((), ()))
    from_test = dataset == "cifar10"
    values: dict[str, Any] = {
        "dataset": dataset,
        "model": model,
        "protocol": "vanilla",
        "cut": str(BLOCKS[model][cut - 1]),
        "clients": clients,
        "when": "after",
        "epochs": epochs,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "amsgrad": False,
        "weight_decay": 1e-4,
        "milestones": falls,
        "validation_rows": 5000 if from_test else 10000,
        "validation_from": "test" if from_test else "train",
        "patience": 70 if from_test else 90,
        "input_mean": mean,
        "input_std": std,
        "train_rows": None,
        "classes": None,
    }
    if scale == "smoke":
        values |= {"train_rows": 600, "test_rows": 100, "validation_rows": 50}
    return values


def pair_falls(model: str) -> dict[str, tuple[int, ...]]:
    """When the rate of the injector's pairs falls: "same setup" as the deployment's.

    At the scale *quick* the pairs are trained for too few epochs to get there.
    """
    return {"milestones": _FALLS[model]}


def server_cell(values: dict[str, Any], attack: str, scale: Scale, **options: Any) -> Cell:
    """An attack of the server with its part of the training data; ``isolate`` where seconds do not count.

    Unless ``options`` say otherwise with the paper's trigger, which tells its cells from those with another one.
    """
    named = {f"{attack}.{name}": value for name, value in {"size": 8, "column": -1, **options}.items()}
    offers = {"offers": ["peer_architecture", "aux_inputs", "aux_labels"]}
    steps = "paper" if scale == "paper" else "quick"
    how: dict[str, Any] = {**HOW, **offers, **({"isolate": False} if scale == "smoke" else {})}
    return Cell({**values, "attack": attack, "aux": "share", "steps": steps, **named}, how)


def transfer_scaling(dataset: str) -> dict[str, Any]:
    """A transfer to ``dataset``, whose inputs are scaled as those of networks of its own."""
    mean, std = _SCALING.get(dataset, ((), ()))
    return {"transfer": dataset, "transfer_mean": mean, "transfer_std": std}


def noise_range(dataset: str) -> dict[str, float]:
    """Where the trigger's pixels lie in [0, 1]: the published code draws them in [0, 1] after the normalization.

    Of CIFAR-10's three channels the middle one stands for all.
    """
    mean, std = _SCALING.get(dataset, ((0.0,), (1.0,)))
    place = len(mean) // 2
    return {"darkest": mean[place], "brightest": mean[place] + std[place]} if dataset in _SCALING else {}
