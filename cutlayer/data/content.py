"""What data are known again by: their values, whatever name and place they come under."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from cutlayer.dataset import Dataset, Split
from cutlayer.state import digest

# Hundreds of cells share one split: it is read once as long as it is there.
_DIGESTS: WeakKeyDictionary[Split, str] = WeakKeyDictionary()


def content_of(dataset: Dataset) -> str:
    """The values and labels of both splits, in a digest of each, and what is told of them, but not where they lie."""
    return str((dataset.pixels, dataset.classes, dataset.features, contained(dataset)))


def contained(dataset: Dataset) -> str:
    """A digest of each split: what changes under the same name is another dataset."""
    return f"sha256 {split_digest(dataset.train)} {split_digest(dataset.test)}"


def split_digest(split: Split) -> str:
    """A short digest of all inputs and labels, worked out once for each split."""
    if split not in _DIGESTS:
        _DIGESTS[split] = digest(split.inputs, split.labels)
    return _DIGESTS[split]
