"""How a client part gets from one client to the next: by the route of the plan, sealed wherever it passes others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cutlayer.codec import decode
from cutlayer.computing import computing
from cutlayer.deploying.conversation import Conversation
from cutlayer.deploying.roll import Present, Roll
from cutlayer.deploying.terms import Plan
from cutlayer.deploying.turn import Turn
from cutlayer.disk import PRIVATE, write_whole
from cutlayer.exchange.handover import Route, take_over
from cutlayer.message import Message
from cutlayer.seat.making import make_party
from cutlayer.threat import Seat
from cutlayer.transport.duplex import DisconnectedError
from cutlayer.wire import WireError


@dataclass
class Relay:
    """The server's side of every hand-over."""

    plan: Plan
    roll: Roll
    talk: Conversation
    held: Path
    """Where the server keeps a client part, if the plan lets it have one."""
    say: Callable[[str], None]

    @property
    def route(self) -> Route:
        """By the plan."""
        return self.plan.experiment.handover

    def holder(self, last: str) -> str:
        """Who must be connected for a hand-over, after the turn of the client ``last``; empty: nobody else."""
        return {Route.PEER: last, Route.TRUSTED_PARTY: self.plan.terms.trusted_party, Route.SERVER: ""}[self.route]

    def store(self, turn: Turn, giver: Present) -> None:
        """After a turn: bring the client part to whoever keeps it between turns."""
        if self.route is Route.SERVER:
            frame = self.talk.fetch(giver, turn=turn.number, taker="server")
            with self.talk.safely(giver):
                self._try(decode(frame))
            write_whole(self.held, frame, PRIVATE)
        elif self.route is Route.TRUSTED_PARTY:
            trustee = self.roll.wait(self.plan.terms.trusted_party, 0.0, lambda: False)
            assert trustee
            self._carry(turn, giver, trustee, giver.name)

    def forget(self) -> None:
        """The training is over: whoever kept the client part need not any more."""
        trustee = self.roll.present(self.plan.terms.trusted_party)
        if trustee:
            with contextlib.suppress(DisconnectedError):
                self.talk.tell(trustee, "finish")
                self.talk.hear(trustee, "done")
            trustee.link.close()

    def bring(self, at: Turn, taker: Present, last: str) -> None:
        """Bring the client part of the client ``last`` to ``taker``. ``DisconnectedError`` where somebody goes away."""
        holder = self.holder(last)
        giver = self.roll.present(holder) if holder else None
        if holder and giver is None:
            raise DisconnectedError(f"{holder} has gone, who holds the client part")
        self._carry(at, giver, taker, holder or "server")
        self.say(f"{taker.name} has taken over from {last}")

    def _try(self, part: Message) -> None:
        """Refuse what the next client could not take over: it would stop, and not who gave it."""
        experiment = self.plan.experiment
        parts = self.plan.protocol.deal(self.plan.build(0), self.plan.cuts)[Seat.CLIENT]
        computed = computing("cpu", "fp32", "contiguous")
        taker = make_party("the next client", parts, experiment.optimization(0), 0, computed)
        take_over(taker, part, experiment.optimizer_state)
        if part.step != (step := self.talk.durable.party.step):
            raise WireError(f"the part that {part.sender!r} hands over is of step {part.step}, not {step}")

    def _carry(self, at: Turn, giver: Present | None, taker: Present, name: str) -> None:
        self.talk.tell(taker, "take", at=asdict(at), giver=name)
        said = self.talk.hear(taker, "offered")
        offer: dict[str, Any] = {key: said.get(key) for key in ("public", "certificate", "signature")}
        wanted = {"turn": at.number, "taker": taker.name, **offer}
        frame = self.talk.fetch(giver, **wanted) if giver else self.held.read_bytes()
        with self.talk.safely(taker):
            taker.link.listening = True
            taker.link.send(frame)
        self.talk.hear(taker, "ready")
