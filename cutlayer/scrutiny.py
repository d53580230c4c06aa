"""What a client can measure of the gradients that it is sent back: their size, and whether they still follow labels.

Honest gradients of samples of one label point much the same way, those of different labels do not. A server that
returns something else (an adversarial loss, a pull towards a shadow) loses that: the observation that the gradients
scrutinizer of Fu et al. (NDSS 2023) rests on. Here it is measured, and no alarm is raised: what is usual depends on the
network, so that a client compares with a training of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import normalize

from cutlayer.channel import Handler
from cutlayer.message import Message
from cutlayer.tap import Tap

_EVERY = 4
"""Steps from one measured to the next: a mean over an epoch needs no more."""


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
        kept = {
            name: torch.stack(of).cpu() if of else none for name, of in (("norms", self.norms), ("gaps", self.gaps))
        }
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
                if self._seen % _EVERY == 0:
                    self.norms.append(reply["grad"].norm())
                    self.gaps.append(label_gap(reply["grad"], labels))
                self._seen += 1
            return reply

        return watch

    def means(self) -> dict[str, float]:
        """``gradient_norm`` and ``label_gap``, as far as they are finite anywhere."""
        named = {"gradient_norm": self.norms, "label_gap": self.gaps}
        found = {name: torch.stack(values).cpu().double().nanmean().item() for name, values in named.items() if values}
        return {name: mean for name, mean in found.items() if math.isfinite(mean)}


def label_gap(grad: Tensor, labels: Tensor) -> Tensor:
    """Mean cosine of two samples' gradients with one label, less that of two with different ones: from -2 to 2.

    ``grad`` is [n, ...] and ``labels`` [n]; a number, NaN where one kind of pair is missing. Samples without any
    gradient have no direction, and count with a cosine of 0.
    """
    own = normalize(grad.detach().flatten(1).float())
    kinds: Tensor = torch.unique(labels.to(grad.device), return_inverse=True)[1]
    sums = own.new_zeros(int(kinds.max()) + 1, own.shape[1]).index_add_(0, kinds, own)
    # Of a sum of directions the squared length counts every pair twice, and each direction with itself once.
    itself, sizes = own.square().sum(), kinds.bincount().double()
    alike, all_pairs = sums.square().sum() - itself, sums.sum(0).square().sum() - itself
    of_alike, of_all = (sizes * (sizes - 1)).sum(), len(own) * (len(own) - 1)
    gap: Tensor = alike / of_alike - (all_pairs - alike) / (of_all - of_alike)
    return gap
