"""Photographs in fine classes (Krizhevsky): 50,000 + 10,000 color images, 32x32, 100 classes."""

from __future__ import annotations

from pathlib import Path

from cutlayer.data.hub import Source
from cutlayer.dataset import Dataset


def load(data_dir: Path | None = None) -> Dataset:
    """CIFAR-100 with its fine labels from ``data_dir/cifar100``, or uoft-cs/cifar100 from the hub."""
    return Source("cifar100", "uoft-cs/cifar100", labels=("fine_label", "label")).load(data_dir)
