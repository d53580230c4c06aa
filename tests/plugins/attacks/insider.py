"""Malicious clients that use all that their seat shows them, and count the messages that pass through their hands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cutlayer.attack import Guess, Handler, TamperingAttack
from cutlayer.message import Kind, Message
from cutlayer.threat import Goal, Knows, Seat, ThreatModel, View


@dataclass
class Insider(TamperingAttack):
    """Scales the gradient that its own part of the network gives or gets."""

    paper = "none"
    plain = "A test."
    factor: float = 1.0
    _seen: Counter[Kind] = field(default_factory=Counter, init=False)

    @property
    def threat(self) -> ThreatModel:
        knows = {Knows.OWN_PART, Knows.OWN_PARTY, Knows.LABELS, Knows.SCHEDULE}
        return ThreatModel(Seat.CLIENT, frozenset({Goal.LABELS}), frozenset(knows), tampers=True)

    def begin(self, view: View) -> None:
        self._view = view
        assert view.schedule()(0) > 0

    def around(self, request: Message, honest: Handler) -> Message:
        party = self._view.own_party()
        self._view.note("name", party.name)
        assert self._view.own_part() is not party.parts[0]
        reply = honest(request)
        self._seen[request.kind] += 1
        return reply.replace(grad=reply["grad"] * self.factor) if "grad" in reply else reply

    def infer(self) -> Sequence[Guess]:
        self._view.note("messages", sum(self._seen.values()))
        self._view.note("predictions", self._seen[Kind.PREDICT])
        return []
