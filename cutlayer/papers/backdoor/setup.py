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
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
"""What the published code subtracts and divides by; nothing elsewhere."""
_FALLS = {"resnet9": (20, 30, 40, 50)}  # epochs after which the rate is divided by ten; others below
_FALLS_ELSEWHERE = (25, 40, 55, 70)
_QUICK_EPOCHS = {"lenet": 12, "stripnet": 6, "resnet9": 6}


def deployment(dataset: str, model: str, clients: int, cut: int, scale: Scale) -> dict[str, Any]:
    """What is attacked, as the published code trains it; shorter schedules at smaller scales."""
    whole = 140 if dataset == "cifar10" else 90
    epochs = {"smoke": 1, "quick": _QUICK_EPOCHS[model], "paper": whole}[scale]
    falls = tuple(max(1, round(epoch * epochs / whole)) for epoch in _FALLS.get(model, _FALLS_ELSEWHERE))
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
        "milestones": falls if scale != "smoke" else (),
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


def server_cell(values: dict[str, Any], attack: str, scale: Scale, **options: Any) -> Cell:
    """An attack of the server with its part of the training data; ``isolate`` where seconds do not count."""
    named = {f"{attack}.{name}": value for name, value in options.items()}
    offers = {"offers": ["peer_architecture", "aux_inputs", "aux_labels"]}
    steps = "paper" if scale == "paper" else "quick"
    how: dict[str, Any] = {**HOW, **offers, **({"isolate": False} if scale == "smoke" else {})}
    return Cell({**values, "attack": attack, "aux": "share", "steps": steps, **named}, how)


def noise_range(dataset: str) -> dict[str, float]:
    """Where the trigger's pixels lie in [0, 1]: the published code draws them in [0, 1] after the normalization.

    Of CIFAR-10's three channels the middle one stands for all.
    """
    mean, std = _SCALING.get(dataset, ((0.0,), (1.0,)))
    place = len(mean) // 2
    return {"darkest": mean[place], "brightest": mean[place] + std[place]} if dataset in _SCALING else {}
