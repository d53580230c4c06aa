"""What a message may carry, checked before anything in it is used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cutlayer.message import Message


class WireError(ValueError):
    """A message that breaks the protocol; the party that got it is unchanged."""


class NotFiniteError(WireError):
    """One that breaks it by values that no finite training sends."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a tensor on the wire must look like."""

    shape: tuple[int, ...]
    """Without the batch, where there is one."""
    dtype: torch.dtype = torch.float32
    batched: bool = True
    """Whether there is a dimension for the samples in front; all such tensors of an exchange have as many."""
    below: int | None = None
    """Integers lie in [0, below)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The names of the tensors in a request and in its reply; each name is a role that the agreement describes."""

    request: tuple[str, ...]
    reply: tuple[str, ...]


Agreement = Mapping[str, Spec]
"""What the parties agreed on for each role, from the model, the cut and the shape of the inputs."""


def check(message: Message, names: tuple[str, ...], agreement: Agreement, samples: int | None = None) -> int | None:
    """Refuse ``message`` unless it carries exactly ``names``, as agreed; the number of samples in it."""
    for name in message:
        if name not in names:
            raise WireError(f"{_told(message)}: unknown tensor {name!r}; it may carry {', '.join(names) or 'nothing'}")
    for name in names:
        if name not in message:
            raise WireError(f"{_told(message)}: tensor {name!r} is missing")
        tensor, spec = message[name], agreement[name]
        if fault := _fault(tensor, spec, samples):
            raise WireError(f"{_told(message)}: tensor {name!r} {fault}")
        if not _is_finite(tensor):
            raise NotFiniteError(f"{_told(message)}: tensor {name!r} holds NaN or infinite values")
        if spec.batched:
            samples = tensor.shape[0]
    return samples


def _told(message: Message) -> str:
    return f"{message.kind} message of step {message.step} from {message.sender!r}"


def _fault(tensor: Tensor, spec: Spec, samples: int | None) -> str:
    shape = tensor.shape
    own = shape[1:] if spec.batched else shape
    if own != spec.shape or len(shape) != len(spec.shape) + spec.batched:
        wanted = f"[{'samples, ' if spec.batched else ''}{', '.join(map(str, spec.shape))}]"
        return f"has shape {list(shape)}, agreed is {wanted}"
    if tensor.dtype != spec.dtype:
        return f"has dtype {tensor.dtype}, agreed is {spec.dtype}"
    if spec.batched and shape[0] == 0:
        return "holds no samples"
    if spec.batched and samples is not None and shape[0] != samples:
        return f"holds {shape[0]} samples, the exchange has {samples}"
    if spec.below is not None and not tensor.is_floating_point():
        low, high = (int(value) for value in tensor.aminmax())
        if low < 0 or high >= spec.below:
            return f"holds values from {low} to {high}, agreed is 0 to {spec.below - 1}"
    return ""


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # A finite sum proves every value finite at a fraction of the cost of looking at each.
    total = tensor.sum() if tensor.ndim else tensor
    return math.isfinite(total.item()) or bool(torch.isfinite(tensor).all())


def same_step(message: Message, expected: int) -> None:
    """Refuse ``message`` unless it is of step ``expected``."""
    if message.step != expected:
        raise WireError(
            f"{message.kind} message from {message.sender!r}: wrong step {message.step}, "
            f"this party is at step {expected}"
        )
