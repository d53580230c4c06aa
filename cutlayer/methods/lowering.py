"""From a network to the layers that compute several such networks at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from cutlayer.methods.convolution import Convolution
from cutlayer.methods.layer import (
    Elementwise,
    Extent,
    Flattening,
    Layer,
    Linear,
    Phases,
    Pooling,
    UnsupportedError,
    Weighted,
)


def lower(network: nn.Module, shape: tuple[int, ...], extent: Extent) -> tuple[list[Layer], torch.Size, Phases | None]:
    """The layers for inputs of ``shape``, the shape of their output, and, where it comes in phases, its image.

    ``UnsupportedError`` for anything but a Sequential of convolutions, linear layers, 2x2 poolings, ReLU, Sigmoid and
    Tanh, in evaluation mode.
    """
    if not isinstance(network, nn.Sequential) or type(network) is not nn.Sequential:
        raise UnsupportedError(type(network).__name__)
    layers: list[Layer] = []
    phased: Phases | None = None
    for name, module in _leaves(network):
        kind = type(module)
        if kind in (nn.Dropout, nn.Identity):
            continue
        if kind in Elementwise.FUNCTIONS:
            # In place only where no other layer needs what is there.
            layers.append(Elementwise(kind, bool(layers) and isinstance(layers[-1], Weighted | Pooling)))
            continue
        if kind is nn.MaxPool2d:
            if len(shape) != 3 or shape[1] % 2 or shape[2] % 2 or not _is_two_by_two(module):
                raise UnsupportedError(f"{name}: {module}")
            layers += [] if phased else [Phases(shape, extent)]
            shape = (shape[0], shape[1] // 2, shape[2] // 2)
            layers.append(Pooling(shape, extent))
            phased = None
            continue
        layers += [phased] if phased else []
        phased = None
        if isinstance(module, nn.Conv2d) and kind is nn.Conv2d and len(shape) == 3:
            layers.append(convolution := Convolution(name, module, shape, extent, spreads=not layers))
            shape = convolution.output_shape
            phased = Phases(shape, extent, back=True) if convolution.phased else None
        elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            layers.append(Flattening(shape, extent))
            shape = (torch.Size(shape).numel(),)
        elif isinstance(module, nn.Linear) and kind is nn.Linear and len(shape) == 1:
            layers.append(Linear(name, module, extent))
            shape = (module.out_features,)
        else:
            raise UnsupportedError(f"{name}: {module}")
    return layers, torch.Size(shape), phased


def _leaves(network: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    # Unlike named_children, this has a block that stands in two places twice.
    for name, child in zip(network._modules, network, strict=True):
        if type(child) is nn.Sequential:
            yield from _leaves(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _is_two_by_two(pooling: nn.Module) -> bool:
    plain = nn.MaxPool2d(2)
    return all(
        getattr(pooling, name) in (getattr(plain, name), (getattr(plain, name),) * 2)
        for name in ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    )
