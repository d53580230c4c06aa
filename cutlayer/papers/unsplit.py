"""UnSplit's printed results: Erdogan, Kupcu, Cicek (WPES 2022), tables 2 and 3."""

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

TABLE_3 = {
    "mnist": {1: 1.0, 2: 0.091},
    "fashion_mnist": {1: 1.0, 2: 0.102},
    "cifar10": {1: 1.0, 2: 0.081},
}
"""Accuracy of label inference by dataset and depth of the client's last part."""
