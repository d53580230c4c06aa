"""Messages to bytes and back, in the safetensors format: a frame can carry tensors and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from cutlayer.message import Kind, Message

MAX_FRAME = 1 << 30
"""Bytes; a longer frame is refused before it is parsed."""

LONGEST_NAME = 255
"""Characters of a sender's name: it is repeated in errors and logs."""

_KINDS = frozenset(kind.value for kind in Kind)
_HEADER_LENGTH = 8
_METADATA = "__metadata__"
_STEP_DIGITS = 15  # fixed width, so that a frame's size depends on its tensors' shapes alone

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class FrameError(ValueError):
    """Bytes that are not a message, or a message that no bytes can carry."""


def encode(message: Message) -> bytes:
    """The frame that carries ``message``. A tensor that no frame can carry is a ``FrameError``."""
    header, tensors = _header(message)
    # By hand and not by safetensors' save, which takes ten times as long; tests hold the two together.
    data = (t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data for t in tensors)
    return b"".join([len(header).to_bytes(_HEADER_LENGTH, "little"), header, *data])


def frame_size(message: Message) -> int:
    """Bytes of the frame that would carry ``message``; tensors without memory (``device="meta"``) will do."""
    header, tensors = _header(message)
    return _HEADER_LENGTH + len(header) + sum(tensor.nbytes for tensor in tensors)


def _header(message: Message) -> tuple[bytes, list[Tensor]]:
    """What a frame says of its tensors, and the tensors in the order of their bytes."""
    fields = {"kind": message.kind.value, "sender": message.sender, "step": f"{message.step:0{_STEP_DIGITS}d}"}
    header: dict[str, Mapping[str, object]] = {_METADATA: fields}
    tensors: list[Tensor] = []
    end = 0
    # Wide types first, as the format asks for: every tensor then lies at a multiple of its type's size. Then by name:
    # the same tensors make the same frame, whatever order they came in.
    for name, tensor in sorted(message.tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        if name == _METADATA or tensor.dtype not in _DTYPES:
            raise FrameError(f"a frame cannot carry tensor {name!r} of {tensor.dtype}")
        start, end = end, end + tensor.nbytes
        shape = list(tensor.shape)
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": shape, "data_offsets": [start, end]}
        tensors.append(tensor)
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % _HEADER_LENGTH), tensors


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
    if len(fields["sender"]) > LONGEST_NAME:
        raise FrameError(f"the frame's sender has a name of more than {LONGEST_NAME} characters")
    return Message(Kind(kind), fields["sender"], int(step), tensors)


def _metadata(frame: bytes) -> Mapping[str, str]:
    length = int.from_bytes(frame[:_HEADER_LENGTH], "little")
    if len(frame) < _HEADER_LENGTH or length > len(frame) - _HEADER_LENGTH:
        raise FrameError(f"a frame of {len(frame)} bytes is cut off in its header")
    try:
        header = json.loads(frame[_HEADER_LENGTH : _HEADER_LENGTH + length])
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the frame's header is not JSON: {error}") from error
    fields = header.get(_METADATA) if isinstance(header, dict) else None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise FrameError("the frame's header has no metadata")
    return fields
