"""The adversary's own data: which rows of which dataset an experiment gives it, in the form of the client's inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cutlayer.data.content import split_digest
from cutlayer.dataset import Dataset, DatasetError, Split
from cutlayer.state import digest
from cutlayer.stream import generator

SHARE = "share"
OWN_SPLITS = ("test", "train", SHARE)
"""Where data of the victim's own dataset comes from; any other name is that of a dataset."""


@dataclass(frozen=True, eq=False)
class Auxiliary:
    """Rows of a split, turned into numbers when they are asked for."""

    split: Split
    rows: Tensor
    shape: tuple[int, ...]
    """The shape of the client's inputs."""
    labeled: bool
    """Whether the labels mean what the victim's labels mean."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def content(self) -> str:
        """What they are known again by: the split's values, and which rows of it in which form."""
        return str((split_digest(self.split), digest(self.rows), self.shape, self.labeled))

    def inputs(self) -> Tensor:
        """float32 [n, *shape] in [0, 1]; images of another size are resized.

        Gray ones are copied into every channel, color ones are averaged over theirs, where that was asked for.
        """
        inputs = self.split.take(self.rows)
        if inputs.ndim == 4 and inputs.shape[1] != self.shape[0]:
            inputs = inputs.mean(1, keepdim=True).expand(-1, self.shape[0], -1, -1)
        if tuple(inputs.shape[1:]) == self.shape:
            return inputs
        size = self.shape[1:]
        resized = torch.nn.functional.interpolate(inputs, size=size, mode="bilinear", antialias=True)
        return resized.clamp_(0, 1)

    def labels(self) -> Tensor:
        """int64 [n]."""
        return self.split.labels[self.rows]


def auxiliary(
    victim: Dataset,
    source: str,
    taken: Tensor,
    count: int | None,
    seed: int,
    other: Dataset | None = None,
    adapt: bool = False,
) -> Auxiliary:
    """The adversary's rows.

    ``test``: the victim's test split without the targets; ``train``: its training split; ``share``: the part of that
    which no client holds; otherwise the training split of the ``other`` dataset. ``taken`` are the rows
    that are not given: targets in the test split, clients' rows in a training split.

    ``count`` rows of them, drawn from the ``seed``: an interval over seeds then holds which images the adversary
    happened to have. ``adapt``: images may have another number of channels. Data that are not of the victim's form, or
    too few, are a ``DatasetError``.
    """
    split = victim.test if source == "test" else (other or victim).train
    kept = torch.ones(len(split), dtype=torch.bool)
    if source in {"test", SHARE}:
        kept[taken] = False
    rows = kept.nonzero().flatten()
    if other is not None:
        _check_form(victim, other, adapt)
    if not len(rows):
        held = "a client's" if source == SHARE else "a target"
        raise DatasetError(
            f"aux = {source!r}: every row is {held}, none is left for the adversary; fewer targets, or another aux"
        )
    if count is not None and count > len(rows):
        raise DatasetError(f"aux_rows = {count}: aux = {source!r} has only {len(rows)} rows")
    if count is not None:
        drawn = torch.randperm(len(rows), generator=generator(seed, "aux_rows"))[:count]
        rows = rows[drawn.sort().values]
    labeled = other is None or other.classes == victim.classes
    return Auxiliary(split, rows, victim.input_shape, labeled)


def _check_form(victim: Dataset, other: Dataset, adapt: bool) -> None:
    own, given = victim.input_shape, other.input_shape
    images = victim.is_images and other.is_images
    if victim.is_images != other.is_images or (given[0] != own[0] and not (images and adapt)):
        raise DatasetError(
            f"aux = {other.name!r}: its inputs are {list(given)}, those of {victim.name} are {list(own)}; "
            "images may differ in size, in channels only with aux_adapt=true, and tables not at all"
        )
