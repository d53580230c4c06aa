"""What an adversary can know beyond the messages of its own seat, and the facts about each such thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum


class Source(Enum):
    """Who tells an adversary."""

    PARTY = "party"
    """The party of its own seat."""
    PLAN = "plan"
    """What all parties have agreed on, and the messages."""
    PEER = "peer"
    """A party of the other seat, which is asked for it."""
    EXPERIMENT = "experiment"
    """The experiment, which has the data."""


@dataclass(frozen=True)
class Facts:
    """What all who grant, refuse and tell have to know about one thing to know."""

    source: Source
    offerable: bool = False
    """Whether an experiment can offer it; else a seat has it by taking part or not at all."""
    live: bool = False
    """Whether only a running deployment can give it: no message of the attacked party holds it."""
    server_only: bool = False
    """Whether adversaries at the clients' seat are never told."""
    state: bool = False
    """Whether it is what the other seat's own part holds, tensors by their names: no defense touches these."""

    @property
    def outside(self) -> bool:
        """Whether it has to be asked for outside the adversary's own seat."""
        return self.source in {Source.PEER, Source.EXPERIMENT}


class Knows(StrEnum):
    """Something an adversary can know or hold beyond the messages of its own seat."""

    OWN_PART = "own_part"
    """A copy of the model part of its own seat."""
    OWN_PARTY = "own_party"
    """The live party of its own seat, to train as it likes."""
    LABELS = "labels"
    """The labels of the training samples."""
    PEER_ARCHITECTURE = "peer_architecture"
    """The layers of the other seat's parts, without their weights, and the shape of their inputs."""
    PEER_WEIGHTS = "peer_weights"
    """The weights of the other seat's parts."""
    PEER_GRADIENTS = "peer_gradients"
    """The gradients of the other seat's own weights after each step."""
    PEER_QUERIES = "peer_queries"
    """Outputs of the other seat's part on inputs of the adversary's choice; each one is counted."""
    AUX_INPUTS = "aux_inputs"
    """Other inputs of the same kind."""
    AUX_LABELS = "aux_labels"
    """The labels of those other inputs."""
    NATURAL_INPUTS = "natural_inputs"
    """Inputs to perturb."""
    NATURAL_LABELS = "natural_labels"
    """The labels of those inputs to perturb."""
    SCHEDULE = "schedule"
    """The learning rate at each step."""
    CLASS_PRIOR = "class_prior"
    """How often each class occurs."""

    @property
    def facts(self) -> Facts:
        """What else there is to know about it."""
        return FACTS[self]


FACTS: Mapping[Knows, Facts] = {
    Knows.OWN_PART: Facts(Source.PARTY),
    Knows.OWN_PARTY: Facts(Source.PARTY, live=True),
    Knows.LABELS: Facts(Source.PLAN),
    Knows.PEER_ARCHITECTURE: Facts(Source.PLAN, offerable=True, server_only=True),
    Knows.PEER_WEIGHTS: Facts(Source.PEER, offerable=True, live=True, server_only=True, state=True),
    Knows.PEER_GRADIENTS: Facts(Source.PEER, offerable=True, live=True, server_only=True, state=True),
    Knows.PEER_QUERIES: Facts(Source.PEER, offerable=True, live=True, server_only=True),
    Knows.AUX_INPUTS: Facts(Source.EXPERIMENT, offerable=True),
    Knows.AUX_LABELS: Facts(Source.EXPERIMENT, offerable=True),
    Knows.NATURAL_INPUTS: Facts(Source.EXPERIMENT, offerable=True, server_only=True),
    Knows.NATURAL_LABELS: Facts(Source.EXPERIMENT, offerable=True, server_only=True),
    Knows.SCHEDULE: Facts(Source.PLAN),
    Knows.CLASS_PRIOR: Facts(Source.EXPERIMENT, offerable=True),
}
"""Of every member: nothing can be known whose facts are not here."""
