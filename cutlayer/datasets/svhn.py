"""House numbers, cropped to one digit (Netzer et al.): 73,257 + 26,032 color images, 32x32, 10 classes."""

from __future__ import annotations

from pathlib import Path

from cutlayer.data.hub import Source
from cutlayer.dataset import Dataset

# Named one by one: the configuration cropped_digits has 531,131 extra images that would be downloaded too.
_FILES = {"train": "cropped_digits/train-*.parquet", "test": "cropped_digits/test-*.parquet"}


def load(data_dir: Path | None = None) -> Dataset:
    """SVHN's cropped digits from ``data_dir/svhn``, or ufldl-stanford/svhn from the hub."""
    return Source("svhn", "ufldl-stanford/svhn", data_files=_FILES).load(data_dir)
