"""A network of an attack's own, fitted to its data in epochs: a decoder to answers, a shadow to labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from cutlayer.order import batch_sizes
from cutlayer.threat import View

_NOTED = 200  # epochs of a longer curve
Loss = Callable[[Tensor, Tensor], Tensor]
"""From a batch's outputs and what they should be to the mean loss of its samples."""


@final
@dataclass(frozen=True)
class Fitting:
    """Adam (AMSGrad) over shuffled batches, its rate halved every so many epochs."""

    epochs: int
    batch_size: int
    learning_rate: float
    epsilon: float
    halve_every: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "halve_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be at least 1")
        for name in ("learning_rate", "epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be greater than 0")

    def steps(self, rows: int) -> int:
        """How many optimization steps ``rows`` samples take."""
        return self.epochs * len(batch_sizes(rows, self.batch_size))

    def over(self, rows: int, least: int) -> Fitting:
        """As long for ``rows`` samples that they take ``least`` steps: epochs and halving stretched alike."""
        steps = self.steps(rows)
        longer = max(1, math.ceil(least / steps)) if steps else 1
        return replace(self, epochs=longer * self.epochs, halve_every=longer * self.halve_every)

    def fit(self, network: nn.Module, inputs: Tensor, wanted: Tensor, loss: Loss, view: View, what: str) -> None:
        """Train ``network``, where it is, on ``inputs`` [n, ...] and ``wanted`` [n, ...].

        ``view`` gets the progress of training ``what``, and as ``<what>_loss`` the mean loss of each epoch, or of some
        of very many. Where the loss or a weight is no longer finite, the weights go back to the last epoch after which
        they were, and stay.
        """
        weights = list(network.parameters())
        optimizer = torch.optim.Adam(weights, self.learning_rate, eps=self.epsilon, amsgrad=True, fused=True)
        device, sizes = weights[0].device, batch_sizes(len(inputs), self.batch_size)
        finite, curve = copy.deepcopy(network.state_dict()), []
        total = torch.zeros((), device=device)
        network.train()
        for step in view.track(range(self.steps(len(inputs))), f"training the {what}"):
            epoch, number = divmod(step, len(sizes))
            if number == 0:
                order = torch.split(torch.randperm(len(inputs)), sizes)
                optimizer.param_groups[0]["lr"] = self.learning_rate * 0.5 ** (epoch // self.halve_every)
                total.zero_()
            rows = order[number]
            value = loss(network(inputs[rows].to(device)), wanted[rows].to(device))
            optimizer.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += value.detach() * len(rows)
            if number < len(sizes) - 1:
                continue
            if not all(bool(tensor.isfinite().all()) for tensor in (total, *network.state_dict().values())):
                network.load_state_dict(finite)
                view.note("diverged", f"the {what} in epoch {epoch + 1}; it is what was finite last")
                break
            curve.append(total.item() / len(inputs))
            finite = copy.deepcopy(network.state_dict())
        network.eval()
        view.note(f"{what}_loss", curve[:: math.ceil(len(curve) / _NOTED) or 1])
