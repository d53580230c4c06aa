"""Samples of an adversary's own, drawn batch by batch without replacement, pass after pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor


@final
class Pile:
    """So many samples, each of which is drawn once before any is drawn again; a batch may reach into the next pass."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._order = torch.zeros(0, dtype=torch.int64)

    def draw(self, count: int) -> Tensor:
        """Rows of the next ``count`` samples, int64 [count]; the default generator orders each pass as it begins."""
        while len(self._order) < count:
            self._order = torch.cat([self._order, torch.randperm(self._size)])
        rows, self._order = self._order[:count], self._order[count:]
        return rows

    def checkpoint(self) -> dict[str, Tensor]:
        """What is left of the passes begun, as ``order``."""
        return {"order": self._order}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on where ``checkpoint`` was taken; among ``tensors`` may be others."""
        self._order = tensors["order"]
