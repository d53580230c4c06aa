"""A dataset is two splits of images or table rows with labels, whole in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cutlayer.stream import generator

EMBEDDED = "embedded"
"""The source of data that come with a library: no file, no network."""
_TEST_SHARE = 0.2  # of a dataset that comes in one part


class DatasetError(ValueError):
    """Data that cannot be had or cannot be used; the message is one line that names what and says what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows and their labels.

    ``inputs`` are images, uint8 ``[n, channels, height, width]`` in 0..255, or table rows, float32 ``[n, features]``
    in [0, 1]; ``labels`` are class indices, int64 ``[n]``. Anything else is a ``DatasetError``.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        kind = (self.inputs.dtype, self.inputs.ndim)
        if kind not in {(torch.uint8, 4), (torch.float32, 2)}:
            raise DatasetError(
                f"inputs are {self.inputs.dtype} {list(self.inputs.shape)}: images are uint8"
                " [n, channels, height, width], tables float32 [n, features]"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.inputs.shape[:1]:
            raise DatasetError(
                f"labels are {self.labels.dtype} {list(self.labels.shape)}: {len(self.inputs)} inputs need int64"
                f" [{len(self.inputs)}]"
            )
        if not self.inputs.numel():
            raise DatasetError("a split has no rows, or nothing in them")
        if self.inputs.is_floating_point():
            self._check_values()

    def _check_values(self) -> None:
        # What is judged is judged in [0, 1]: beyond, the best guess would count as a bad one.
        low, high = (float(value) for value in self.inputs.aminmax())
        if not (math.isfinite(low) and math.isfinite(high)):
            wrong = int(self.inputs.isfinite().logical_not().any(1).sum())
            raise DatasetError(f"{wrong} of {len(self)} rows have values that are not finite: fill or leave them out")
        if low < 0 or high > 1:
            raise DatasetError(
                f"inputs go from {low:g} to {high:g}, a table's values from 0 to 1: scale each feature by its lowest"
                " and highest training value, and clip what test rows have beyond"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Tensor:
        """The inputs of ``rows`` (int64 ``[k]``) as float32 in [0, 1], ``[k, ...]``: a copy."""
        taken = self.inputs[rows]
        return taken.float().div_(255) if taken.dtype == torch.uint8 else taken

    def limited(self, count: int | None) -> Split:
        """``count`` rows spread evenly over the split (a split sorted by class keeps all of them), or all it has."""
        if count is None or count >= len(self):
            return self
        if count < 1:
            raise DatasetError(f"a split cannot be limited to {count} rows: at least 1")
        rows = torch.arange(count) * len(self) // count
        return Split(self.inputs[rows], self.labels[rows])

    @property
    def is_sorted(self) -> bool:
        """Whether rows lie sorted by class, or nearly: by chance more than twice as many neighbors differ in it."""
        parted = int((self.labels[1:] != self.labels[:-1]).sum())
        by_chance = len(self) - float(self.labels.bincount().double().square().sum()) / len(self)
        return parted < by_chance / 2

    def mixed(self) -> Split:
        """The same rows in an order drawn once for all splits of this size."""
        rows = torch.randperm(len(self), generator=generator(0, "mixed"))
        return Split(self.inputs[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split of the same classes."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    pixels: str = ""
    """How faithful the pixels are to the original ("lossless", "jpeg", ...); it goes into every record."""
    features: tuple[str, ...] = ()
    """The columns of a table, empty for images."""
    source: str = ""
    """Where the data came from: "embedded", a hub id with its revision, a folder."""
    ranges: tuple[tuple[float, float], ...] = ()
    """For each feature of a table, the values that 0 and 1 stand for; empty: not told."""
    drawn_by_label: bool = False
    """Whether rows are in an order that their labels decide: where the test part was drawn from all of them."""

    def __post_init__(self) -> None:
        train, test = list(self.train.inputs.shape[1:]), list(self.test.inputs.shape[1:])
        if train != test or self.train.inputs.dtype != self.test.inputs.dtype:
            raise DatasetError(f"{self.name}: a training input is {train} and a test input {test}; they must be alike")
        if len(self.features) != (0 if self.is_images else train[0]):
            raise DatasetError(f"{self.name}: {len(self.features)} feature names for inputs of {train}")
        named: dict[str, tuple[object, ...]] = {"class": self.classes, "feature": self.features}
        for what, names in named.items():
            if wrong := [name for name in names if not isinstance(name, str)]:
                raise DatasetError(
                    f"{self.name}: {wrong[0]!r} is the name of a {what}, and of type {type(wrong[0]).__name__}: names"
                    " are texts, str(...) makes them"
                )
        for split, rows in (("train", self.train), ("test", self.test)):
            low, high = int(rows.labels.min()), int(rows.labels.max())
            if low < 0 or high >= len(self.classes):
                raise DatasetError(
                    f"{self.name}: the labels of {split} go from {low} to {high}, and there are"
                    f" {len(self.classes)} classes"
                )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input: ``(channels, height, width)`` or ``(features,)``."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def is_images(self) -> bool:
        return self.train.inputs.ndim == 4

    def of_classes(self, count: int | None) -> Dataset:
        """The rows of the first ``count`` classes; more than there are is a ``DatasetError``."""
        if count is None:
            return self
        if count > len(self.classes):
            raise DatasetError(f"classes = {count}: {self.name} has {len(self.classes)}")
        parts = (Split(s.inputs[s.labels < count], s.labels[s.labels < count]) for s in (self.train, self.test))
        return replace(self, train=next(parts), test=next(parts), classes=self.classes[:count])

    def limited(self, train: int | None = None, test: int | None = None) -> Dataset:
        """The dataset with at most ``train`` and ``test`` rows, spread evenly over each split."""
        return replace(self, train=self.train.limited(train), test=self.test.limited(test))


def stratified(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Training and test rows of ``labels`` (int64 ``[n]``), the same share of each class in both, in mixed order.

    Every class needs two rows; a class with fewer raises DatasetError.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for label in sorted(set(labels.tolist())):
        rows = (labels == label).nonzero().flatten()
        if len(rows) < 2:
            raise DatasetError(f"class {label} has one row: a training and a test split need two")
        rows = rows[torch.randperm(len(rows), generator=generator)]
        count = max(1, round(_TEST_SHARE * len(rows)))
        parts[0].append(rows[count:])
        parts[1].append(rows[:count])
    train, test = (torch.cat(part) for part in parts)
    return train[torch.randperm(len(train), generator=generator)], test[torch.randperm(len(test), generator=generator)]
