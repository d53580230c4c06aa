"""What the paper prints: Erdogan, Kupcu, Cicek (WPES 2022), tables 1, 2, 3 and 5."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Printed:
    """One dataset at one split depth in table 2."""

    before: float
    """MSE of the estimated inputs, attacked before training."""
    after: float
    """MSE, attacked after training."""
    clone: float
    """Test accuracy with the stolen client part, from 0 to 1."""


REFERENCE = {"mnist": 0.98, "fashion_mnist": 0.88, "cifar10": 0.71}
"""Test accuracy of the victims."""

TABLE_2 = {
    "mnist": {
        1: Printed(0.077, 0.054, 0.9745),
        2: Printed(0.084, 0.056, 0.9569),
        3: Printed(0.084, 0.060, 0.9375),
        4: Printed(0.099, 0.119, 0.7627),
        5: Printed(0.109, 0.096, 0.6527),
        6: Printed(0.108, 0.137, 0.6330),
    },
    "fashion_mnist": {
        1: Printed(0.146, 0.127, 0.8611),
        2: Printed(0.153, 0.144, 0.8434),
        3: Printed(0.157, 0.147, 0.8124),
        4: Printed(0.168, 0.084, 0.6617),
        5: Printed(0.180, 0.147, 0.1154),
        6: Printed(0.177, 0.131, 0.1612),
    },
    "cifar10": {
        1: Printed(0.039, 0.062, 0.5803),
        2: Printed(0.065, 0.071, 0.5402),
        3: Printed(0.098, 0.052, 0.5515),
        4: Printed(0.099, 0.068, 0.4369),
        5: Printed(0.109, 0.092, 0.4675),
        6: Printed(0.089, 0.083, 0.1854),
        7: Printed(0.087, 0.088, 0.1630),
        8: Printed(0.092, 0.070, 0.2212),
    },
}
"""By dataset and split depth: the client holds blocks 0 to depth."""

BLIND = {"mnist": 0.0712, "fashion_mnist": 0.0883, "cifar10": 0.0632}
"""The lowest MSE, as published, of the mean training image or a constant on the first test image of each class of the
official lists, which the paper attacks. Worked out from the files' names, which keep the lists' order; CIFAR-10's are
JPEG copies. On the images that our records are of it is another one: their files hold the rows in a mixed order."""

TABLE_3 = {
    "mnist": {1: 1.0, 2: 0.091},
    "fashion_mnist": {1: 1.0, 2: 0.102},
    "cifar10": {1: 1.0, 2: 0.081},
}
"""Accuracy of label inference by dataset and depth of the client's last part."""

TABLE_1 = {
    "inversion_white_box": (True, True, False, False),
    "inversion_black_box": (False, False, True, True),
    "inversion_query_free": (True, False, True, False),
    "fsha": (False, False, True, False),
    "unsplit": (True, False, False, False),
}
"""The lower half: whether an attack needs the client's structure, its parameters, data like its own, queries."""

TABLE_5 = {
    "mnist": (3.61, 7.81, 9.50, 7.05, 9.06, 9.38),
    "fashion_mnist": (2.11, 3.89, 9.66, 9.50, 9.51, 9.50),
    "cifar10": (7.04, 8.42, 9.48, 8.64, 9.82, 9.34),
}
"""By dataset: how many queries black-box inversion needs for UnSplit's MSE at split depths 1 to 6, mean of 30 runs."""
