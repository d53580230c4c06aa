"""What a client can measure of the gradients that it is sent back: their size, and whether they still follow labels.

Honest gradients of samples of one label point much the same way, those of different labels do not. A server that
returns something else (an adversarial loss, a pull towards a shadow) may lose that, and need not: the observation that
the gradients scrutinizer of Fu et al. (NDSS 2023) rests on. Here it is measured, and no alarm is raised: what is usual
depends on the network, so that a client compares with a training of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from cutlayer.channel import Handler
from cutlayer.message import Message
from cutlayer.tap import Tap


def _due(step: int) -> bool:
    """Whether a step is measured: a quarter of them, which a mean needs no more than.

    Spread by multiples of the golden ratio, so that no order of turns has the same clients measured each time.
    """
    return step * 2654435769 % 2**32 < 2**30


@dataclass
class Scrutiny:
    """Of the replies of the training steps of an epoch, or a turn; changes none of them."""

    norms: list[Tensor] = field(default_factory=list)
    gaps: list[Tensor] = field(default_factory=list)
    _seen: int = 0

    def clear(self) -> None:
        """Begin the next epoch, or turn."""
        self.norms, self.gaps, self._seen = [], [], 0

    def checkpoint(self) -> dict[str, Tensor]:
        """All that was measured since the latest ``clear``, as tensors."""
        none = torch.empty(0)
        kept = {name: _together(of) if of else none for name, of in (("norms", self.norms), ("gaps", self.gaps))}
        return {**kept, "seen": torch.tensor(self._seen)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Stand where ``checkpoint`` was taken."""
        self.norms, self.gaps = list(tensors["norms"]), list(tensors["gaps"])
        self._seen = int(tensors["seen"])

    def of(self, labels: Tensor) -> Tap:
        """The tap around the caller's end of a channel for a step on samples with these ``labels`` [n]."""

        def watch(request: Message, peer: Handler) -> Message:
            reply = peer(request)
            if "grad" in reply:
                if _due(self._seen):
                    # However it lies in memory: a sum in another order is another one in its last bits.
                    grad = reply["grad"].contiguous()
                    self.norms.append(grad.norm())
                    self.gaps.append(label_gap(grad, labels))
                self._seen += 1
            return reply

        return watch

    def means(self) -> dict[str, float]:
        """``gradient_norm`` and ``label_gap``, as far as they are finite anywhere."""
        named = {"gradient_norm": self.norms, "label_gap": self.gaps}
        finite = {
            name: [value for value in _together(values).tolist() if math.isfinite(value)]
            for name, values in named.items()
            if values
        }
        return {name: math.fsum(values) / len(values) for name, values in finite.items() if values}


def _together(values: Sequence[Tensor]) -> Tensor:
    """On the CPU: what was measured before an interruption comes from a file, what was measured since from a GPU."""
    return torch.stack([value.cpu() for value in values])


def label_gap(grad: Tensor, labels: Tensor) -> Tensor:
    """Mean cosine of two samples' gradients with one label, less that of two with different ones: from -2 to 2.

    ``grad`` is [n, ...] and ``labels`` [n]; a number, NaN where one kind of pair is missing. Samples without any
    gradient have no direction, and count with a cosine of 0.
    """
    own = normalize(grad.detach().flatten(1).float())
    kinds = one_hot(torch.unique(labels, return_inverse=True)[1])
    sizes = kinds.sum(0)
    of_alike, of_all = int((sizes * (sizes - 1)).sum()), len(own) * (len(own) - 1)
    if of_alike in (0, of_all):
        return own.new_tensor(math.nan)
    sums = kinds.T.to(own) @ own
    # Of a sum of directions the squared length counts every pair twice, and each direction with itself once.
    itself = own.square().sum()
    alike, all_pairs = sums.square().sum() - itself, sums.sum(0).square().sum() - itself
    return alike / of_alike - (all_pairs - alike) / (of_all - of_alike)
