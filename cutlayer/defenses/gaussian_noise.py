"""Gaussian noise on what a client sends at the cut."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from cutlayer.defense import Defense
from cutlayer.message import Message


@dataclass
class GaussianNoise(Defense):
    """Adds independent N(0, sigma^2) to every value of the named tensors, in training and in predictions.

    The noise is a function of the client's own seed and of the tensor's values: the same data carry the same noise,
    whenever they are sent again, and no other data ever carry it. A step repeated after a kill repeats its message;
    where a GPU makes other last bits of it, these are other data. Data that differ, however little, are noised anew:
    over many epochs, or many repetitions under changed weights, a mean thins the noise out.

    It reaches the tensors that cross at a cut, and nothing else: labels and row numbers leave as they are, and so does
    what an experiment grants beyond the wire. ``label_inference`` with ``observes=weights`` reads the gradients of the
    client's own weights, before any noise.
    """

    plain: ClassVar[str] = "The client adds Gaussian noise to what it sends at its cuts."

    sigma: float = 0.1
    """Standard deviation, in the units of the tensor; at least 0, which changes nothing."""
    tensors: tuple[Literal["smashed", "grad", "features_grad"], ...] = ("smashed", "grad", "features_grad")
    """Which of the tensors it sends: ``smashed`` where it holds the first layers, ``grad`` where it holds only the
    last, ``features_grad`` for the gradient at its output part in ``u_shaped``. Gradients of a batch are much smaller
    than activations: one sigma for both costs more accuracy than one for activations alone."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"sigma = {self.sigma}: it must be a finite number, 0 or greater")

    def idle(self, sent: Collection[str]) -> str:
        """Those of ``tensors`` that were asked for and are never sent."""
        never = [name for name in self.tensors if name not in sent]
        return f"tensors = {'+'.join(never)}" if never and self.tensors != GaussianNoise.tensors else ""

    def guard(self, message: Message) -> Message:
        """The message with noise on those of ``tensors`` that it carries."""
        noisy = {}
        for name in self.tensors:
            if self.sigma > 0 and name in message:
                clean = message[name].detach()
                noise = torch.from_numpy(self.draws(clean).standard_normal(clean.shape, np.float32)).to(clean)
                noisy[name] = clean + self.sigma * noise
        return message.replace(**noisy)
