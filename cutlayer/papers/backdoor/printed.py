"""What the paper and its authors' result files print: Tajalli, Ersoy, Picek (IEEE SPW 2023)."""

from __future__ import annotations

from collections.abc import Mapping

Place = tuple[str, str, int, float, int]
"""Dataset, model, clients, alpha, cut."""


def _cuts(
    dataset: str, model: str, clients: int, alpha: float, *found: tuple[float, float]
) -> dict[Place, tuple[float, float]]:
    return {(dataset, model, clients, alpha, cut): (s / 100, c / 100) for cut, (s, c) in enumerate(found, start=1)}


SURROGATE: Mapping[Place, tuple[float, float]] = {
    **_cuts("mnist", "lenet", 1, 0.5, (12.9, 98.8), (8.1, 98.8), (0.9, 98.8)),
    **_cuts("mnist", "lenet", 1, 0.09, (99.6, 98.8), (98.3, 98.7), (0.8, 98.8)),
    **_cuts("mnist", "lenet", 1, 0.04, (88.4, 98.6), (65.1, 98.4), (2.8, 98.8)),
    **_cuts("mnist", "lenet", 3, 0.5, (1.8, 99.1), (0.4, 99.1), (0.6, 99.2)),
    **_cuts("mnist", "lenet", 3, 0.09, (52.2, 98.9), (95.4, 98.8), (0.7, 99.0)),
    **_cuts("mnist", "lenet", 3, 0.04, (92.3, 98.7), (95.4, 98.6), (0.9, 98.8)),
    **_cuts("mnist", "stripnet", 1, 0.09, (100, 99.4), (100, 99.3), (84.7, 95.9)),
    **_cuts("mnist", "stripnet", 1, 0.5, (95.5, 99.5), (100, 99.5), (98.8, 99.6)),
    **_cuts("mnist", "stripnet", 1, 0.04, (95.6, 98.7), (90.9, 98.0), (0.0, 16.7)),
    **_cuts("mnist", "resnet9", 1, 0.06, (42.7, 80.9), (1.9, 98.7), (0, 11.3)),
    **_cuts("fashion_mnist", "stripnet", 1, 0.5, (16.8, 92.9), (26.0, 92.9), (46.4, 92.9)),
    **_cuts("fashion_mnist", "stripnet", 1, 0.04, (69.0, 83.8), (39.9, 90.1), (27.4, 89.5)),
    **_cuts("fashion_mnist", "stripnet", 1, 0.2, (78.6, 92.8), (12.3, 92.8), (48.3, 93.0)),
    **_cuts("fashion_mnist", "resnet9", 1, 0.06, (45.6, 61.9), (4.8, 88.3), (21.5, 48.6)),
    **_cuts("fashion_mnist", "lenet", 1, 0.5, (15.6, 88.6), (23.1, 89.5), (4.3, 89.1)),
    **_cuts("fashion_mnist", "lenet", 1, 0.09, (61.5, 88.3), (35.5, 88.4), (4.1, 88.6)),
    **_cuts("fashion_mnist", "lenet", 1, 0.04, (40.2, 87.5), (43.1, 87.4), (4.2, 87.9)),
    **_cuts("fashion_mnist", "lenet", 3, 0.5, (6.3, 89.6), (7.0, 89.5), (4.3, 89.5)),
    **_cuts("fashion_mnist", "lenet", 3, 0.09, (24.8, 87.9), (26.2, 87.5), (7.7, 89.0)),
    **_cuts("fashion_mnist", "lenet", 3, 0.04, (73.5, 87.0), (44.2, 87.3), (4.5, 88.5)),
    **_cuts("fashion_mnist", "lenet", 1, 0.06, (62.7, 88.1), (46.2, 87.6), (4.7, 88.8)),
    **_cuts("cifar10", "lenet", 1, 0.2, (58.3, 59.2), (67.2, 59.6), (2.6, 60.8)),
    **_cuts("cifar10", "stripnet", 1, 0.09, (51.7, 79.0), (30.1, 78.0), (20.5, 75.9)),
    **_cuts("cifar10", "resnet9", 1, 0.2, (4.5, 87.2), (0.8, 86.9), (1.1, 83.5)),
}
"""Attack success and clean accuracy of the surrogate client, one run each; the paper draws most of them, its authors'
result files hold the numbers."""


def apart(dataset: str) -> float:
    """How far the printed successes at LeNet's cuts 1 and 2 are apart at most among those here: one attack, run
    twice."""
    places = [place for place in SURROGATE if place[:2] == (dataset, "lenet") and place[4] == 1]
    return max(abs(SURROGATE[place][0] - SURROGATE[*place[:4], 2][0]) for place in places)


AUTOENCODER = {
    ("mnist", "resnet9"): (0.003, (0.991, 0.996)),
    ("mnist", "lenet"): (0.065, (0.745, 0.955)),
    ("mnist", "stripnet"): (0.003, (0.978, 0.994)),
    ("fashion_mnist", "resnet9"): (0.043, (0.904, 0.933)),
    ("fashion_mnist", "lenet"): (0.249, (0.548, 0.804)),
    ("fashion_mnist", "stripnet"): (0.034, (0.826, 0.895)),
    ("cifar10", "resnet9"): (0.025, (0.789, 0.860)),
    ("cifar10", "lenet"): (0.158, (0.178, 0.540)),
    ("cifar10", "stripnet"): (0.026, (0.662, 0.788)),
}
"""The highest attack success of the injector autoencoder over all numbers of clients and cuts, and the lowest and
highest clean accuracy over these, of the authors' result files."""

BASELINE = {
    ("mnist", "resnet9"): (0.994, 0.996),
    ("mnist", "lenet"): (0.987, 0.992),
    ("mnist", "stripnet"): (0.995, 0.996),
    ("fashion_mnist", "resnet9"): (0.930, 0.938),
    ("fashion_mnist", "lenet"): (0.889, 0.901),
    ("fashion_mnist", "stripnet"): (0.923, 0.936),
    ("cifar10", "resnet9"): (0.865, 0.894),
    ("cifar10", "lenet"): (0.593, 0.645),
    ("cifar10", "stripnet"): (0.811, 0.849),
}
"""Clean accuracy without an attack, lowest and highest over clients and cuts (figure 7)."""

TABLE_3 = {"mnist": (0.9945, 0.5741), "emnist_letters": (0.9577, 0.0025), "fashion_mnist": (0.8702, 0.032)}
"""Clean accuracy and attack success after a transfer to each dataset."""

SMALL_TRIGGER = 0.30
"""The best attack success with a trigger of 4x4 pixels on MNIST (appendix D)."""
