"""How a party computes: where, in which type, and how images lie in memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Computing:
    """Plain values, as they go to another process."""

    device: str = "cpu"
    autocast: str = ""
    """The type that forward passes are computed in; empty: float32."""
    channels_last: bool = False
    """Whether kernels and images lie in memory with their channels innermost."""

    def place(self, module: nn.Module) -> None:
        """Bring ``module`` to the device, its kernels laid out, in place."""
        module.to(self.device)
        if self.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def bring(self, tensor: Tensor) -> Tensor:
        """``tensor`` on the device, laid out as the layers lay theirs: others send channels outermost."""
        there = tensor.to(self.device)
        innermost = self.channels_last and there.ndim == 4
        return there.contiguous(memory_format=torch.channels_last) if innermost else there

    def received(self, tensor: Tensor) -> Tensor:
        """``tensor`` of another party, on the device, in the type that it was computed in where that loses nothing.

        As float32, which is what crosses, it would draw all that is added to it into float32, too, and the training
        would be another one than that of the whole network.
        """
        there = self.bring(tensor)
        if not self.autocast:
            return there
        narrow = there.to(getattr(torch, self.autocast))
        return narrow if torch.equal(narrow.detach().float(), there.detach()) else there

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Within it forward passes are computed in the type."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, getattr(torch, self.autocast)) if self.autocast else contextlib.nullcontext()


def computing(device: str, precision: str, memory_format: str) -> Computing:
    """By what an experiment or a party's own file calls them."""
    return Computing(device, "bfloat16" if precision == "bf16" else "", memory_format == "channels_last")
