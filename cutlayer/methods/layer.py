"""Layers of several small networks at once: matrix products on buffers made once, gradients written out by hand.

Every tensor is [networks, ..., batch]: with the samples innermost, patches of an image are long runs of memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, final

import torch
from torch import Tensor, nn


class UnsupportedError(Exception):
    """A network that is not written in these layers."""


class Extent(NamedTuple):
    """What all buffers are made for."""

    networks: int
    batch: int
    device: torch.device

    def zeros(self, *shape: int) -> Tensor:
        """A buffer of zeros, float32 [networks, *shape]."""
        return torch.zeros(self.networks, *shape, device=self.device)


class Layer(ABC):
    """One layer of all networks; ``backward`` and ``weigh`` refer to the last ``forward``.

    Results live in the layer's buffers until its next call. A layer may overwrite what it is given, but for the inputs
    of the first one.
    """

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """The layer's outputs."""

    @abstractmethod
    def backward(self, grad: Tensor) -> Tensor:
        """From the gradient at the outputs to the gradient at the inputs."""


class Weighted(Layer):
    """A layer that learns: one matrix a network, a row for each output, the bias as its last column."""

    def __init__(self, name: str, weight: Tensor, bias: Tensor | None) -> None:
        self.name = name
        self.kernel = tuple(weight.shape)
        self.biased = bias is not None
        self.fan_in = weight[0].numel()
        self.size = len(weight) * (self.fan_in + self.biased)

    def bind(self, weights: Tensor, gradients: Tensor) -> None:
        """Use these for its weights and gradients, both [networks, size]."""
        matrix = (-1, self.kernel[0], self.fan_in + self.biased)
        self.weights, self.gradients = weights.view(matrix), gradients.view(matrix)
        alone = self.weights[..., : self.fan_in]
        self.kernels = alone.view(-1, *self.kernel)
        self.across = alone.transpose(1, 2)

    def load(self, network: int, state: Mapping[str, Tensor]) -> None:
        """Take one network's weights from its ``state``."""
        self.kernels[network] = state[f"{self.name}.weight"]
        if self.biased:
            self.weights[network, :, -1] = state[f"{self.name}.bias"]

    def save(self, network: int) -> dict[str, Tensor]:
        """Copies of one network's weights, named as in its state."""
        state = {f"{self.name}.weight": self.kernels[network].clone()}
        return state | ({f"{self.name}.bias": self.weights[network, :, -1].clone()} if self.biased else {})

    def refresh(self) -> None:
        """Follow changed weights."""

    @abstractmethod
    def weigh(self, grad: Tensor) -> None:
        """From the gradient at the outputs to ``gradients``."""


@final
class Linear(Weighted):
    """A linear layer; a constant input of one stands for the bias."""

    def __init__(self, name: str, module: nn.Linear, extent: Extent) -> None:
        super().__init__(name, module.weight, module.bias)
        self._inputs = extent.zeros(self.fan_in + self.biased, extent.batch).fill_(1)
        self._own, self._inputs_across = self._inputs[:, : self.fan_in], self._inputs.transpose(1, 2)
        self._outputs = extent.zeros(self.kernel[0], extent.batch)
        self._grad = extent.zeros(self.fan_in, extent.batch)

    def forward(self, inputs: Tensor) -> Tensor:
        """[networks, outputs, batch]."""
        self._own.copy_(inputs)
        torch.bmm(self.weights, self._inputs, out=self._outputs)
        return self._outputs

    def backward(self, grad: Tensor) -> Tensor:
        """[networks, inputs, batch]."""
        torch.bmm(self.across, grad, out=self._grad)
        return self._grad

    def weigh(self, grad: Tensor) -> None:
        """One product, the bias included."""
        torch.bmm(grad, self._inputs_across, out=self.gradients)


@final
class Elementwise(Layer):
    """A function of each number whose derivative follows from its value."""

    FUNCTIONS: ClassVar[Mapping[type[nn.Module], tuple[Any, Any, tuple[float, ...]]]] = {
        nn.ReLU: (torch.relu_, torch.ops.aten.threshold_backward.grad_input, (0.0,)),
        nn.Sigmoid: (torch.sigmoid_, torch.ops.aten.sigmoid_backward.grad_input, ()),
        nn.Tanh: (torch.tanh_, torch.ops.aten.tanh_backward.grad_input, ()),
    }

    def __init__(self, kind: type[nn.Module], in_place: bool) -> None:
        self._apply, self._derive, self._more = self.FUNCTIONS[kind]
        self._in_place = in_place

    def forward(self, inputs: Tensor) -> Tensor:
        """In the shape of the inputs."""
        outputs: Tensor = self._apply(inputs if self._in_place else inputs.clone())
        self._outputs = outputs
        return outputs

    def backward(self, grad: Tensor) -> Tensor:
        """In the shape of the inputs, in place."""
        result: Tensor = self._derive(grad, self._outputs, *self._more, grad_input=grad)
        return result


@final
class Flattening(Layer):
    """One dimension between network and batch."""

    def __init__(self, shape: tuple[int, ...], extent: Extent) -> None:
        self._images = (extent.networks, *shape, extent.batch)
        self._rows = (extent.networks, -1, extent.batch)

    def forward(self, inputs: Tensor) -> Tensor:
        """[networks, numbers, batch]."""
        return inputs.view(self._rows)

    def backward(self, grad: Tensor) -> Tensor:
        """In the shape of the inputs."""
        return grad.view(self._images)


@final
class Pooling(Layer):
    """The maximum over the four phases of a convolution; of equal ones the first gets the gradient, as in torch."""

    def __init__(self, shape: tuple[int, ...], extent: Extent) -> None:
        n, channels, count = extent.networks, shape[0], shape[1] * shape[2] * extent.batch
        self._outputs, self._first = (extent.zeros(channels, count) for _ in range(2))
        self._images = self._outputs.view(n, *shape, extent.batch)
        self._squares = (n, channels, 2, 2, count)
        self._pairs, self._firsts, self._shares = (extent.zeros(channels, 2, count) for _ in range(3))
        self._grad = extent.zeros(channels, 4, count)
        self._rivals, self._pair_shares = self._pairs.unbind(2), self._shares.unbind(2)
        self._square_shares = self._grad.view(self._squares).unbind(3)

    def forward(self, inputs: Tensor) -> Tensor:
        """[networks, channels, height, width, batch]."""
        self._inputs = inputs.view(self._squares)
        torch.amax(self._inputs, 3, out=self._pairs)
        torch.amax(self._pairs, 2, out=self._outputs)
        return self._images

    def backward(self, grad: Tensor) -> Tensor:
        """[networks, channels, 4, positions * batch]."""
        _share(grad.view(self._outputs.shape), self._rivals, self._first, self._pair_shares)
        _share(self._shares, self._inputs.unbind(3), self._firsts, self._square_shares)
        return self._grad


@final
class Phases(Layer):
    """From images with even sides to four phases, (row, column) modulo 2; or, ``back``, from phases to images."""

    def __init__(self, shape: tuple[int, ...], extent: Extent, back: bool = False) -> None:
        channels, height, width = shape
        self._back = back
        self._image = extent.zeros(channels, height, width, extent.batch)
        self._phases = extent.zeros(channels, 4, height * width // 4 * extent.batch)
        halves = (extent.networks, channels, height // 2, 2, width // 2, 2, extent.batch)
        self._squares = self._image.view(halves).permute(0, 1, 3, 5, 2, 4, 6)
        self._positions = self._phases.view(self._squares.shape)

    def forward(self, inputs: Tensor) -> Tensor:
        """[networks, channels, 4, positions * batch]; ``back``: [networks, channels, height, width, batch]."""
        return self._assemble(inputs) if self._back else self.divide(inputs)

    def backward(self, grad: Tensor) -> Tensor:
        """The other way round."""
        return self.divide(grad) if self._back else self._assemble(grad)

    def divide(self, images: Tensor) -> Tensor:
        """[networks, channels, 4, positions * batch]."""
        self._image.copy_(images)
        self._positions.copy_(self._squares)
        return self._phases

    def _assemble(self, phases: Tensor) -> Tensor:
        self._squares.copy_(phases.view(self._squares.shape))
        return self._image


def _share(grad: Tensor, rivals: Sequence[Tensor], wins: Tensor, shares: Sequence[Tensor]) -> None:
    """Give ``grad`` to the larger of two rivals, to the first where they are equal; ``wins`` is overwritten."""
    torch.ge(rivals[0], rivals[1], out=wins)
    torch.mul(grad, wins, out=shares[0])
    torch.sub(grad, shares[0], out=shares[1])
