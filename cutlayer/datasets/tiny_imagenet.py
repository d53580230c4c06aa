"""Photographs, a part of ImageNet (Le and Yang): 100,000 + 10,000 color JPEG images, 64x64, 200 classes."""

from __future__ import annotations

from pathlib import Path

from cutlayer.data.hub import Source
from cutlayer.dataset import Dataset


def load(data_dir: Path | None = None) -> Dataset:
    """Tiny ImageNet from ``data_dir/tiny_imagenet``, or zh-plus/tiny-imagenet from the hub, tested on "valid".

    Some of its images are grey: they become RGB with three equal channels. It was published as JPEG.
    """
    return Source("tiny_imagenet", "zh-plus/tiny-imagenet", test="valid").load(data_dir)
