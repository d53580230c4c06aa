"""Handwritten digits (LeCun et al.): 60,000 + 10,000 grey images, 28x28, 10 classes."""

from __future__ import annotations

from pathlib import Path

from cutlayer.data.hub import Source
from cutlayer.dataset import Dataset


def load(data_dir: Path | None = None) -> Dataset:
    """MNIST from ``data_dir/mnist``, or ylecun/mnist from the hub."""
    return Source("mnist", "ylecun/mnist", mode="L").load(data_dir)
