"""Measurements of cell nuclei that come with scikit-learn: a table of 456 + 113 rows, 30 features, 2 classes."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import torch

from cutlayer.data.cache import cached
from cutlayer.dataset import EMBEDDED, Dataset, Split, stratified


def load(data_dir: Path | None = None, *, split_seed: int = 0) -> Dataset:
    """The Wisconsin breast cancer data, embedded: no file, no network, no use for ``data_dir``.

    Every feature is scaled so that its training values span [0, 1]; test values beyond are clipped. ``split_seed``
    draws the test part, a fifth of each class.
    """
    # Importing scikit-learn takes longer than everything else here.
    key = [EMBEDDED, version("scikit-learn"), str(split_seed)]
    return cached("breast_cancer", key, lambda: _made(split_seed))


def _made(split_seed: int) -> Dataset:
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    values = torch.from_numpy(found.data).double()
    labels = torch.from_numpy(found.target).long()
    train, test = stratified(labels, split_seed)
    low, high = values[train].amin(0), values[train].amax(0)
    scaled = ((values - low) / (high - low)).clamp(0, 1).float()
    return Dataset(
        "breast_cancer",
        Split(scaled[train], labels[train]),
        Split(scaled[test], labels[test]),
        tuple(str(name) for name in found.target_names),
        features=tuple(str(name) for name in found.feature_names),
        source=EMBEDDED,
    )
