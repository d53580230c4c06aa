"""Eight bits a value on the wire, with a scale for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from cutlayer.compression import Compression
from cutlayer.wire import Spec

_LEVELS = 127
_SMALLEST = torch.finfo(torch.float32).tiny


@dataclass
class Int8Quantization(Compression):
    """Smashed data and gradients cross as int8: value / scale to the nearest integer from -127 to 127.

    The scale of a channel is its largest magnitude in the message / 127, so a value is off by at most half a scale and
    zero stays zero. A channel is dimension 1 of [n, channels, ...]; tensors without anything behind that dimension
    (outputs of dense layers, 1x1 maps) have one scale for all, because a scale for every few values would cost more
    than it saves and give the values away exactly.

    Symmetric and without random rounding: simple, and the same at every repetition of a step, but outputs of a ReLU
    use only half of the levels, and small gradients beside large ones in a channel round to zero each time. Training
    deep networks this way may cost accuracy; the records say how much.

    What it protects: little. 255 levels are what an image file has, and inversion attacks hardly notice.
    """

    plain: ClassVar[str] = "Both sides send eight-bit integers over the cut: a quarter of the bytes, rounded values."

    def forms(self, spec: Spec) -> Mapping[str, Spec]:
        """Integers, and float32 scales: [channels], or [] where there is one for all."""
        scales = spec.shape[:1] if _has_channels(spec.shape) else ()
        return {"": replace(spec, dtype=torch.int8), ".scale": Spec(scales, batched=False)}

    def pack(self, tensor: Tensor) -> Mapping[str, Tensor]:
        """Values that are not finite give a scale that is not, and are refused by the other side."""
        others = [d for d in range(tensor.ndim) if d != 1 or not _has_channels(tensor.shape[1:])]
        scale = (tensor.abs().amax(others) / _LEVELS).clamp(min=_SMALLEST)
        levels = (tensor / _beside(scale, tensor)).round().clamp(-_LEVELS, _LEVELS)
        return {"": levels.nan_to_num().to(torch.int8), ".scale": scale}

    def unpack(self, packed: Mapping[str, Tensor]) -> Tensor:
        """Levels times scale, float32."""
        levels, scale = packed[""], packed[".scale"]
        return levels.float() * _beside(scale, levels)


def _has_channels(shape: tuple[int, ...]) -> bool:
    """Whether one sample of ``shape`` has channels of several values."""
    return len(shape) > 1 and prod(shape[1:]) > 1


def _beside(scale: Tensor, tensor: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (tensor.ndim - 2)) if scale.ndim else scale
