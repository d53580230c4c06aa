"""What the experiment grants an adversary about the other seats, where a threat model declares it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cutlayer.session import Session
from cutlayer.threat import Knows, NotOfferedError


class Outside:
    """Answers for the other seats what a threat model declares and the experiment offers."""

    session: Session

    def __call__(self, what: Knows, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Copies of what the client whose turn it is knows."""
        client = self.session.clients[self.session.last or 0]
        if what is Knows.PEER_WEIGHTS:
            return client.weights()
        if what is Knows.PEER_GRADIENTS:
            return client.gradients()
        if what is Knows.PEER_QUERIES:
            return {"value": client.forward(tensors["0"], training=False).cpu()}
        if what is Knows.CLASS_PRIOR:
            labels = self.session.samples.dataset.train.labels
            counts = torch.bincount(labels, minlength=len(self.session.samples.dataset.classes))
            return {"value": counts / len(labels)}
        raise NotOfferedError(f"an experiment cannot offer {what} yet")
