"""Messages to bytes and back, in the safetensors format: a frame can carry tensors and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from cutlayer.message import Kind, Message

MAX_FRAME = 1 << 30
"""Bytes; a longer frame is refused before it is parsed."""

_KINDS = frozenset(kind.value for kind in Kind)
_HEADER_LENGTH = 8
_STEP_DIGITS = 15  # fixed width, so that a frame's size depends on its tensors' shapes alone


class FrameError(ValueError):
    """Bytes that are not a message."""


def encode(message: Message) -> bytes:
    """The frame that carries ``message``."""
    fields = {"kind": message.kind.value, "sender": message.sender, "step": f"{message.step:0{_STEP_DIGITS}d}"}
    tensors: dict[str, Tensor] = {}
    storages = set()
    for name, tensor in message.tensors.items():
        plain = tensor.detach().contiguous()
        storage = plain.untyped_storage().data_ptr()
        # The format refuses tensors that share memory, as two views of one do.
        tensors[name] = plain.clone() if storage in storages else plain
        storages.add(storage)
    frame: bytes = save(tensors, metadata=fields)
    return frame


def decode(frame: bytes) -> Message:
    """The message in ``frame``; its tensors own their memory. Anything else than a frame is a ``FrameError``."""
    if len(frame) > MAX_FRAME:
        raise FrameError(f"a frame of {len(frame)} bytes is over the limit of {MAX_FRAME}")
    fields = _metadata(frame)
    try:
        tensors: dict[str, Tensor] = load(frame)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise FrameError(f"the frame's tensors cannot be read: {error}") from error
    kind, step = fields.get("kind", ""), fields.get("step", "")
    if kind not in _KINDS:
        raise FrameError(f"the frame's kind is {kind!r}; it must be one of {', '.join(Kind)}")
    if not (step.isascii() and step.isdigit() and len(step) == _STEP_DIGITS):
        raise FrameError(f"the frame's step is {step!r}; it must have {_STEP_DIGITS} digits")
    if not fields.get("sender"):
        raise FrameError("the frame names no sender")
    return Message(Kind(kind), fields["sender"], int(step), tensors)


def _metadata(frame: bytes) -> Mapping[str, str]:
    length = int.from_bytes(frame[:_HEADER_LENGTH], "little")
    if len(frame) < _HEADER_LENGTH or length > len(frame) - _HEADER_LENGTH:
        raise FrameError(f"a frame of {len(frame)} bytes is cut off in its header")
    try:
        header = json.loads(frame[_HEADER_LENGTH : _HEADER_LENGTH + length])
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the frame's header is not JSON: {error}") from error
    fields = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise FrameError("the frame's header has no metadata")
    return fields
