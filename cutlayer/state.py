"""State as named tensors, which a safetensors file and a frame can hold: of parts, networks, optimizers, bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cutlayer.message import detached

Tensors = Mapping[str, Tensor]


def digest(*tensors: Tensor) -> str:
    """A short digest of values, types and shapes of ``tensors`` on the CPU."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.contiguous().numpy().data)
    return found.hexdigest()[:16]


def named(name: str, tensors: Tensors) -> dict[str, Tensor]:
    """The ``tensors`` as a part of a larger state: each name behind ``name`` and a dot."""
    return {f"{name}.{own}": tensor for own, tensor in tensors.items()}


def under(name: str, tensors: Tensors) -> dict[str, Tensor]:
    """The part of a state that ``named`` put there, by its own names."""
    return {whole.removeprefix(f"{name}."): t for whole, t in tensors.items() if whole.startswith(f"{name}.")}


def state_of(**held: nn.Module | Optimizer) -> dict[str, Tensor]:
    """Copies of every weight, buffer and optimizer's tensor of ``held``, each under the name it is given by."""
    state = dict[str, Tensor]()
    for name, one in held.items():
        own = optimizer_state(one) if isinstance(one, Optimizer) else one.state_dict()
        state |= named(name, {label: detached(tensor) for label, tensor in own.items()})
    return state


def put_back(tensors: Tensors, **held: nn.Module | Optimizer) -> None:
    """Put ``held`` where ``state_of`` was taken; missing or unknown weights are a ``RuntimeError`` from torch."""
    for name, one in held.items():
        if isinstance(one, Optimizer):
            restore_optimizer(one, under(name, tensors))
        else:
            one.load_state_dict(under(name, tensors))


def optimizer_state(optimizer: Optimizer) -> dict[str, Tensor]:
    """Copies of the optimizer's tensors, named ``<parameter number>.<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": detached(value)
        for number, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, tensors: Tensors) -> None:
    """Replace the optimizer's state by ``tensors`` (empty: as freshly made)."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = laid_out(value, weights[int(number)])
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def laid_out(value: Tensor, weight: Tensor) -> Tensor:
    """A copy of ``value`` outside every graph that lies in memory as ``weight`` does, where it has its shape.

    Laid out otherwise another kernel could compute with it, to other bits.
    """
    if value.shape != weight.shape:
        return detached(value)
    place = torch.empty_like(weight, dtype=value.dtype, device=value.device, requires_grad=False)
    return place.copy_(value.detach())


def as_tensor(data: bytes) -> Tensor:
    """uint8 [length of ``data``]."""
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())


def as_bytes(tensor: Tensor) -> bytes:
    """What ``as_tensor`` was given."""
    return tensor.numpy().tobytes()
