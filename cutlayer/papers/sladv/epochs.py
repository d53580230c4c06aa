"""The end of a training, as a mean: under attack its accuracy swings, so that the last epoch alone is chance."""

from __future__ import annotations

from collections.abc import Sequence

from cutlayer.record import Epoch

_THIRD = 3


def last_third(epochs: Sequence[Epoch]) -> list[float]:
    """Test accuracies after the last third of the epochs, at least one."""
    last = epochs[-max(1, len(epochs) // _THIRD) :]
    return [epoch.accuracy for epoch in last if epoch.accuracy is not None]
