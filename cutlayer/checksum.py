"""Tensors at rest, in a safetensors file with a checksum: a flipped bit in it is damage, not another result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cutlayer.message import detached
from cutlayer.state import as_tensor, digest

_CHECKSUM = "checksum"


class DamageError(Exception):
    """A file does not hold what was written, or was written by what knew of no checksum."""


def pack_checked(tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> bytes:
    """``tensors`` as the bytes of a file, with what there is to say ``about`` them."""
    whole = {name: detached(tensor.cpu()) for name, tensor in tensors.items()}
    told = dict(about or {})
    return save(whole, {**told, _CHECKSUM: _checksum(whole, told)})


def read_checked(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and what was said about them; ``DamageError``, or ``FileNotFoundError``."""
    try:
        with safe_open(file, "pt") as opened:
            told = dict(opened.metadata() or {})
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DamageError(" ".join(str(error).split())) from None
    if (checksum := told.pop(_CHECKSUM, None)) is None:
        raise DamageError("it carries no checksum, as what other versions wrote")
    if checksum != _checksum(tensors, told):
        raise DamageError("its checksum does not hold")
    return tensors, told


def _checksum(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    names = sorted(tensors)
    return digest(as_tensor(str([sorted(about.items()), names]).encode()), *(tensors[name] for name in names))
