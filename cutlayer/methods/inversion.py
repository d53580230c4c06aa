"""Inputs optimized until a network's outputs match what was seen: total variation, penalties, Adam, the estimate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, final

import torch
from torch import Tensor

from cutlayer.methods.ensemble import Ensemble

Variation = Literal["paper", "squared"]
"""``paper``: the isotropic form, sqrt(dy^2 + dx^2) at each pixel; ``squared``: dy^2 + dx^2, as in published code."""

FLAT = 1e-6
"""Added under the root of the isotropic form: differences far below its square root, a thousandth of the range, count
as flat. The root has no derivative at 0, where a constant start is everywhere."""

EXTREMES = (0.05, 0.99)
"""Shares of an image's pixels that are darker than what counts as its darkest and its brightest place."""
FLATTEST = 0.01
"""Images that differ by less between these places have nothing to be scaled."""


def total_variation(images: Tensor, form: Variation) -> Tensor:
    """How rough each image of [..., channels, height, width] is, as [...]; it does not grow with the image's size.

    ``paper``: the mean over channels and pixels, a difference over the lower or right border being 0. ``squared``: the
    mean of the squared vertical differences plus that of the horizontal ones.
    """
    down, right = images.diff(dim=-2), images.diff(dim=-1)
    if form == "squared":
        return down.square().mean((-3, -2, -1)) + right.square().mean((-3, -2, -1))
    square = torch.nn.functional.pad(down.square(), (0, 0, 0, 1)) + torch.nn.functional.pad(right.square(), (0, 1))
    return (square + FLAT).sqrt().mean((-3, -2, -1))


@final
class Penalty:
    """What an estimate pays for being rough or large: tv_weight * total variation + l2_weight * mean square.

    Works on [networks, ..., batch]. Inputs that are not images have no total variation.
    """

    def __init__(self, inputs: Tensor, tv_weight: float, l2_weight: float, form: Variation = "paper") -> None:
        self._form = form
        self._pull = 2 * l2_weight / inputs[0, ..., 0].numel()
        self._grad = torch.zeros_like(inputs)
        self._rough = tv_weight != 0 and inputs.ndim == 5 and min(inputs.shape[2:4]) > 1
        if not self._rough:
            return
        n, channels, height, width, batch = inputs.shape
        size = channels * height * width
        # Each plane is one run of memory, in which the pixels below and to the right are this far away.
        self._planes = (n * channels, height * width * batch)
        self._below, self._beside = width * batch, batch
        if form == "squared":
            self._rates = (2 * tv_weight / (size - size // height), 2 * tv_weight / (size - size // width))
        else:
            self._rates = (tv_weight / size, tv_weight / size)
        self._down = inputs.new_zeros(n * channels, (height - 1) * width * batch)
        self._right = inputs.new_zeros(n * channels, height * width * batch)
        self._border = self._right.view(n * channels, height, -1)[:, :, (width - 1) * batch :]
        self._scale, self._flat = torch.zeros_like(self._right), inputs.new_full((1,), FLAT)

    def gradient(self, inputs: Tensor) -> Tensor:
        """The gradient of all samples' penalties, in a buffer that the caller may change until the next call."""
        grad = torch.mul(inputs, self._pull, out=self._grad)
        if self._rough:
            self._add_roughness(inputs.view(self._planes), grad.view(self._planes))
        return grad

    def _add_roughness(self, inputs: Tensor, grad: Tensor) -> None:
        below, beside = self._below, self._beside
        down, right = self._down, self._right[:, :-beside]
        torch.sub(inputs[:, below:], inputs[:, :-below], out=down)
        torch.sub(inputs[:, beside:], inputs[:, :-beside], out=right)
        # Beside the last pixel of a row is the first of the next one.
        self._border.zero_()
        if self._form == "squared":
            grad[:, below:].add_(down, alpha=self._rates[0])
            grad[:, :-below].sub_(down, alpha=self._rates[0])
            grad[:, beside:].add_(right, alpha=self._rates[1])
            grad[:, :-beside].sub_(right, alpha=self._rates[1])
            return
        torch.addcmul(self._flat, self._right, self._right, out=self._scale)
        self._scale[:, :-below].addcmul_(down, down)
        self._scale.rsqrt_()
        above, left = self._scale[:, :-below], self._scale[:, :-beside]
        grad[:, below:].addcmul_(down, above, value=self._rates[0])
        grad[:, :-below].addcmul_(down, above, value=-self._rates[0])
        grad[:, beside:].addcmul_(right, left, value=self._rates[1])
        grad[:, :-beside].addcmul_(right, left, value=-self._rates[1])


@final
class Adam:
    """Adam on one tensor in one fused kernel, without the bookkeeping of ``torch.optim``."""

    def __init__(self, tensor: Tensor, learning_rate: float, amsgrad: bool, epsilon: float = 1e-8) -> None:
        self._tensor, self._learning_rate, self._amsgrad, self._epsilon = tensor, learning_rate, amsgrad, epsilon
        self._steps = torch.zeros((), device=tensor.device)
        self._moments = tuple(torch.zeros_like(tensor) for _ in range(2 + amsgrad))

    def reset(self) -> None:
        """Forget all steps."""
        for state in (self._steps, *self._moments):
            state.zero_()

    def step(self, grad: Tensor) -> None:
        """One step along ``grad``, which has the shape of the tensor."""
        self._steps += 1
        first, second, *largest = self._moments
        torch._fused_adam_(
            [self._tensor], [grad], [first], [second], largest, [self._steps],
            lr=self._learning_rate, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=self._epsilon,
            amsgrad=self._amsgrad, maximize=False,
        )  # fmt: skip


@final
class Estimate:
    """Inputs on their way to what an ensemble's targets came from; ``inputs`` is [networks, ..., batch]."""

    def __init__(
        self, inputs: Tensor, penalty: Penalty, learning_rate: float, amsgrad: bool, epsilon: float = 1e-8
    ) -> None:
        self.inputs, self._penalty = inputs, penalty
        self._adam = Adam(inputs, learning_rate, amsgrad, epsilon)

    def restart(self, value: float) -> None:
        """Constant inputs and a fresh optimizer."""
        self.inputs.fill_(value)
        self._adam.reset()

    def forget(self) -> None:
        """A fresh optimizer."""
        self._adam.reset()

    def gradient(self, ensemble: Ensemble) -> Tensor:
        """Of the sum of all samples' errors and penalties."""
        return self._penalty.gradient(self.inputs).add_(ensemble.toward_inputs(self.inputs), alpha=ensemble.scale)

    def step(self, grad: Tensor) -> None:
        """Move the inputs along ``grad``."""
        self._adam.step(grad)


def fit_range(fit: Ensemble, inputs: Tensor) -> bool:
    """Turn and scale each network's ``inputs`` [networks, ..., batch] into [0, 1] and let its first layer undo that.

    What a network computes stays as it is, but where its first layer pads its inputs with zeros: brightness, contrast
    and sign are a freedom that its outputs leave. Darkest and brightest places (``EXTREMES``, the mean over a
    network's inputs) go to 0 and 1; of an image and its negative the darker one is kept, which the mean square of
    equation 1 pays less for. Networks whose inputs are all but flat are left alone. False, and nothing done, where the
    first layer is not affine.
    """
    first = fit.first()
    if first is None:
        return False
    kernels, biases = first
    values = inputs.flatten(1, -2)
    ways = []
    for sign in (1, -1):
        low, high = (torch.quantile(sign * values, share, dim=1).mean(1) for share in EXTREMES)
        factor = 1 / (high - low).clamp(min=FLATTEST)
        level = ((sign * values - low[:, None, None]) * factor[:, None, None]).clamp(0, 1).mean((1, 2))
        ways.append(torch.stack([level, sign * factor, -low * factor, high - low]))
    positive, negative = ways
    _, factor, shift, width = torch.where(positive[0] <= negative[0], positive, negative)
    factor, shift = factor.masked_fill(width < FLATTEST, 1), shift.masked_fill(width < FLATTEST, 0)
    across = (-1, *[1] * (inputs.ndim - 1))
    inputs.mul_(factor.view(across)).add_(shift.view(across))
    kernels.div_(factor[:, None, None])
    biases.sub_(shift[:, None] * kernels.sum(2))
    fit.refresh()
    return True


@contextlib.contextmanager
def pace(fit: Ensemble) -> Iterator[None]:
    """Inside, torch computes as ``fit`` wants it: one thread where tensors are small, denormal numbers being 0.

    Gradients that stay away let an optimizer's averages decay to such numbers, and each costs a hundred cycles.
    """
    threads = torch.get_num_threads()
    flushes = bool((torch.full((1,), 1e-38) * 0.01 == 0).item())
    torch.set_num_threads(1 if fit.small else threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushes)
        torch.set_num_threads(threads)
