"""What the paper and its authors' result files print: Tajalli, Ersoy, Picek (IEEE SPW 2023).

The files are in the repository HamidRezaTajalli/BASL_IDEA4 on GitHub, folder ``results``, at commit aff7217.
"""

from __future__ import annotations

from collections.abc import Mapping

Place = tuple[str, str, int, float | None, int]
"""Dataset, model, clients, alpha (the injector has none), cut."""


def _cuts(
    dataset: str, model: str, clients: int, alpha: float | None, *found: tuple[float, float]
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


INJECTOR: Mapping[Place, tuple[float, float]] = {
    **_cuts("mnist", "resnet9", 1, None, (0.1, 99.1), (0.2, 99.1), (0.1, 99.4)),
    **_cuts("mnist", "resnet9", 3, None, (0.2, 99.2), (0, 99.3), (0, 99.6)),
    **_cuts("mnist", "resnet9", 5, None, (0.3, 99.2), (0, 99.3), (0.1, 99.5)),
    **_cuts("mnist", "resnet9", 7, None, (0.1, 99.2), (0.1, 99.5), (0.1, 99.5)),
    **_cuts("mnist", "lenet", 1, None, (4.4, 90.2), (1.1, 90.2), (6.5, 78.1)),
    **_cuts("mnist", "lenet", 3, None, (0.5, 94.5), (1.1, 91.7), (2.8, 74.5)),
    **_cuts("mnist", "lenet", 5, None, (1.2, 95.5), (3.3, 87.4), (0.9, 78.7)),
    **_cuts("mnist", "lenet", 7, None, (3.6, 92.2), (1.4, 91.3), (1.8, 83.4)),
    **_cuts("mnist", "stripnet", 1, None, (0.1, 99), (0.1, 98.5), (0.1, 99.4)),
    **_cuts("mnist", "stripnet", 3, None, (0.1, 98.6), (0.1, 97.8), (0.1, 99)),
    **_cuts("mnist", "stripnet", 5, None, (0.1, 99), (0.1, 98.4), (0.1, 99.1)),
    **_cuts("mnist", "stripnet", 7, None, (0.1, 98.8), (0.3, 98.1), (0.2, 98.9)),
    **_cuts("fashion_mnist", "resnet9", 1, None, (2.2, 90.8), (1.6, 91.9), (2, 92.5)),
    **_cuts("fashion_mnist", "resnet9", 3, None, (2.3, 91), (1.1, 92.4), (2.9, 92.9)),
    **_cuts("fashion_mnist", "resnet9", 5, None, (2.4, 90.4), (1.3, 92.1), (2.3, 93.4)),
    **_cuts("fashion_mnist", "resnet9", 7, None, (2.9, 90.6), (4.3, 92.2), (1.9, 93.2)),
    **_cuts("fashion_mnist", "lenet", 1, None, (16.9, 79.2), (24.9, 79.2), (2.9, 54.8)),
    **_cuts("fashion_mnist", "lenet", 3, None, (7.8, 80.4), (2.7, 78), (2.5, 61.4)),
    **_cuts("fashion_mnist", "lenet", 5, None, (3.6, 74.1), (4.1, 71.4), (2.7, 62.6)),
    **_cuts("fashion_mnist", "lenet", 7, None, (3.8, 75.7), (3.3, 76.6), (2.8, 61.3)),
    **_cuts("fashion_mnist", "stripnet", 1, None, (2.8, 88.7), (2, 87.3), (2.6, 88.7)),
    **_cuts("fashion_mnist", "stripnet", 3, None, (3.3, 89.2), (3.1, 84), (3.1, 89.2)),
    **_cuts("fashion_mnist", "stripnet", 5, None, (3.1, 89.1), (1.7, 87.6), (3.1, 89.5)),
    **_cuts("fashion_mnist", "stripnet", 7, None, (3.4, 89), (1.7, 82.6), (3.4, 88.7)),
    **_cuts("cifar10", "resnet9", 1, None, (1.3, 86), (1.4, 83.8), (1.5, 84.7)),
    **_cuts("cifar10", "resnet9", 3, None, (2.5, 83.6), (1.6, 81.9), (1.5, 84.2)),
    **_cuts("cifar10", "resnet9", 5, None, (1.9, 80.4), (2.1, 81.9), (2.2, 85.3)),
    **_cuts("cifar10", "resnet9", 7, None, (2.1, 78.9), (2, 80.7), (1.8, 83.7)),
    **_cuts("cifar10", "lenet", 1, None, (2.6, 31.6), (4.6, 50.9), (15.8, 17.8)),
    **_cuts("cifar10", "lenet", 3, None, (3.4, 36.5), (4.7, 43.8), (9.5, 20.1)),
    **_cuts("cifar10", "lenet", 5, None, (2.8, 39.8), (11.5, 51.7), (10.3, 26.7)),
    **_cuts("cifar10", "lenet", 7, None, (4.5, 34.1), (4, 54), (10.1, 29)),
    **_cuts("cifar10", "stripnet", 1, None, (0.8, 76.3), (0.9, 66.2), (1.2, 78.8)),
    **_cuts("cifar10", "stripnet", 3, None, (1.3, 72.4), (1.7, 66.4), (1.5, 73.5)),
    **_cuts("cifar10", "stripnet", 5, None, (1.5, 69.9), (2.3, 68.4), (1.9, 71)),
    **_cuts("cifar10", "stripnet", 7, None, (2.6, 66.4), (0.9, 66.6), (2.2, 70.2)),
}
"""Of the injector autoencoder the same, of the authors' result files: of which share of a batch they do not say."""


def injected(dataset: str, model: str) -> tuple[float, tuple[float, float]] | None:
    """The injector's highest success over all clients and cuts, and the lowest and highest clean accuracy."""
    found = [said for place, said in INJECTOR.items() if place[:2] == (dataset, model)]
    accuracies = [accuracy for _, accuracy in found]
    return (max(success for success, _ in found), (min(accuracies), max(accuracies))) if found else None


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
