"""How a party computes: where, in which type, and how images lie in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Computing:
    """Plain values, as they go to another process."""

    device: str = "cpu"
    autocast: str = ""
    """The type that forward passes are computed in; empty: float32."""
    channels_last: bool = False
    """Whether kernels and images lie in memory with their channels innermost."""


def computing(device: str, precision: str, memory_format: str) -> Computing:
    """By what an experiment or a party's own file calls them."""
    return Computing(device, "bfloat16" if precision == "bf16" else "", memory_format == "channels_last")
