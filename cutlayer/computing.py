"""How a party computes: where, in which type, and how images lie in memory."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cutlayer.memory import keep_freed

LARGE = 20_000_000
"""FLOPs of one sample's forward pass from which a network gains from several threads and from bf16."""


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
        """``tensor`` on the device, laid out as the layers lay theirs, however it comes."""
        there = tensor.to(self.device)
        innermost = self.channels_last and there.ndim == 4
        return there.contiguous(memory_format=torch.channels_last if innermost else torch.contiguous_format)

    def received(self, tensor: Tensor) -> Tensor:
        """``tensor`` of another party, on the device, in the type that it was computed in where that loses nothing.

        As float32, which is what crosses, it would draw all that is added to it into float32, too, and the training
        would be another one than that of the whole network.
        """
        if not self.autocast:
            return self.bring(tensor)
        there = tensor.to(self.device)
        # Half as many bytes are laid out anew.
        narrow = there.to(getattr(torch, self.autocast))
        return self.bring(narrow if torch.equal(narrow.float(), there) else there)

    def precision(self, training: bool = False) -> contextlib.AbstractContextManager[object]:
        """Within it forward passes are computed in the type.

        With ``training`` weights may change in between: they are cast anew for each pass, where one cast serves all.
        """
        if not self.autocast:
            return contextlib.nullcontext()
        kind = torch.device(self.device).type
        return torch.autocast(kind, getattr(torch, self.autocast), cache_enabled=not training)


@dataclass(frozen=True)
class Settings:
    """What torch computes by in all of a process, and any code in it can set."""

    threads: int
    dtype: torch.dtype
    device: torch.device
    gradients: bool
    matmul: str
    deterministic: bool
    warns: bool

    @classmethod
    def found(cls) -> Settings:
        """Those of this process now."""
        return cls(
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )

    def put_back(self) -> None:
        """Let this process compute by them, where it does not."""
        if self == Settings.found():
            return
        torch.set_num_threads(self.threads)
        torch.set_default_dtype(self.dtype)
        # Without a default device nothing has to look for one at every call.
        torch.set_default_device(None if self.device.type == "cpu" else self.device)
        torch.set_grad_enabled(self.gradients)
        torch.set_float32_matmul_precision(self.matmul)
        torch.use_deterministic_algorithms(self.deterministic, warn_only=self.warns)


def prepare(threads: int) -> None:
    """Let this process compute with so many ``threads``, and keep the memory of large tensors at hand."""
    torch.set_num_threads(threads)
    keep_freed()


def exactly(device: torch.device | str) -> contextlib.AbstractContextManager[object]:
    """Within it what is computed on ``device`` is float32 again, whatever the type around it."""
    return torch.autocast(torch.device(device).type, enabled=False)


def computing(device: str, precision: str, memory_format: str) -> Computing:
    """By what an experiment or a party's own file calls them."""
    return Computing(device, "bfloat16" if precision == "bf16" else "", memory_format == "channels_last")


def suited(flops: int, device: str, precision: str = "") -> tuple[int, str, str]:
    """Threads, precision and memory format in which a network of ``flops`` a sample trains fastest on ``device``.

    A ``precision`` that is asked for stays.
    """
    large = flops >= LARGE
    # Where the processor has no instructions for bf16 the type only costs accuracy.
    here = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    quick = torch.cuda.is_bf16_supported() if device == "cuda" else here
    precision = precision or ("bf16" if large and quick else "fp32")
    return (os.cpu_count() or 1) if large else 1, precision, "channels_last" if precision == "bf16" else "contiguous"
