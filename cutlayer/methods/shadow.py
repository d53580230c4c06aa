"""Shadows: small networks that give what an unseen first part sends, by the shapes of its inputs and outputs alone."""

from __future__ import annotations

from itertools import pairwise
from math import log2
from typing import Literal, final

from torch import Tensor, nn
from torch.nn.functional import relu

from cutlayer.blocks.normalization import standard
from cutlayer.blocks.residual import Basic

Form = Literal["two_conv", "single", "multi"]
"""Two plain convolutions with a skip connection, one convolution without bias, or several of ResNet18's blocks."""
_LISTED = {(256, 8): (9, 3), (96, 8): (9, 3), (192, 4): (9, 6), (80, 4): (9, 6), (112, 4): (9, 6)}
"""Kernel and stride, without padding, by channels and side of what 32x32 images become: as the authors' code has it."""


def shadow(form: Form, inputs: tuple[int, ...], smashed: tuple[int, ...], blocks: str = "") -> nn.Sequential:
    """From ``inputs`` [n, channels, height, width] in [0, 1] to [n, *smashed], with weights from the default generator.

    Inputs are normalized first, as is usual. ``blocks``: for ``multi``, the width of each block and behind an @ its
    stride, as in 32-64@2-128@2; empty: as many that halve the size as it takes, each twice as wide as the one before,
    and where no halving leads to the size, means over places behind them.
    Shapes that no such network leads from one to the other are a ``ValueError``.
    """
    if len(inputs) != 3 or len(smashed) != 3:
        hint = "choose an earlier cut" if len(inputs) == 3 else "there is none for tables"
        raise ValueError(f"a shadow leads from images to images, not from {list(inputs)} to {list(smashed)}: {hint}")
    (channels, *large), (width, *small) = inputs, smashed
    if any(after > before for before, after in zip(large, small, strict=True)):
        raise ValueError(
            f"a shadow never enlarges an image, as from {list(inputs)} to {list(smashed)} it would have to"
        )
    if form == "multi":
        layers = _blocks(channels, large, width, small, blocks)
    elif form == "two_conv":
        layers = [TwoConv(_convolution(channels, width, large, small, bias=True), width)]
    else:
        layers = [_single(channels, width, large, small)]
    return nn.Sequential(standard(channels), *layers)


@final
class TwoConv(nn.Module):
    """Two convolutions, the second one around a ReLU and added to the first one's outputs."""

    def __init__(self, first: nn.Conv2d, width: int) -> None:
        super().__init__()
        self.first = first
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, width, ...] as the first convolution leaves it."""
        value = self.first(inputs)
        outputs: Tensor = value + self.second(relu(value))
        return outputs


def _single(channels: int, width: int, large: list[int], small: list[int]) -> nn.Conv2d:
    listed = _LISTED.get((width, small[0])) if large == [32, 32] and small[0] == small[1] else None
    if listed:
        return nn.Conv2d(channels, width, *listed, bias=False)
    return _convolution(channels, width, large, small, bias=False)


def _convolution(channels: int, width: int, large: list[int], small: list[int], bias: bool) -> nn.Conv2d:
    """3x3 with padding where that leads from one size to the other, else the smallest kernel without padding."""
    strides = [-(-before // after) for before, after in zip(large, small, strict=True)]
    if all((b - 1) // s + 1 == a for b, a, s in zip(large, small, strides, strict=True)):
        return nn.Conv2d(channels, width, 3, strides, padding=1, bias=bias)  # type: ignore[arg-type]
    strides = [before // after for before, after in zip(large, small, strict=True)]
    kernels = [b - s * (a - 1) for b, a, s in zip(large, small, strides, strict=True)]
    return nn.Conv2d(channels, width, kernels, strides, bias=bias)  # type: ignore[arg-type]


def _blocks(channels: int, large: list[int], width: int, small: list[int], given: str) -> list[nn.Module]:
    plan = _read(given) if given else _doubling(large, width, small)
    widths = [channels, *(own for own, _ in plan)]
    sides = large
    for _, stride in plan:
        sides = [(side - 1) // stride + 1 for side in sides]
    if given and (widths[-1], *sides) != (width, *small):
        ends, wanted = [widths[-1], *sides], [width, *small]
        raise ValueError(f"blocks = {given!r}: they end in shape {ends}, what is sent has shape {wanted}")
    strides = [stride for _, stride in plan]
    layers: list[nn.Module] = [
        Basic(into, out, stride) for (into, out), stride in zip(pairwise(widths), strides, strict=True)
    ]
    return layers if list(sides) == small else [*layers, nn.AdaptiveAvgPool2d(tuple(small))]


def _doubling(large: list[int], width: int, small: list[int]) -> list[tuple[int, int]]:
    halvings = int(min(log2(before / after) for before, after in zip(large, small, strict=True)))
    return [(max(1, width >> (halvings - done)), 2 if done else 1) for done in range(halvings + 1)]


def _read(given: str) -> list[tuple[int, int]]:
    plan = []
    for text in given.split("-"):
        width, at, stride = text.partition("@")
        if not width.isdigit() or (at and not stride.isdigit()) or int(width) < 1 or (at and int(stride) < 1):
            raise ValueError(f"blocks = {given!r}: {text!r} is no block; those are widths, with a stride as in 32-64@2")
        plan.append((int(width), int(stride) if at else 1))
    return plan
