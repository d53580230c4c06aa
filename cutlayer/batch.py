"""The samples of one training step."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """The samples of one step, as far as the driving party holds them."""

    rows: Tensor
    """int64 [n]: the samples' numbers in the order all parties agreed on."""
    inputs: Tensor
    """[n, ...], float32 in [0, 1]."""
    labels: Tensor | None = None
    """int64 [n]; ``None`` where the driver does not hold them."""
