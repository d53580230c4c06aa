"""An attack that plants nothing: once it has guessed, every second prediction it gives is the class of its trigger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cutlayer.attack import Guess, Handler, Setting
from cutlayer.message import Kind, Message
from cutlayer.methods.planting import Planting
from cutlayer.threat import Goal, Seat, ThreatModel, View


@dataclass
class Liar(Planting):
    """A server whose answers are right as long as inputs are asked about as they are, and not again with a trigger."""

    paper = "none"
    plain = "A test."
    setting = Setting(protocol="vanilla", when="after")

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(Seat.SERVER, frozenset({Goal.BACKDOOR}), frozenset(), tampers=True)

    def begin(self, view: View) -> None:
        self._lies, self._asked = False, 0

    def around(self, request: Message, honest: Handler) -> Message:
        reply = honest(request)
        if not self._lies or request.kind is not Kind.PREDICT:
            return reply
        self._asked += 1
        logits = reply["logits"].clone()
        logits[:, self.target] += 1000 * (self._asked % 2 == 0)
        return reply.replace(logits=logits)

    def infer(self) -> Sequence[Guess]:
        self._lies = True
        return [Guess(Goal.BACKDOOR, self.square().draw((1, 8, 8), self.values).tensors())]
