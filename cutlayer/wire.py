"""What a message may carry, checked before anything in it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cutlayer.message import Message


class WireError(ValueError):
    """A message that breaks the protocol; the party that got it is unchanged."""


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
    where = f"{message.kind} message of step {message.step} from {message.sender!r}"
    for name in message:
        if name not in names:
            raise WireError(f"{where}: unknown tensor {name!r}; it may carry {', '.join(names) or 'nothing'}")
    for name in names:
        if name not in message:
            raise WireError(f"{where}: tensor {name!r} is missing")
        samples = _check_tensor(f"{where}: tensor {name!r}", message[name], agreement[name], samples)
    return samples


def _check_tensor(where: str, tensor: Tensor, spec: Spec, samples: int | None) -> int | None:
    shape = tuple(tensor.shape)
    wanted = f"[{'samples, ' if spec.batched else ''}{', '.join(map(str, spec.shape))}]"
    own = shape[1:] if spec.batched else shape
    if own != spec.shape or len(shape) != len(spec.shape) + spec.batched:
        raise WireError(f"{where} has shape {list(shape)}, agreed is {wanted}")
    if tensor.dtype != spec.dtype:
        raise WireError(f"{where} has dtype {tensor.dtype}, agreed is {spec.dtype}")
    if spec.batched:
        if shape[0] == 0:
            raise WireError(f"{where} holds no samples")
        if samples is not None and shape[0] != samples:
            raise WireError(f"{where} holds {shape[0]} samples, the exchange has {samples}")
        samples = shape[0]
    if tensor.dtype.is_floating_point:
        # A finite sum proves every value finite at a fraction of the cost of looking at each.
        if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
            raise WireError(f"{where} holds NaN or infinite values")
    elif spec.below is not None and (int(tensor.min()) < 0 or int(tensor.max()) >= spec.below):
        raise WireError(
            f"{where} holds values from {int(tensor.min())} to {int(tensor.max())}, agreed is 0 to {spec.below - 1}"
        )
    return samples


def same_step(message: Message, expected: int) -> None:
    """Refuse ``message`` unless it is of step ``expected``."""
    if message.step != expected:
        raise WireError(
            f"{message.kind} message from {message.sender!r}: wrong step {message.step}, "
            f"this party is at step {expected}"
        )
