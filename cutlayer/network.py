"""The network of an experiment: a model plug-in, or a function in a user's own file."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from cutlayer import registry
from cutlayer.blocks.normalization import Normalization
from cutlayer.mistake import nearest
from cutlayer.model import blocks
from cutlayer.stream import drawing

_SAVED = "safetensors.torch.save_file(model.state_dict(), FILE)"


class NetworkError(ValueError):
    """A network that cannot be built, or that does not fit the data."""


@dataclass(frozen=True)
class Scaling:
    """(inputs - mean) / std: one number each, or one for each channel; empty: inputs stay in [0, 1]."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@final
class Scaled(nn.Sequential):
    """A first block with the scaling of its inputs before it."""

    block: nn.Module

    def __init__(self, normalization: Normalization, block: nn.Module) -> None:
        super().__init__(OrderedDict(normalization=normalization, block=block))


def build(
    spec: str,
    input_shape: tuple[int, ...],
    classes: int,
    seed: int,
    plugins: Path | None = None,
    scaling: Scaling = Scaling(),
) -> nn.Sequential:
    """The network ``spec`` (a plug-in's name, or ``path/to/file.py:function``), with weights drawn from ``seed``.

    The function takes any of ``input_shape`` and ``classes``, or nothing, and returns a Sequential of named blocks
    that turns [n, *input_shape] into logits [n, classes]; anything else is a ``NetworkError``. ``scaling`` becomes a
    part of the first block, so that no number of a block changes.
    """
    function = _function(spec, plugins)
    offered = {"input_shape": input_shape, "classes": classes}
    wanted = inspect.signature(function).parameters
    try:
        with drawing(seed), warnings.catch_warnings():
            # A layer without weights, as inputs too small for the network make one, is refused below.
            warnings.filterwarnings("ignore", "Initializing zero-element tensors", UserWarning)
            model = function(**{name: value for name, value in offered.items() if name in wanted})
    except Exception as error:
        raise NetworkError(f"model {spec!r} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Sequential) or len(model) < 2:
        found = f"a Sequential of {len(model)}" if isinstance(model, nn.Sequential) else type(model).__name__
        raise NetworkError(
            f"model {spec!r} is {found}, not a Sequential of at least two blocks; "
            "cutlayer.model.sequence makes one of any module"
        )
    model = scaled(_apart(model, spec), scaling, input_shape)
    try:
        with torch.no_grad():
            shape = tuple(model.eval()(torch.zeros(2, *input_shape)).shape)
    except Exception as error:
        raise NetworkError(f"model {spec!r} does not take inputs of shape {list(input_shape)}: {error}") from error
    if shape != (2, classes):
        raise NetworkError(
            f"model {spec!r} gives {list(shape)} for two inputs; [2, {classes}] are the logits of the data"
        )
    return model.train()


def scaled(model: nn.Sequential, scaling: Scaling, input_shape: tuple[int, ...], keys: str = "input") -> nn.Sequential:
    """``model`` itself, or its blocks with ``scaling`` as a part of the first one: no number of a block changes.

    ``NetworkError`` for a scaling that does not fit inputs; it names what ``<keys>_mean`` and ``<keys>_std`` are.
    """
    if not scaling.mean and not scaling.std:
        return model
    first = Scaled(_normalization(scaling, input_shape, keys), model[0])
    names = [name for name, _ in model.named_children()]
    return nn.Sequential(OrderedDict(zip(names, [first, *list(model)[1:]], strict=True)))


def unscaled(model: nn.Module) -> nn.Sequential:
    """The blocks of ``model``, or of a part of one, without a scaling: their weights have the names a user gave them.

    They are the same blocks, not copies.
    """
    named = model.named_children()
    return nn.Sequential(OrderedDict((name, b.block if isinstance(b, Scaled) else b) for name, b in named))


def _normalization(scaling: Scaling, input_shape: tuple[int, ...], keys: str) -> Normalization:
    mean, std = scaling.mean, scaling.std
    if len(input_shape) != 3:
        raise NetworkError(f"{keys}_mean, {keys}_std: inputs are of shape {list(input_shape)}, only images are scaled")
    for name, values in ((f"{keys}_mean", mean), (f"{keys}_std", std)):
        if len(values) not in {1, input_shape[0]}:
            raise NetworkError(
                f"{name} = {list(values)}: one number, or one for each of {input_shape[0]} channels; both keys or none"
            )
    if min(std) <= 0:
        raise NetworkError(f"{keys}_std = {list(std)}: inputs can only be divided by what is greater than 0")
    return Normalization(mean, std)


def suggested_cuts(spec: str, model: nn.Sequential, plugins: Path | None = None) -> tuple[int, ...]:
    """Up to three cuts to look at first: the plug-in's own ``CUTS``, or places spread over the first half."""
    own = getattr(_module(spec, plugins), "CUTS", None)
    if own:
        return tuple(own[:3])
    half = max(1, len(blocks(model)) // 2)
    return tuple(sorted({0, half // 2, half - 1}))


def load_weights(model: nn.Sequential, path: Path) -> None:
    """Load ``model``'s weights from the safetensors file ``path``, under the names of the blocks, scaled or not."""
    try:
        unscaled(model).load_state_dict(load_file(path))
    except FileNotFoundError:
        raise NetworkError(f"weights = {str(path)!r}: there is no such file") from None
    except (SafetensorError, OSError) as error:
        raise NetworkError(
            f"weights = {str(path)!r} is not a safetensors file ({error}); {_SAVED} writes one"
        ) from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise NetworkError(f"weights = {str(path)!r} do not fit the model: {reason}") from None


def _apart(model: nn.Sequential, spec: str) -> nn.Sequential:
    """The same network with every block a module of its own: one that stands in two places could not be cut."""
    owner: dict[int, str] = {}
    # Not named_children(), which passes over the second place.
    named = model._modules
    for name, block in named.items():
        for tensor in (*block.parameters(), *block.buffers()):
            other = owner.setdefault(id(tensor), name)
            if other != name:
                raise NetworkError(f"model {spec!r}: blocks {other!r} and {name!r} share weights, no cut can part them")
    return nn.Sequential(OrderedDict((name, copy.deepcopy(block)) for name, block in named.items()))


def _module(spec: str, plugins: Path | None) -> object:
    file, colon, _ = spec.rpartition(":")
    if not colon and spec.endswith(".py"):
        raise NetworkError(f"model {spec!r}: which function of the file builds it? As in {spec}:build")
    if not colon:
        return registry.module("models", spec, plugins)
    path = Path(file).resolve()
    if not path.is_file():
        raise NetworkError(f"model {spec!r}: there is no file {file}")
    return registry.from_file(path, f"cutlayer_user.{path.stem}")


def _function(spec: str, plugins: Path | None) -> registry.Builder:
    found = _module(spec, plugins)
    name = spec.rpartition(":")[2] if ":" in spec else "build"
    function = getattr(found, name, None)
    if not callable(function):
        known = [key for key, value in vars(found).items() if inspect.isfunction(value)]
        raise NetworkError(f"model {spec!r}: no function {name!r}{nearest(name, known)}")
    return function  # type: ignore[no-any-return]
