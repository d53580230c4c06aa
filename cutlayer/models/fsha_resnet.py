"""FSHA's client ResNet, levels 1 to 4, and a server behind it (level 4 at the client: 1,846,656 parameters)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

CUTS = (7, 6, 5, 4)
"""FSHA's levels 4, 3, 2 and 1: at level 4, its default, the client holds blocks 0 to 7."""

_DIVISOR = 16  # sides that are multiples of it are halved four times without a rest


def build(input_shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> nn.Sequential:
    """Blocks up to a level's cut are the client of that level; images of any size, with any number of channels.

    The first block prepares inputs as FSHA does, without parameters: [0, 1] becomes [-1, 1], one channel becomes three,
    sides are stretched to the next multiple of 16 (28 to 32). Weights are drawn as in FSHA (Glorot), not as torch does.
    FSHA's server never does its task, so it leaves the rest of the network open: ours is one more residual block, the
    mean over positions, and a linear layer. In its published code the normalization stays in evaluation mode;
    here it is trained like any other.
    """
    channels = 3 if input_shape[0] == 1 else input_shape[0]
    model = nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Sequential(Prepared(input_shape), nn.Conv2d(channels, 64, 3, padding=1)),
            bn1=nn.BatchNorm2d(64),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            res1=Residual(64, 64),
            res2=Residual(64, 128, stride=2),
            res3=Residual(128, 128),
            res4=Residual(128, 256, stride=2),
            res5=Residual(256, 256),
            relu2=nn.ReLU(),
            pool2=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            fc=nn.Linear(256, classes),
        )
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    return model


class Prepared(nn.Module):
    """Inputs [n, channels, height, width] in [0, 1] as the first convolution takes them, in [-1, 1]."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self._gray = input_shape[0] == 1
        self._size = [-(-side // _DIVISOR) * _DIVISOR for side in input_shape[1:]]

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, at least 3 where gray, sides that are multiples of 16]."""
        if list(inputs.shape[2:]) != self._size:
            inputs = interpolate(inputs, self._size, mode="bilinear")
        return (inputs.expand(-1, 3, -1, -1) if self._gray else inputs) * 2 - 1


class Residual(nn.Module):
    """Two convolutions, each behind a ReLU, added to the input; where they shrink it, to a convolution of it."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, stride, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, width, 3, stride, padding=1) if stride > 1 else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, width, height / stride, width / stride]."""
        outputs: Tensor = self.shortcut(inputs) + self.second(relu(self.first(relu(inputs))))
        return outputs
