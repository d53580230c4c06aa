"""Photographs of objects and animals (Krizhevsky): 50,000 + 10,000 color images, 32x32, 10 classes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cutlayer.data.hub import Source
from cutlayer.dataset import Dataset, DatasetError

_FOLDERS = {"jpeg": "cifar10", "lossless": "cifar10_lossless"}


def load(data_dir: Path | None = None, *, pixels: Literal["jpeg", "lossless"] | None = None) -> Dataset:
    """CIFAR-10 from ``data_dir``, or uoft-cs/cifar10 from the hub, whose pixels are the original ones.

    In ``data_dir``, ``pixels`` picks the folder: ``cifar10`` for "jpeg" (the default; all images), or
    ``cifar10_lossless`` for "lossless" (the part of them that is there without loss). What the files really are is in
    the dataset's ``pixels``.
    """
    if data_dir is None and pixels == "jpeg":
        raise DatasetError("cifar10 comes from the hub with its original pixels: pixels=jpeg needs data_dir=FOLDER")
    return Source("cifar10", "uoft-cs/cifar10", folder=_FOLDERS[pixels or "jpeg"]).load(data_dir)
