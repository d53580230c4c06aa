"""What the experiment grants an adversary about the other seats, where a threat model declares it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from cutlayer.data.auxiliary import Auxiliary
from cutlayer.defense import Defense
from cutlayer.knowledge import Knows, Source
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.simulation.session import Session
from cutlayer.threat import NotOfferedError, TooEarlyError


class Outside:
    """Answers for the other seats what a threat model declares and the experiment offers."""

    session: Session | None = None
    """The clients to be asked: assembled once the adversary has begun."""

    def __init__(
        self, auxiliary: Auxiliary | None = None, facts: Mapping[Knows, Callable[[], Tensor]] | None = None
    ) -> None:
        """``facts``: what needs nobody to be asked."""
        self._auxiliary = auxiliary
        self._facts = facts or {}

    def __call__(self, what: Knows, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Copies of what the client whose turn it is knows, and of the adversary's own data.

        ``TooEarlyError`` where a client is asked before there is one, ``NotOfferedError`` where nobody can answer.
        """
        if what in {Knows.AUX_INPUTS, Knows.AUX_LABELS}:
            if self._auxiliary is None:
                raise NotOfferedError(f"the experiment has no data for {what}")
            return {"value": self._auxiliary.inputs() if what is Knows.AUX_INPUTS else self._auxiliary.labels()}
        if what in self._facts:
            return {"value": self._facts[what]()}
        if what.facts.source is not Source.PEER:
            raise NotOfferedError(f"an experiment cannot offer {what} yet")
        session = self._begun(what)
        number = session.last or 0
        client = session.clients[number]
        if what is Knows.PEER_WEIGHTS:
            return client.weights()
        if what is Knows.PEER_GRADIENTS:
            return client.gradients()
        return {"value": _asked(client, tensors["0"], session.defenses.get(number, ()))}

    def malicious(self) -> Party:
        """The malicious client whose turn it is, or the first of them; ``TooEarlyError`` before there are clients."""
        session = self._begun(Knows.OWN_PARTY)
        numbers = list(session.adversaries)
        return session.clients[session.last if session.last in numbers else numbers[0]]

    def _begun(self, what: Knows) -> Session:
        if self.session is None:
            raise TooEarlyError(f"{what} is asked of a client, there is none while the attack begins: ask later")
        return self.session


def _asked(client: Party, inputs: Tensor, defenses: Sequence[Defense]) -> Tensor:
    """What the client would send for ``inputs``: a query passes its defenses as any prediction does."""
    answer = Message(Kind.PREDICT, client.name, client.queries, {"smashed": client.forward(inputs, training=False)})
    client.queries += 1
    for defense in defenses:
        answer = defense.guard(answer)
    return answer["smashed"].cpu()
