"""The inputs that a known network most likely turned into what was seen: regularized maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import final

import torch
from torch import Tensor, nn

from cutlayer.methods.ensemble import ensemble
from cutlayer.methods.inversion import Estimate, Penalty, Variation, pace
from cutlayer.threat import View

CURVE = 100
"""At most so many points are kept of the matching error over the iterations."""
GRAY = 0.5
"""The value of every number of the inputs before the first step, in the middle of their range."""


@final
@dataclass(frozen=True)
class Descent:
    """How inputs are searched for: Adam (AMSGrad) on matching error + tv_weight * total variation."""

    iterations: int
    learning_rate: float
    epsilon: float
    tv_weight: float
    tv: Variation = "squared"
    scale: float = 1.0
    """Learning rate, epsilon and total variation are those of inputs divided by this."""

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations = {self.iterations}: it takes at least 1")
        for name in ("learning_rate", "epsilon", "scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be greater than 0")
        if not self.tv_weight >= 0:
            raise ValueError(f"tv_weight = {self.tv_weight}: it cannot be less than 0")

    def start(self, inputs: Tensor) -> Estimate:
        """Gray ``inputs`` [1, ..., batch] and their optimizer.

        Adam divides by the size of the gradients, so its steps in inputs / scale are steps in the inputs themselves
        with its rate times scale and its epsilon divided by it; differences are 1 / scale times as large there.
        """
        rough = self.scale if self.tv == "paper" else self.scale**2
        penalty = Penalty(inputs, self.tv_weight / rough, 0.0, self.tv)
        rate, epsilon = self.learning_rate * self.scale, self.epsilon / self.scale
        estimate = Estimate(inputs, penalty, rate, amsgrad=True, epsilon=epsilon)
        estimate.restart(GRAY)
        return estimate

    def search(self, network: nn.Module, smashed: Tensor, shape: tuple[int, ...], view: View) -> Tensor:
        """Inputs [n, *shape] in [0, 1] whose outputs of ``network``, in evaluation mode, are near ``smashed`` [n, ...].

        All are searched for side by side, each as if alone, and clipped to the range at the end. ``view`` gets the
        progress, the mean matching error as ``matching_loss``, and how many diverged: those stay where they were finite
        last.
        """
        with torch.no_grad():
            fit = ensemble([network.to(smashed.device)], shape, len(smashed))
            fit.aim(smashed[None])
            inputs = smashed.new_zeros(1, *shape, len(smashed))
            estimate = self.start(inputs)
            finite, curve = inputs.clone(), []
            stopped = torch.zeros(len(smashed), dtype=torch.bool, device=smashed.device)
            every = ceil(self.iterations / CURVE)
            with pace(fit):
                for step in view.track(range(1, self.iterations + 1), "matching the activations"):
                    estimate.step(estimate.gradient(fit))
                    if step % every == 0 or step == self.iterations:
                        errors = fit.errors(inputs)[0]
                        stopped |= ~(errors + inputs.flatten(0, -2).sum(0)).isfinite()
                        inputs[..., stopped] = finite[..., stopped]
                        finite.copy_(inputs)
                        curve.append(errors[~stopped].mean().nan_to_num().item())
        view.note("matching_loss", curve)
        if stopped.any():
            count = f"{int(stopped.sum())} of {len(smashed)} optimizations"
            view.note("diverged", f"{count}; the guess is what was finite last")
        return inputs[0].movedim(-1, 0).clamp(0, 1)
