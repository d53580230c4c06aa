"""Blocks around an identity: ResNet9's, as Tajalli, Ersoy, Picek (2023) use it, and ResNet18's."""

from __future__ import annotations

from collections import OrderedDict
from typing import final

from torch import Tensor, nn
from torch.nn.functional import relu

from cutlayer.blocks.normalization import standard


def block(channels: int, width: int, pool: bool = False) -> nn.Sequential:
    """A 3x3 convolution that keeps the size, batch normalization, ReLU; with ``pool`` the size is then halved.

    The convolution has a bias, which the normalization takes away again: so it is published.
    """
    pooling = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), *pooling)


@final
class Residual(nn.Module):
    """Two blocks of ``width`` channels, added to their input; there is no activation behind the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = block(width, width)
        self.second = block(width, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """In the shape of the inputs, [n, width, height, width in pixels]."""
        outputs: Tensor = self.second(self.first(inputs)) + inputs
        return outputs


def beginning(channels: int) -> OrderedDict[str, nn.Module]:
    """The blocks up to the paper's last cut: 64 and 128 channels, half the size, a residual."""
    return OrderedDict[str, nn.Module](
        block1=block(channels, 64),
        block2=block(64, 128, pool=True),
        res1=Residual(128),
    )


@final
class Basic(nn.Module):
    """ResNet18's block (He et al., CVPR 2016), as it is usual for images of 32x32 pixels.

    Two 3x3 convolutions with batch normalization, the first with ``stride``, and ReLU behind the first and behind the
    sum; where the shapes differ, the input passes a 1x1 convolution with batch normalization.
    """

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _normalized(channels, width, 3, stride)
        self.second = _normalized(width, width, 3)
        same = channels == width and stride == 1
        self.around = nn.Identity() if same else _normalized(channels, width, 1, stride)

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, width, height / stride, width in pixels / stride], rounded up."""
        return relu(self.second(relu(self.first(inputs))) + self.around(inputs))


def resnet18(channels: int, classes: int, width: int) -> OrderedDict[str, nn.Module]:
    """ResNet18's blocks for small images: a 3x3 stem of ``width`` channels without pooling, which normalizes inputs.

    Four stages of two blocks follow, each twice as wide as the one before and half as large, and one linear layer.
    """
    stem = nn.Sequential(
        standard(channels), nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
    )
    blocks = OrderedDict[str, nn.Module](stem=stem, relu=nn.ReLU())
    before = width
    for stage in range(1, 5):
        blocks[f"stage{stage}a"] = Basic(before, width, stride=1 if stage == 1 else 2)
        blocks[f"stage{stage}b"] = Basic(width, width)
        before, width = width, 2 * width
    blocks["pool"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    blocks["fc"] = nn.Linear(before, classes)
    return blocks


def _normalized(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))
