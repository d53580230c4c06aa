"""How far an adversarial input may be from the natural one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
