"""Wire codecs: a smaller form in which tensors cross, agreed on by both ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from cutlayer.channel import Handler
from cutlayer.defense import Defense
from cutlayer.message import Kind, Message
from cutlayer.registry import PluginError
from cutlayer.wire import Agreement, Frame, Spec, check

AT_THE_CUT = ("smashed", "grad", "features", "features_grad")
"""The roles that are packed, whichever party sends them; labels, rows, logits and the loss cross as they are."""


@dataclass
class Compression(Defense):
    """A lossy form of the tensors at the cut, and the way back to float32.

    It stands directly at the channel, behind all other defenses, and at both ends: what either party sends is packed
    there, and what arrives is unpacked before a protocol, an adversary or a defense sees it.
    """

    @abstractmethod
    def forms(self, spec: Spec) -> Mapping[str, Spec]:
        """What crosses instead of one tensor that looks like ``spec``, by what is appended to its name."""

    @abstractmethod
    def pack(self, tensor: Tensor) -> Mapping[str, Tensor]:
        """``tensor`` [n, ...] float32 in these forms."""

    @abstractmethod
    def unpack(self, packed: Mapping[str, Tensor]) -> Tensor:
        """The float32 tensor [n, ...] that the other side goes on with."""

    @final
    def guard(self, message: Message) -> Message:
        """What the other side will make of ``message``."""
        names = [name for name in AT_THE_CUT if name in message]
        return message.replace(**{name: self.unpack(self.pack(message[name].detach())) for name in names})


def compression_of(defenses: Iterable[Defense]) -> Compression | None:
    """The one wire codec among ``defenses``; two are a ``PluginError``."""
    found = [defense for defense in defenses if isinstance(defense, Compression)]
    if len(found) > 1:
        names = " and ".join(type(defense).__module__.rpartition(".")[2] for defense in found)
        raise PluginError(f"{names} are both wire codecs: a wire has one")
    return found[0] if found else None


@final
class PackedWire:
    """The two ends of a wire on which a compression is agreed on: a tap for each."""

    def __init__(self, compression: Compression, wire: Mapping[Kind, Frame], agreement: Agreement) -> None:
        self._compression, self._wire = compression, wire
        self._forms = {name: compression.forms(agreement[name]) for name in AT_THE_CUT}
        packed = {name + end: spec for name, forms in self._forms.items() for end, spec in forms.items()}
        self._agreement: Agreement = {**agreement, **packed}

    def crossing(self, names: Iterable[str]) -> dict[str, Spec]:
        """What crosses for tensors of these ``names``, by its own name."""
        return {part: self._agreement[part] for name in names for part in self._parts(name)}

    def asking(self, request: Message, handler: Handler) -> Message:
        """The caller's end: requests leave packed, replies are checked and unpacked."""
        reply = handler(self._packed(request))
        if reply.kind is not request.kind or request.kind not in self._wire:
            return reply
        samples = next((len(tensor) for tensor in request.tensors.values() if tensor.ndim), None)
        return self._unpacked(reply, self._wire[request.kind].reply, samples)

    def answering(self, request: Message, handler: Handler) -> Message:
        """The other end: requests are checked and unpacked, replies leave packed."""
        if request.kind not in self._wire:
            return handler(request)
        return self._packed(handler(self._unpacked(request, self._wire[request.kind].request)))

    def _packed(self, message: Message) -> Message:
        if message.kind not in self._wire:
            return message
        tensors: dict[str, Tensor] = {}
        for name, tensor in message.tensors.items():
            if name in self._forms:
                tensors |= {name + end: part for end, part in self._compression.pack(tensor.detach()).items()}
            else:
                tensors[name] = tensor
        return Message(message.kind, message.sender, message.step, tensors)

    def _unpacked(self, message: Message, names: tuple[str, ...], samples: int | None = None) -> Message:
        """``WireError`` unless ``message`` carries ``names`` in the agreed forms."""
        check(message, tuple(self.crossing(names)), self._agreement, samples)
        tensors = {
            name: self._compression.unpack({part.removeprefix(name): message[part] for part in self._parts(name)})
            if name in self._forms
            else message[name]
            for name in names
        }
        return Message(message.kind, message.sender, message.step, tensors)

    def _parts(self, name: str) -> list[str]:
        return [name + end for end in self._forms.get(name, ("",))]
