"""What the paper prints: Fan, Chen, Wang, Zhou, Huang (ECAI 2023), tables 1 to 6. Shares from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping

COLUMNS = ("svhn", "cifar10", "cifar100", "tiny_imagenet")
"""Where the server's own images come from."""


def _rows(table: str) -> Mapping[str, Mapping[str, float]]:
    """By the first word of each line, then by column; printed in percent."""
    found = {}
    for name, *values in (line.split() for line in table.strip().splitlines()):
        found[name] = {column: round(float(value) / 100, 4) for column, value in zip(COLUMNS, values, strict=True)}
    return found


TABLE_1 = _rows("""
128 14.07 16.31 20.31 15.47
256 27.86 29.43 30.31 25.16
1024 29.19 31.42 30.99 27.38
2048 29.60 31.65 33.21 28.31
4096 27.84 29.86 35.22 34.77
8192 28.28 30.20 34.29 33.15
""")
"""Accuracy drop by the number of the server's own images."""

TABLE_2 = {
    "vmi_fgsm": {1024: 0.1915, 2048: 0.2248, 4096: 0.2371},
    "ssa": {1024: 0.2088, 2048: 0.2460, 4096: 0.2543},
    "sladv": {1024: 0.3142, 2048: 0.3165, 4096: 0.2986},
}
"""Accuracy drop by attack and number of images, all of CIFAR-10."""

TABLE_3 = _rows("""
0 10.87 12.58 15.15 14.79
0.01 15.02 16.77 20.53 20.46
0.1 21.58 21.33 26.45 25.04
1 27.84 29.86 35.22 34.77
10 28.28 30.52 38.01 35.88
100 29.51 31.08 41.58 37.11
""")
"""Accuracy drop by alpha, of 4,096 images."""

TABLE_4 = _rows("""
0 81.47 81.25 80.36 80.47
0.01 81.81 80.58 82.03 80.47
0.1 78.91 80.25 79.35 80.25
1 78.45 78.12 78.23 78.01
10 76.00 76.34 76.23 76.79
100 75.33 75.67 77.34 75.89
""")
"""Clean test accuracy by alpha."""

TABLE_5 = {
    "single": _rows("""
1 27.84 29.86 35.22 34.77
2 23.68 25.74 34.98 32.77
3 18.55 21.79 32.11 28.56
4 13.59 15.89 27.47 24.35
"""),
    "multi": _rows("""
1 27.84 29.86 35.22 34.77
2 23.94 26.19 35.10 32.99
3 20.48 22.90 33.76 30.20
4 17.68 18.56 30.30 27.62
"""),
}
"""Accuracy drop by shadow and cut."""

TABLE_6 = {
    column: dict(zip(("resnet18", "efficientnet_b0", "densenet", "mobilenet_v2"), values, strict=True))
    for column, values in {
        "svhn": (0.2784, 0.1880, 0.3063, 0.3297),
        "cifar10": (0.2986, 0.2828, 0.3956, 0.3845),
        "cifar100": (0.3522, 0.3075, 0.4437, 0.4583),
        "tiny_imagenet": (0.3477, 0.3164, 0.3923, 0.3890),
    }.items()
}
"""Accuracy drop by the server's own images and the network."""
