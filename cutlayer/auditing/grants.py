"""What the experiment grants an adversary about the other seats, where a threat model declares it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cutlayer.data.auxiliary import Auxiliary
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.session import Session
from cutlayer.threat import Knows, NotOfferedError


class Outside:
    """Answers for the other seats what a threat model declares and the experiment offers."""

    session: Session

    def __init__(
        self, auxiliary: Auxiliary | None = None, natural: Mapping[Knows, Callable[[], Tensor]] | None = None
    ) -> None:
        self._auxiliary = auxiliary
        self._natural = natural or {}

    def __call__(self, what: Knows, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Copies of what the client whose turn it is knows, and of the adversary's own data."""
        if what in {Knows.AUX_INPUTS, Knows.AUX_LABELS}:
            if self._auxiliary is None:
                raise NotOfferedError(f"the experiment has no data for {what}")
            return {"value": self._auxiliary.inputs() if what is Knows.AUX_INPUTS else self._auxiliary.labels()}
        if what in self._natural:
            return {"value": self._natural[what]()}
        client = self.session.clients[self.session.last or 0]
        if what is Knows.PEER_WEIGHTS:
            return client.weights()
        if what is Knows.PEER_GRADIENTS:
            return client.gradients()
        if what is Knows.PEER_QUERIES:
            return {"value": self._asked(client, tensors["0"])}
        if what is Knows.CLASS_PRIOR:
            labels = self.session.samples.dataset.train.labels
            counts = torch.bincount(labels, minlength=len(self.session.samples.dataset.classes))
            return {"value": counts / len(labels)}
        raise NotOfferedError(f"an experiment cannot offer {what} yet")

    def _asked(self, client: Party, inputs: Tensor) -> Tensor:
        """What the client would send for ``inputs``: a query passes its defenses as any prediction does."""
        answer = Message(Kind.PREDICT, client.name, client.queries, {"smashed": client.forward(inputs, training=False)})
        client.queries += 1
        for defense in self.session.defenses:
            answer = defense.guard(answer)
        return answer["smashed"].cpu()
