"""Who carries a message to the party that answers it, and how many bytes that takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from cutlayer.codec import decode, encode, frame_size
from cutlayer.message import Kind, Message, detached

_INNERMOST = torch.channels_last
Handler = Callable[[Message], Message]
"""A party that answers; also the caller's end of a channel."""


@dataclass
class Meter:
    """What crossed a channel, in bytes of frames and in round trips by kind."""

    round_trips: dict[Kind, int] = field(default_factory=dict)
    sent_by: dict[Kind, int] = field(default_factory=dict)
    """Bytes of requests, from the caller to the party that answers."""
    received_by: dict[Kind, int] = field(default_factory=dict)
    """Bytes of replies."""

    @property
    def sent(self) -> int:
        """Bytes of all requests."""
        return sum(self.sent_by.values())

    @property
    def received(self) -> int:
        """Bytes of all replies."""
        return sum(self.received_by.values())

    def count(self, kind: Kind, sent: int, received: int) -> None:
        """Add one round trip of ``sent`` and ``received`` bytes."""
        self.round_trips[kind] = self.round_trips.get(kind, 0) + 1
        self.sent_by[kind] = self.sent_by.get(kind, 0) + sent
        self.received_by[kind] = self.received_by.get(kind, 0) + received


class Channel(ABC):
    """A way to a party that answers: frames out, frames back."""

    def __init__(self, meter: Meter | None = None) -> None:
        self.meter = meter or Meter()

    @final
    def __call__(self, request: Message, meanwhile: Callable[[], None] | None = None) -> Message:
        """Carry ``request`` to the other side and bring its reply back; ``meanwhile`` is done before it is read."""
        frame = encode(request)
        answer = self.carry_while(frame, meanwhile) if meanwhile else self.carry(frame)
        self.meter.count(request.kind, len(frame), len(answer))
        return decode(answer)

    @abstractmethod
    def carry(self, frame: bytes) -> bytes:
        """Bring ``frame`` to the other side and return the frame it answers with: all that a transport may do."""

    def carry_while(self, frame: bytes, meanwhile: Callable[[], None]) -> bytes:
        """``carry``, and ``meanwhile``: where a transport waits for the other side, it does it while it waits."""
        meanwhile()
        return self.carry(frame)


@final
class Loopback(Channel):
    """The other side in this process, reached through bytes all the same."""

    def __init__(self, handler: Handler, meter: Meter | None = None) -> None:
        super().__init__(meter)
        self._handler = handler

    def carry(self, frame: bytes) -> bytes:
        """Decode, answer, encode."""
        return encode(self._handler(decode(frame)))


@final
class Direct:
    """The other side in this process, reached by copies instead of bytes; metered as if by bytes.

    A frame's size depends only on the names, shapes and types of its tensors, so it is worked out once for each kind.
    """

    def __init__(self, handler: Handler, meter: Meter | None = None) -> None:
        self.meter = meter or Meter()
        self._handler = handler
        self._sizes: dict[Hashable, int] = {}

    def __call__(self, request: Message) -> Message:
        """Hand a copy of ``request`` to the other side and return a copy of its reply."""
        reply = self._handler(_handed(request))
        self.meter.count(request.kind, self._size(request), self._size(reply))
        return _handed(reply)

    def _size(self, message: Message) -> int:
        key = (message.kind, message.sender, *((n, t.shape, t.dtype) for n, t in message.tensors.items()))
        if key not in self._sizes:
            self._sizes[key] = frame_size(message)
        return self._sizes[key]


def _handed(message: Message) -> Message:
    """A copy in which images lie as they lay: to turn them outside in, as bytes have them, and back takes longer.

    Parties lay out what they are given, and adversaries and defenses are shown copies with channels outermost, so that
    no bit depends on it.
    """
    tensors = {
        name: tensor.detach().clone(memory_format=_INNERMOST) if _innermost(tensor) else detached(tensor)
        for name, tensor in message.tensors.items()
    }
    return Message(message.kind, message.sender, message.step, tensors)


def _innermost(tensor: Tensor) -> bool:
    # Of one channel, or one pixel, an image lies both ways: then as bytes give it, for some kernels are chosen by that.
    return tensor.ndim == 4 and tensor.is_contiguous(memory_format=_INNERMOST) and not tensor.is_contiguous()
