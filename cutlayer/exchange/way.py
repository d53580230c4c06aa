"""The way of messages between a party and the wire: the agreed codec, the check of what comes, the party's own taps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cutlayer.channel import Handler
from cutlayer.compression import PackedWire
from cutlayer.protocol import Protocol
from cutlayer.tap import Tap, wrap
from cutlayer.wire import Agreement


@dataclass(frozen=True)
class Way:
    """What both ends have agreed on; the same in a session and in a deployment."""

    protocol: Protocol
    agreement: Agreement
    packed: PackedWire | None = None
    """The wire with its codec, where one is agreed on."""

    def asking(self, carried: Handler) -> Handler:
        """What the party that drives calls: ``carried`` brings a packed request there and a packed reply back."""
        return self.protocol.checked(wrap(carried, self.packed.asking) if self.packed else carried, self.agreement)

    def answering(self, handler: Handler) -> Handler:
        """What a carrier brings requests to: ``handler`` behind the codec. It checks what it is asked itself."""
        return wrap(handler, self.packed.answering) if self.packed else handler

    def crossing(self, names: Iterable[str], samples: int) -> dict[str, Tensor]:
        """What crosses for tensors of these ``names``, by its own name: its shapes and types, without memory."""
        specs = self.packed.crossing(names) if self.packed else {name: self.agreement[name] for name in names}
        return {
            name: torch.empty(((samples,) if spec.batched else ()) + spec.shape, dtype=spec.dtype, device="meta")
            for name, spec in specs.items()
        }


def guarded(handler: Handler, taps: Sequence[Tap], drives: bool) -> Handler:
    """``handler`` with ``taps`` around it, in the order in which what this party sends passes them on its way out.

    The one that was put around last sees a request first and a reply last: a party that drives sends requests.
    """
    for tap in reversed(taps) if drives else taps:
        handler = wrap(handler, tap)
    return handler
