"""Clothing articles (Zalando): 60,000 + 10,000 grey images, 28x28, 10 classes."""

from __future__ import annotations

from pathlib import Path

from cutlayer.data.hub import Source
from cutlayer.dataset import Dataset


def load(data_dir: Path | None = None) -> Dataset:
    """Fashion-MNIST from ``data_dir/fashion_mnist``, or zalando-datasets/fashion_mnist from the hub."""
    return Source("fashion_mnist", "zalando-datasets/fashion_mnist", mode="L").load(data_dir)
