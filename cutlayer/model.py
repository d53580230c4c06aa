"""A model is a Sequential of named blocks; a cut is the place after one of them."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from cutlayer.mistake import nearest


class CutError(ValueError):
    """A cut that the model does not have, or that leaves a party nothing."""


def blocks(model: nn.Sequential) -> tuple[str, ...]:
    """The names of the model's blocks, in order."""
    return tuple(name for name, _ in model.named_children())


def cut_index(model: nn.Sequential, cut: int | str) -> int:
    """The index of the last block before ``cut``: an index (negative ones count from the end) or a block's name.

    A whole number is an index whatever blocks are called: a slice of a Sequential keeps the numbers of the whole.
    """
    names = blocks(model)
    text = str(cut)
    try:
        index = int(text) if text.lstrip("-").isdecimal() else names.index(text)
    except ValueError:
        raise CutError(f"no block {text!r} to cut after{nearest(text, names)}; blocks: {', '.join(names)}") from None
    range_told = f"it has {len(names)} blocks, cuts go from 0 to {len(names) - 2}"
    if index in {len(names) - 1, -1}:
        raise CutError(f"cut {text} is behind the model's last block, nothing would follow it: {range_told}")
    if not -len(names) <= index < len(names):
        raise CutError(f"cut {text} is outside the model: {range_told}")
    return index % len(names)


def split(model: nn.Sequential, cuts: Sequence[int | str]) -> list[nn.Sequential]:
    """The parts of ``model`` between ``cuts``, in order, as independent copies.

    A part keeps the names of its blocks, so the parts' state dicts together are the model's. In-place activations
    become ordinary ones: they would write into a tensor that another party's gradient is asked for.
    """
    ends = [cut_index(model, cut) + 1 for cut in cuts]
    if any(later <= earlier for earlier, later in pairwise(ends)):
        raise CutError(f"cuts {', '.join(map(str, cuts))} are not in ascending order")
    children = list(copy.deepcopy(model).named_children())
    parts = []
    for start, end in zip([0, *ends], [*ends, len(children)], strict=True):
        part = nn.Sequential(OrderedDict(children[start:end]))
        for module in part.modules():
            if getattr(module, "inplace", False):
                module.inplace = False  # type: ignore[assignment]
        parts.append(part)
    return parts


def join(parts: Sequence[nn.Module]) -> nn.Sequential:
    """The whole model, from copies of its parts."""
    children = [child for part in parts for child in copy.deepcopy(part).named_children()]
    return nn.Sequential(OrderedDict(children))


def sequence(module: nn.Module, order: Sequence[str | tuple[str, nn.Module]], example: Tensor) -> nn.Sequential:
    """Any module as a Sequential of named blocks, checked by recomposition.

    ``order`` names submodules of ``module`` in the order in which its ``forward`` runs them; what ``forward`` does
    between them (a flatten, say) is put in as ``(name, module)``. ``example`` is an input batch. When the sequence does
    not give the module's own outputs on it, in evaluation mode, to the last bit, ``CutError`` says so.
    """
    named: OrderedDict[str, nn.Module] = OrderedDict()
    submodules = dict(module.named_modules())
    for entry in order:
        if isinstance(entry, str) and entry not in submodules:
            raise CutError(f"no submodule {entry!r}{nearest(entry, submodules)}")
        name, block = (entry, submodules[entry]) if isinstance(entry, str) else entry
        named[name.replace(".", "_")] = block
    chain = nn.Sequential(named)
    was_training = module.training
    with torch.no_grad():
        expected = module.eval()(example)
        try:
            got = chain.eval()(example)
        except RuntimeError as error:
            raise CutError(f"the blocks {', '.join(named)} do not fit one after another: {error}") from error
    module.train(was_training)
    chain.train(was_training)
    if got.shape != expected.shape or not torch.equal(got, expected):
        raise CutError(
            f"the blocks {', '.join(named)} in this order do not compute what the module computes: "
            "a block is missing, or its forward does more than call them one after another"
        )
    missing = set(module.state_dict(keep_vars=True).values()) - set(chain.state_dict(keep_vars=True).values())
    if missing:
        raise CutError(f"{len(missing)} tensors of the module belong to none of the blocks {', '.join(named)}")
    return chain


def parameter_count(module: nn.Module) -> int:
    """How many numbers the module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def flop_count(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Floating point operations of one forward pass over one sample of ``shape``: multiply-adds count two."""
    counts = _COUNTS.setdefault(module, {})
    if shape not in counts:
        counts[shape] = _counted(module, shape)
    return counts[shape]


# All cells of a grid ask for those of the same network.
_COUNTS: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], int]] = WeakKeyDictionary()


def _counted(module: nn.Module, shape: tuple[int, ...]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    probe = copy.deepcopy(module).eval().cpu().float()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        probe(torch.zeros(1, *shape))
    return int(counter.get_total_flops())
