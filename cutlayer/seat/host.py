"""Where the server's party lives, with the adversary in its seat: in this process, or in another one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from torch import Tensor

from cutlayer.adversary import Adversary
from cutlayer.attack import Guess
from cutlayer.batch import Batch
from cutlayer.channel import Direct, Handler, Loopback, Meter
from cutlayer.compression import PackedWire
from cutlayer.exchange.handover import Keeper
from cutlayer.exchange.pipeline import Lookahead
from cutlayer.exchange.way import Way, guarded
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.protocol import Protocol
from cutlayer.tap import Tap, wrap
from cutlayer.threat import Knows, Note, Row
from cutlayer.wire import Agreement

Carrier = type[Direct] | type[Loopback]


class Act(StrEnum):
    """What a party that drives can be told to do with a batch."""

    STEP = "step"
    PREDICT = "predict"


def perform(act: Act, protocol: Protocol, driver: Party, peer: Handler, batch: Batch) -> None:
    """Let ``driver`` do ``act``."""
    (protocol.train if act is Act.STEP else protocol.predict)(driver, peer, batch)


@dataclass(frozen=True)
class Findings:
    """What an adversary leaves beside its guesses."""

    used: Mapping[Knows, int] = field(default_factory=dict)
    """What it reached for, and how often."""
    notes: Mapping[str, Note] = field(default_factory=dict)
    seconds: float = 0.0


class Occupant(ABC):
    """Who sits in the attacked seat, beside the party there."""

    findings = Findings()
    """Complete once ``infer`` has returned."""

    @abstractmethod
    def announce(self, targets: Sequence[Row]) -> None:
        """Tell the adversary which samples it is to guess."""

    @abstractmethod
    def memory(self) -> Mapping[str, Tensor] | None:
        """The adversary's state, for an interrupted training; None where there is none, or it cannot be told."""

    @abstractmethod
    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Put a new adversary where ``memory`` was taken."""

    @abstractmethod
    def infer(self) -> Sequence[Guess]:
        """The adversary's guesses; an honest party has none."""


class LocalOccupant(Occupant):
    """An adversary in this process, or nobody."""

    def __init__(self, adversary: Adversary | None) -> None:
        self.adversary = adversary
        if adversary:
            adversary.begin()

    def announce(self, targets: Sequence[Row]) -> None:
        """Put the targets into the adversary's view."""
        if self.adversary:
            self.adversary.view.targets = tuple(targets)

    def memory(self) -> Mapping[str, Tensor] | None:
        """What the attack says of itself, with its stream."""
        return self.adversary.checkpoint() if self.adversary else None

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Hand it back to the attack."""
        assert self.adversary
        self.adversary.restore(memory)

    def infer(self) -> Sequence[Guess]:
        """Ask the adversary."""
        if self.adversary is None:
            return ()
        guesses = self.adversary.infer()
        view = self.adversary.view
        self.findings = Findings(dict(view.used), dict(view.notes), self.adversary.seconds + view.spared)
        return guesses


class Host(ABC):
    """The server's end of every exchange, whichever side drives."""

    occupant: Occupant
    """Who sits in the server's seat."""

    def __init__(self) -> None:
        self.meter = Meter()

    @abstractmethod
    def answer(self, request: Message) -> Message:
        """Carry ``request`` from a client to the server's party and bring the reply back."""

    @abstractmethod
    def drive(self, act: Act, batch: Batch, client: str, peer: Handler, upcoming: Batch | None = None) -> None:
        """Let the server's party drive; ``peer`` is ``client``, who answers.

        ``upcoming``: the batch of the turn's next step, whose first forward pass is made ahead.
        """

    @abstractmethod
    def checkpoint(self) -> Mapping[str, Tensor]:
        """The server party's state."""

    @abstractmethod
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put the server's party into that state."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the host holds."""


class LocalHost(Host):
    """The server's party in this process, reached through ``carrier``."""

    def __init__(
        self,
        protocol: Protocol,
        party: Party,
        agreement: Agreement,
        carrier: Carrier = Direct,
        adversary: Adversary | None = None,
        packed: PackedWire | None = None,
        beside: Tap | None = None,
    ) -> None:
        """``beside``: another tap, between the adversary and the party: a recorder, or what stands in for the party."""
        super().__init__()
        self.party = party
        self.occupant: LocalOccupant = LocalOccupant(adversary)
        self._protocol, self._carrier, self._way = protocol, carrier, Way(protocol, agreement, packed)
        # An attack's honest party is what stands beside: nearer to the party, or, where that drives, to its peer.
        self._taps: list[Tap] = [tap for tap in (adversary, beside) if tap]
        self._serving = serving(protocol, party, agreement)
        self.answering = self._way.answering(self._served)
        """The party with the adversary at its side, without a carrier in between."""
        self._carried = carrier(self.answering, self.meter)
        self._clients: dict[str, Handler] = {}
        self._ahead = Lookahead(protocol, party)

    def join(self, companion: Tap) -> None:
        """Let ``companion`` stand before all who are there already, from the next exchange on."""
        self._taps.insert(0, companion)
        self._clients.clear()

    def _served(self, request: Message) -> Message:
        return guarded(self._serving, self._taps[::-1], drives=False)(request)

    def answer(self, request: Message) -> Message:
        """Through the carrier, past the adversary, to the party."""
        return self._carried(request)

    def drive(self, act: Act, batch: Batch, client: str, peer: Handler, upcoming: Batch | None = None) -> None:
        """The party drives; the adversary stands at its end of the carrier."""
        self._ahead.upcoming = (lambda: upcoming) if upcoming else None
        if client not in self._clients:
            asked = self._way.asking(wrap(self._carrier(peer, self.meter), self._ahead))
            self._clients[client] = guarded(asked, self._taps, drives=True)
        perform(act, self._protocol, self.party, self._clients[client], batch)

    def checkpoint(self) -> Mapping[str, Tensor]:
        """Copies of the party's state."""
        return self.party.checkpoint()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the party's state."""
        self.party.restore(tensors)

    def close(self) -> None:
        """Nothing to give back."""


def serving(protocol: Protocol, party: Party, agreement: Agreement) -> Handler:
    """The server as one that answers: client parts that it is asked to keep it keeps, the rest goes to its party."""
    honest, keeper = protocol.handler(party, agreement), Keeper(party.name)
    return lambda request: keeper(request) if request.kind is Kind.WEIGHTS else honest(request)
