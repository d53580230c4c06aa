"""How far an adversarial input may be from the natural one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class BudgetError(ValueError):
    """A budget that makes no sense."""


@dataclass(frozen=True)
class Budget:
    """The largest change of any one value, for inputs in [0, 1]."""

    reach: tuple[float, ...]
    """From 0 to 1: one for each channel, or one for all values."""
    name: str = ""
    """Tells apart several budgets of one experiment; empty for its first one."""

    def over(self, inputs: Tensor) -> Tensor:
        """The reach of every value of ``inputs`` [n, ...], in a shape that they broadcast with."""
        reach = torch.tensor(self.reach, dtype=inputs.dtype, device=inputs.device)
        return reach.view(1, -1, *(1,) * (inputs.ndim - 2))

    def clip(self, changed: Tensor, natural: Tensor) -> Tensor:
        """``changed`` [n, ...] brought as near to ``natural`` as the budget asks, and into [0, 1]."""
        reach = self.over(natural)
        return torch.maximum(torch.minimum(changed, natural + reach), natural - reach).clamp(0, 1)

    def noise(self, natural: Tensor, draw: torch.Generator, signs: bool) -> Tensor:
        """``natural`` with random noise: plus or minus the reach at every value, or uniform within it; in [0, 1]."""
        uniform = torch.rand(natural.shape, generator=draw, dtype=natural.dtype).mul_(2).sub_(1)
        return (natural + self.over(natural) * (uniform.sign() if signs else uniform)).clamp(0, 1)


def budgets(
    reach: float, unit: str, beside: Sequence[float], channels: int, deviations: Sequence[float] | None
) -> tuple[Budget, ...]:
    """The budgets of an experiment: its own one first, then those ``beside`` it, in 255ths of the pixel range.

    ``normalized``: ``reach`` is that of values which the network has divided by ``deviations``, one for each channel.
    """
    scale: tuple[float, ...] = (1.0,)
    if unit == "normalized":
        if deviations is None:
            raise BudgetError("budget_unit = 'normalized': the network does not normalize its inputs; pixel")
        scale = tuple(deviations) if len(deviations) == channels else (max(deviations),)
    own = tuple(reach * deviation for deviation in scale)
    if max(own) > 1:
        raise BudgetError(f"budget = {reach}: a change of {max(own):.3g} is above the range of inputs, which is 1")
    for number in beside:
        if not 0 <= number <= 255:
            raise BudgetError(f"pixel_budgets = {number:g}: a number of 255ths goes from 0 to 255")
    names = [f"{number:g}/255" for number in beside]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise BudgetError(f"pixel_budgets = {list(beside)}: {twice} is there twice")
    return (Budget(own), *(Budget((number / 255,), name) for number, name in zip(beside, names, strict=True)))
