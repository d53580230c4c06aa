"""Handwritten digits that come with scikit-learn: 1,438 + 359 grey images, 8x8 shown at 28x28, 10 classes."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from cutlayer.data.cache import cached
from cutlayer.dataset import EMBEDDED, Dataset, Split, stratified


def load(data_dir: Path | None = None, *, split_seed: int = 0) -> Dataset:
    """The UCI digits, embedded: no file, no network, no use for ``data_dir``.

    Their 8x8 pixels of 17 grey levels are interpolated (bilinear) to uint8 28x28, where networks for MNIST and the
    usual SSIM window fit. ``split_seed`` draws the test part, a fifth of each class.
    """
    # Importing scikit-learn takes longer than everything else here.
    key = [EMBEDDED, version("scikit-learn"), str(split_seed)]
    return cached("digits", key, lambda: _made(split_seed))


def _made(split_seed: int) -> Dataset:
    from sklearn.datasets import load_digits

    found = load_digits()
    small = torch.from_numpy(found.images).float().unsqueeze(1)
    images = interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
    images = images.mul(255 / 16).round().clamp(0, 255).byte()
    labels = torch.from_numpy(found.target).long()
    train, test = stratified(labels, split_seed)
    return Dataset(
        "digits",
        Split(images[train], labels[train]),
        Split(images[test], labels[test]),
        tuple(str(name) for name in found.target_names),
        pixels="8x8 interpolated to 28x28",
        source=EMBEDDED,
    )
