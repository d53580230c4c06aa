"""Networks of one architecture, each fitted to a batch of its own, differentiated all at once.

A step of a tiny network costs what the interpreter and autograd cost, not what the arithmetic costs. So networks of the
usual layers are ``Lowered`` to a few products without autograd; every other network, and every one so large that
nothing would be gained, is ``Traced`` by autograd.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from cutlayer.methods.convolution import Convolution
from cutlayer.methods.layer import Extent, Flattening, UnsupportedError, Weighted
from cutlayer.methods.lowering import lower


class Ensemble(ABC):
    """n networks, in evaluation mode, and what their outputs should be.

    Inputs are float32 [n, ..., batch], contiguous: a sample's own dimensions stand between network and sample. A
    sample's error is the mean squared difference between its output and its target. Whoever writes into ``weights``
    calls ``refresh`` before anything but ``toward_weights``.
    """

    small: ClassVar[bool]
    """Whether its tensors are so small that more threads only cost."""
    weights: Tensor
    """All that the networks learn, [n, weights], contiguous."""
    gradients: Tensor
    """What ``toward_weights`` computed last, shaped like ``weights``."""
    scale: float
    """The factor between computed and true gradients: twice the inverse of the numbers in one output."""

    @abstractmethod
    def aim(self, targets: Tensor) -> None:
        """The outputs to be matched, [n, batch, ...]."""

    @abstractmethod
    def errors(self, inputs: Tensor) -> Tensor:
        """Each sample's error, [n, batch]."""

    @abstractmethod
    def toward_inputs(self, inputs: Tensor) -> Tensor:
        """``scale`` times this is the gradient of the sum of all errors, shaped like inputs; kept to the next call."""

    @abstractmethod
    def toward_weights(self, inputs: Tensor) -> None:
        """Compute the gradient of each network's mean error: ``scale / batch`` times what is put into ``gradients``."""

    @abstractmethod
    def refresh(self) -> None:
        """Follow the changed ``weights``, and let go of what was held."""

    @abstractmethod
    def hold(self, inputs: Tensor) -> None:
        """Until ``refresh``, only ``toward_weights`` will be called, with these very inputs."""

    @abstractmethod
    def first(self) -> tuple[Tensor, Tensor] | None:
        """The weights that inputs meet first, [n, outputs, numbers] and biases [n, outputs], to be written into.

        None where the first layer is no convolution or linear layer with a bias.
        """

    @abstractmethod
    def state(self, network: int) -> dict[str, Tensor]:
        """Copies of one network's parameters and buffers, by name."""


def ensemble(networks: Sequence[nn.Module], shape: tuple[int, ...], batch: int) -> Ensemble:
    """The quicker ensemble of copies of ``networks`` on ``batch`` inputs of ``shape`` each."""
    try:
        return Lowered(networks, shape, batch)
    except UnsupportedError:
        return Traced(networks)


@final
class Lowered(Ensemble):
    """Networks of convolutions, linear layers, 2x2 poolings and elementwise functions; others: ``UnsupportedError``."""

    small = True

    def __init__(self, networks: Sequence[nn.Module], shape: tuple[int, ...], batch: int) -> None:
        parameters = list(networks[0].parameters())
        if not parameters or any(p.dtype != torch.float32 for p in parameters):
            raise UnsupportedError("nothing to learn, or not in float32")
        extent = Extent(len(networks), batch, parameters[0].device)
        self._layers, self._shape, self._phased = lower(networks[0], shape, extent)
        self._weighted = [layer for layer in self._layers if isinstance(layer, Weighted)]
        self._names = list(networks[0].state_dict())
        if len(self._names) != len(parameters):
            raise UnsupportedError("weights that are used more than once")
        sizes = [layer.size for layer in self._weighted]
        self.weights = extent.zeros(sum(sizes))
        self.gradients = torch.zeros_like(self.weights)
        bound = (torch.split(tensor, sizes, 1) for tensor in (self.weights, self.gradients))
        for layer, weights, gradients in zip(self._weighted, *bound, strict=True):
            layer.bind(weights, gradients)
            for number, network in enumerate(networks):
                layer.load(number, network.state_dict())
        self.scale = 2 / self._shape.numel()
        self._extent = extent
        self.refresh()

    def aim(self, targets: Tensor) -> None:
        """Keep them in the order in which the last layer gives its outputs."""
        turned = targets.movedim(1, -1).contiguous()
        if self._phased is not None:
            turned = self._phased.divide(turned)
        self._targets = turned.clone()
        self._differences = torch.empty_like(turned)

    def errors(self, inputs: Tensor) -> Tensor:
        """One forward pass."""
        squares = self._compare(inputs).square().view(self._extent.networks, -1, self._extent.batch)
        return squares.mean(1)

    def toward_inputs(self, inputs: Tensor) -> Tensor:
        """Forward and backward through all layers, without the weights' gradients."""
        grad = self._compare(inputs)
        for layer in reversed(self._layers):
            grad = layer.backward(grad)
        return grad.view(inputs.shape)

    def toward_weights(self, inputs: Tensor) -> None:
        """Forward and backward down to the first layer that learns."""
        first = self._weighted[0]
        grad = self._compare(inputs, spread=False)
        for layer in reversed(self._layers):
            if isinstance(layer, Weighted):
                layer.weigh(grad)
                if layer is first:
                    return
            grad = layer.backward(grad)

    def refresh(self) -> None:
        """Follow the weights where a layer keeps more than them."""
        for layer in self._weighted:
            layer.refresh()

    def hold(self, inputs: Tensor) -> None:
        """Cut the inputs into patches once."""
        if isinstance(self._layers[0], Convolution):
            self._layers[0].hold(inputs)

    def first(self) -> tuple[Tensor, Tensor] | None:
        """Views of ``weights``."""
        layer = next(layer for layer in self._layers if not isinstance(layer, Flattening))
        if not isinstance(layer, Weighted) or not layer.biased:
            return None
        return layer.weights[..., : layer.fan_in], layer.weights[..., -1]

    def state(self, network: int) -> dict[str, Tensor]:
        """In the order of the network's own state."""
        saved = {name: tensor for layer in self._weighted for name, tensor in layer.save(network).items()}
        return {name: saved[name] for name in self._names}

    def _compare(self, inputs: Tensor, spread: bool = True) -> Tensor:
        first = self._layers[0]
        if isinstance(first, Convolution):
            first.spread = spread and first.phased
        value = inputs
        for layer in self._layers:
            value = layer.forward(value)
        return torch.sub(value, self._targets, out=self._differences)


@final
class Traced(Ensemble):
    """Networks of any kind, by autograd; several ones by vmap, and those that it cannot follow one after another."""

    small = False

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self._network = copy.deepcopy(networks[0]).eval()
        self._shapes = {name: p.shape for name, p in self._network.named_parameters()}
        names = {id(p): name for name, p in self._network.named_parameters()}
        self._names = {name: names[id(p)] for name, p in self._network.named_parameters(remove_duplicate=False)}
        self._sizes = [shape.numel() for shape in self._shapes.values()]
        none = torch.zeros(0)
        flat = [torch.cat([none, *(p.detach().flatten() for p in network.parameters())]) for network in networks]
        self.weights = torch.stack(flat)
        self.gradients = torch.zeros_like(self.weights)
        buffers = [dict(network.named_buffers()) for network in networks]
        self._buffers = {name: torch.stack([each[name] for each in buffers]) for name in buffers[0]}
        # vmap over one network costs more than the network.
        self._at_once = len(networks) > 1

    def aim(self, targets: Tensor) -> None:
        """Keep them as they are."""
        self._targets = targets
        self.scale = 2 / targets[0, 0].numel()

    def errors(self, inputs: Tensor) -> Tensor:
        """One forward pass."""
        with torch.no_grad():
            return (self._outputs(self.weights, inputs) - self._targets).square().flatten(2).mean(2)

    def toward_inputs(self, inputs: Tensor) -> Tensor:
        """The weights need no gradients here."""
        leaf = inputs.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(self._half_squares(self.weights, leaf), leaf)[0]

    def toward_weights(self, inputs: Tensor) -> None:
        """The inputs need no gradients here."""
        if not self._sizes:
            return
        leaf = self.weights.detach().requires_grad_()
        with torch.enable_grad():
            self.gradients.copy_(torch.autograd.grad(self._half_squares(leaf, inputs), leaf)[0])

    def refresh(self) -> None:
        """Nothing is derived from the weights."""

    def hold(self, inputs: Tensor) -> None:
        """Nothing is derived from the inputs."""

    def first(self) -> tuple[Tensor, Tensor] | None:
        """Views of ``weights``; the first layer is looked for in a chain of blocks."""
        layer = _first_of(self._network)
        if not isinstance(layer, nn.Conv2d | nn.Linear) or layer.bias is None:
            return None
        places = {id(parameter): place for place, parameter in enumerate(self._network.parameters())}
        # A weight that is computed from others (weight_norm) is none that could be set.
        if not {id(layer.weight), id(layer.bias)} <= places.keys():
            return None
        parts = torch.split(self.weights, self._sizes, 1)
        kernels, biases = parts[places[id(layer.weight)]], parts[places[id(layer.bias)]]
        return kernels.view(len(kernels), len(layer.weight), -1), biases

    def state(self, network: int) -> dict[str, Tensor]:
        """In the order of the network's own state."""
        values = self._parameters(self.weights) | self._buffers
        return {name: values[name][network].clone() for name in self._network.state_dict()}

    def _half_squares(self, weights: Tensor, inputs: Tensor) -> Tensor:
        return (self._outputs(weights, inputs) - self._targets).square().sum() / 2

    def _parameters(self, weights: Tensor) -> dict[str, Tensor]:
        parts = torch.split(weights, self._sizes, 1)
        named = {n: part.reshape(-1, *s) for (n, s), part in zip(self._shapes.items(), parts, strict=True)}
        return {name: named[same] for name, same in self._names.items()}

    def _outputs(self, weights: Tensor, inputs: Tensor) -> Tensor:
        values = self._parameters(weights) | self._buffers
        batches = inputs.movedim(-1, 1)
        if self._at_once:
            try:
                many: Tensor = vmap(self._call)(values, batches)
                return many
            except RuntimeError:
                # A recurrent layer, one that draws, a branch by values. A mistake of the network's own comes again.
                self._at_once = False
        named = [{name: value[number] for name, value in values.items()} for number in range(len(weights))]
        each = [self._call(one, batch.contiguous()) for one, batch in zip(named, batches, strict=True)]
        return torch.stack(each) if len(each) > 1 else each[0][None]

    def _call(self, values: dict[str, Tensor], batch: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self._network, values, (batch,), tie_weights=False)
        return outputs


def _first_of(network: nn.Module) -> nn.Module | None:
    """The layer that inputs meet first, where that can be told."""
    if not isinstance(network, nn.Sequential):
        return network
    return next((_first_of(block) for block in network if not isinstance(block, nn.Flatten | nn.Identity)), None)
