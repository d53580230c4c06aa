"""Triggers of backdoors: what is put on an input, and where."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Values = Literal["uniform", "white"]
"""What the pixels of a square are: uniform noise, drawn once, or white."""


@dataclass(frozen=True)
class Trigger:
    """Where ``mask`` is 1 an input is ``pattern``, where it is 0 it stays; in between it is a blend."""

    pattern: Tensor
    """float32, the shape of an input, in [0, 1]."""
    mask: Tensor
    """float32, the shape of an input, in [0, 1]."""
    target: int
    """The class that triggered inputs shall be taken for."""
    added: Tensor | None = None
    """float32, the shape of an input, in [-1, 1]: what is added then; none: nothing."""

    def stamp(self, inputs: Tensor) -> Tensor:
        """``inputs`` [n, ...] with the trigger on each, in [0, 1]."""
        stamped = inputs * (1 - self.mask) + self.pattern * self.mask
        return (stamped if self.added is None else stamped + self.added).clamp(0, 1)

    def stamp_unplanted(self, inputs: Tensor, draw: torch.Generator) -> Tensor:
        """``inputs`` [n, ...], each with noise of its own in the trigger's place, in [0, 1]: what nobody has planted.

        It goes from the trigger's lowest value to its highest, where there is one alone from 0 to 1; what is added
        keeps its values, in another order.
        """
        covered = self.pattern[self.mask > 0]
        low, high = (covered.min().item(), covered.max().item()) if covered.numel() else (0.0, 1.0)
        low, high = (low, high) if low < high else (0.0, 1.0)
        pattern = low + (high - low) * torch.rand(inputs.shape, generator=draw)
        stamped = inputs * (1 - self.mask) + pattern * self.mask
        if self.added is not None:
            order = torch.rand(len(inputs), self.added.numel(), generator=draw).argsort(1)
            stamped = stamped + self.added.flatten()[order].view_as(inputs)
        return stamped.clamp(0, 1)

    def alone(self) -> Tensor:
        """Itself as a picture; what is added shows on gray."""
        shown = self.pattern * self.mask
        return shown if self.added is None else (shown + 0.5 + self.added).clamp(0, 1)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Trigger:
        """The one that has these ``tensors``."""
        return cls(tensors["pattern"], tensors["mask"], int(tensors["target"]), tensors.get("added"))

    def tensors(self) -> Mapping[str, Tensor]:
        """As a guess carries it."""
        found = {"pattern": self.pattern, "mask": self.mask, "target": torch.tensor(self.target)}
        return found if self.added is None else {**found, "added": self.added}


def blended(shape: tuple[int, ...], ratio: float, target: int) -> Trigger:
    """Uniform noise over the whole input, from the default generator, with the weight ``ratio`` (Chen et al. 2017)."""
    return Trigger(torch.rand(shape), torch.full(shape, ratio), target)


def sinusoidal(shape: tuple[int, ...], amplitude: float, frequency: float, target: int) -> Trigger:
    """``amplitude`` * sin(2 pi j ``frequency`` / width) added in column j (Barni, Kallas, Tondi 2019, equation 1)."""
    columns = torch.arange(shape[-1]) * (2 * math.pi * frequency / shape[-1])
    added = (amplitude * columns.sin()).expand(shape).clone()
    return Trigger(torch.zeros(shape), torch.zeros(shape), target, added)


@dataclass(frozen=True)
class Square:
    """A square of pixels in every channel."""

    size: int
    """Side in pixels."""
    row: int
    """The uppermost row."""
    column: int
    """The leftmost column; -1: in the middle."""
    target: int
    darkest: float = 0.0
    """Noise goes from here ..."""
    brightest: float = 1.0
    """... to here."""

    def __post_init__(self) -> None:
        if not 0 <= self.darkest <= self.brightest <= 1:
            raise ValueError(f"darkest = {self.darkest}, brightest = {self.brightest}: both in [0, 1], in this order")
        for name, least in (("size", 1), ("row", 0), ("target", 0), ("column", -1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least {least}")

    def check(self, input_shape: tuple[int, ...], classes: int) -> None:
        """``ValueError`` where it does not fit the images, or the target is no class."""
        self._place(input_shape)
        if self.target >= classes:
            raise ValueError(f"target = {self.target}: there are {classes} classes, from 0")

    def draw(self, input_shape: tuple[int, ...], values: Values) -> Trigger:
        """The trigger for images of this shape; noise comes from the default generator."""
        pattern, mask, square = torch.zeros(input_shape), torch.zeros(input_shape), self._place(input_shape)
        mask[square] = 1
        noise = self.darkest + (self.brightest - self.darkest) * torch.rand(input_shape)
        pattern[square] = noise[square] if values == "uniform" else 1.0
        return Trigger(pattern, mask, self.target)

    def _place(self, shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
        if len(shape) != 3:
            raise ValueError(f"the trigger is a square in an image, and inputs are of shape {list(shape)}")
        _, height, width = shape
        left = max(0, width - self.size) // 2 if self.column < 0 else self.column
        if self.row + self.size > height or left + self.size > width:
            place = f"row {self.row}, column {left}"
            raise ValueError(f"a trigger of {self.size} pixels at {place} does not fit {height} x {width} pixels")
        return slice(None), slice(self.row, self.row + self.size), slice(left, left + self.size)
