"""The server of a deployment: whose turn it is, who hands over to whom, and what if a client stays away."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cutlayer.deploying.conversation import Conversation
from cutlayer.deploying.outcome import Outcome
from cutlayer.deploying.place import Batches, Place
from cutlayer.deploying.relay import Relay
from cutlayer.deploying.roll import Present, Roll
from cutlayer.deploying.standing import Standing
from cutlayer.deploying.turn import Turn, common_step
from cutlayer.exchange.handover import Route
from cutlayer.layout import PartyFolder
from cutlayer.protocol import TRAINING
from cutlayer.threat import Progress
from cutlayer.transport.duplex import DisconnectedError, RefusedError
from cutlayer.wire import WireError

logger = logging.getLogger("cutlayer")


@dataclass
class Coordinator:
    """The server at work. Its notes, kept with every checkpoint, say where the training stands."""

    place: Place
    roll: Roll
    watch: Progress = lambda what, done, total: None
    say: Callable[[str], None] = lambda text: None
    turns: list[Turn] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._plan, self._durable = self.place.plan, self.place.durable
        self._names = self._plan.terms.clients
        self._patience = self.place.settings.wait_seconds
        folder = PartyFolder(self.place.settings.folder)
        self._rows = folder.rows
        if self._durable.drives and self._rows.exists():
            self._batches.take_up(self._rows)
        if not self._durable.recover():
            self._durable.notes = Standing().noted()
            self._durable.begin(Turn())
        self.outcome = Outcome(self.place)
        self._talk = Conversation(self._durable, self._patience, self.outcome, self._stepped)
        self._relay = Relay(self._plan, self.roll, self._talk, folder.client_part, self.say)

    def run(self) -> list[str]:
        """Lead the training to its end; the clients that have not fetched their final part."""
        self._gather()
        self.roll.hold_to(dict(zip(self._names, self._stands.rows, strict=True)), self._stands.meaning)
        self.turns = self._plan.turns(self._stands.rows)
        while self._stands.done < len(self.turns):
            self._evaluate_where_due()
            self._take(self.turns[self._stands.done])
        self.outcome.skipped = tuple(self._stands.skipped)
        self.outcome.finish()
        last = self._stands.last
        # Who trained last holds what the others still want.
        order = sorted(self._names, key=lambda name: last is not None and name == self._names[last])
        missing = [name for name in order if not self._dismiss(name)]
        self.outcome.write("done")
        if not missing or self._relay.route is Route.PEER:
            self._relay.forget()
            self._durable.shelf.clear()
        return missing

    @property
    def _stands(self) -> Standing:
        return Standing.read(self._durable.notes)

    @property
    def _holder(self) -> int:
        """Who took the last turn, once there was one."""
        assert self._stands.last is not None
        return self._stands.last

    def _save(self, **notes: Any) -> None:
        self._durable.notes = {**self._stands.noted(**notes), "outcome": self.outcome.dump()}
        self._durable.keeps_also = self._stands.last_turn
        self._durable.save()
        self.roll.forgive()

    @property
    def _batches(self) -> Batches:
        assert isinstance(self._durable.batch, Batches)
        return self._durable.batch

    def _gather(self) -> None:
        """Wait for everybody once: the order of turns depends on how much data each client has."""
        if self._stands.rows:
            return
        there = self._everybody()
        while not self.roll.same_meaning(self.place.meaning, there):
            there = self._everybody()
        hellos = [present.hello for present in there]
        if self._durable.drives:
            self.roll.same_rows(self.place.samples, there)
            rows = {number: hello.labeled_rows() for number, hello in enumerate(hellos)}
            self._batches.serve(rows, self._rows)
        self._save(rows=[hello.rows for hello in hellos], meaning=hellos[0].meaning)

    def _everybody(self) -> list[Present]:
        there = (self._wait(number, lambda: False) for number in range(len(self._names)))
        return [present for present in there if present]

    def _wait(self, client: int, may_give_up: Callable[[], bool]) -> Present | None:
        while True:
            found = self.roll.wait(self._names[client], self._patience, may_give_up)
            if found is None or found.turn not in self._stands.skipped:
                return found
            with contextlib.suppress(DisconnectedError):
                self._talk.tell(found, "abandon", turn=found.turn)
                said = self._talk.hear(found, "ready")
                found.turn, found.step = (self._talk.number(found, said, key) for key in ("turn", "step"))
                found.reach = found.step
                return found

    def _others_there(self, client: int) -> bool:
        return any(self.roll.present(name) for number, name in enumerate(self._names) if number != client)

    def _take(self, turn: Turn) -> None:
        while True:
            present = self._wait(turn.client, lambda: self._others_there(turn.client))
            if present is None:
                self._skip(turn)
                return
            try:
                if not self._prepare(turn, present):
                    return
                self._train(turn, present)
                return
            except DisconnectedError as error:
                self.say(f"{present.name}: {error}")
            except WireError as error:
                # Steps that nobody who keeps to the plan could claim.
                present.link.close(RefusedError(str(error)))
                self.say(f"{present.name}: {error}")

    def _prepare(self, turn: Turn, present: Present) -> bool:
        """Bring client and server to the same step of the turn; ``False`` where another turn was undone instead."""
        durable = self._durable
        durable.mend()
        if present.turn > turn.number:
            self._talk.refuse(
                present, f"{present.name} stands in turn {present.turn}, this server only in {turn.number}"
            )
        if present.turn < turn.number:
            if durable.turn.number == turn.number:
                durable.back(durable.turn.start)
            at = replace(turn, start=durable.party.step)
            last = self._stands.last
            if last is None or last == turn.client:
                self._talk.tell(present, "begin", at=asdict(at))
                self._talk.hear(present, "ready")
            elif not self._hand_over(at, present):
                return False
            present.turn, present.step, present.reach = turn.number, at.start, at.start
        if durable.turn.number < turn.number:
            durable.begin(replace(turn, start=durable.party.step))
        steps = (durable.party.step, present.step) if durable.drives else (present.step, durable.party.step)
        common = common_step(*steps, (durable.reach, present.reach), durable.turn.start)
        if common is not None:
            if durable.party.step > common:
                durable.back(common)
            present.step = min(present.step, common)
        return True

    def _train(self, turn: Turn, present: Present) -> None:
        durable = self._durable
        for name in self.roll.names:
            other = self.roll.present(name)
            if other and other is not present:
                # One that has gone this moment is no affair of this turn.
                with contextlib.suppress(DisconnectedError, RefusedError):
                    other.link.tell("wait", why=f"{present.name} trains, turn {turn.number} of {len(self.turns)}")
        self.outcome.begin()
        self._talk.tell(present, "drive", step=present.step)
        if durable.drives:
            self._talk.hear(present, "ready")
            self._talk.drive(present)
            self._talk.tell(present, "rest")
        self._talk.hear(present, "done", kinds=() if durable.drives else TRAINING)
        if durable.party.step != durable.turn.end:
            self._talk.refuse(
                present, f"{present.name} ends its turn at step {durable.party.step}, not {durable.turn.end}"
            )
        self._relay.store(turn, present)
        present.step = durable.party.step
        self.outcome.turn(durable.turn, durable.party.losses)
        self._save(last=turn.client, last_turn=turn.number, done=turn.number)

    def _stepped(self) -> None:
        turn = self._durable.turn
        what = f"epoch {turn.epoch} of {self._plan.experiment.epochs}, {self._names[turn.client]}"
        self.watch(what, self._durable.party.step - turn.start, turn.count)

    def _hand_over(self, at: Turn, taker: Present) -> bool:
        """Bring the client part to ``taker``; ``False`` where who holds it stays away, and its turn was undone."""
        peer = self._relay.route is Route.PEER
        if not self._holder_there(lambda: peer and self._can_undo(at.client)):
            self._undo()
            return False
        self._relay.bring(at, taker, self._names[self._holder])
        return True

    def _holder_there(self, may_give_up: Callable[[], bool]) -> bool:
        """Wait for who holds the client part between turns, where that is not this server; whether it has come."""
        last = self._holder
        holder = self._relay.holder(self._names[last])
        if holder == self._names[last]:
            return self._wait(last, may_give_up) is not None
        return not holder or self.roll.wait(holder, self._patience, may_give_up) is not None

    def _skip(self, turn: Turn) -> None:
        """Go on without a turn: everything stands as if it had not begun."""
        name = self._names[turn.client]
        hopeless = "was refused, or did not answer, too often"
        why = hopeless if self.roll.hopeless(name) else f"has been away for {self._patience:g} s"
        logger.warning("turn %d is skipped: %s %s", turn.number, name, why)
        self.say(f"turn {turn.number} is skipped: {name} {why}")
        if self._durable.turn.number == turn.number:
            self._durable.at_start_of(turn.number)
        self._closed(turn, [*self._stands.skipped, turn.number])

    def _can_undo(self, taker: int) -> bool:
        mark = next((m for m in self._durable.shelf.marks() if m.turn == self._stands.last_turn), None)
        if mark is None:
            return False
        former = Standing.read(self._durable.shelf.read(mark)[1]["notes"]).last
        return former is None or former == taker or self.roll.present(self._names[former]) is not None

    def _undo(self) -> None:
        """Give up the last turn that was completed: nobody else has what its client learned in it."""
        number, done, skipped = self._stands.last_turn, self._stands.done, self._stands.skipped
        logger.warning("turn %d is given up: its client did not hand over", number)
        self.say(f"turn {number} is given up: its client did not hand over")
        self._durable.at_start_of(number)
        self.outcome.load(self._durable.notes)
        self._closed(replace(self._durable.turn, number=done), [*skipped, number])

    def _closed(self, turn: Turn, skipped: list[int]) -> None:
        self._durable.turn = replace(turn, count=0, start=self._durable.party.step)
        self._save(done=turn.number, skipped=skipped)

    def _evaluate_where_due(self) -> None:
        """After an epoch that is not the last: there each client measures when it has the final part."""
        done, last, every = self._stands.done, self._stands.last, self._plan.terms.evaluate
        if last is None or not every or self.turns[done].epoch == self.turns[done - 1].epoch:
            return
        epoch = self.turns[done - 1].epoch
        while epoch % every == 0 and self._stands.evaluated < epoch:
            present = self._wait(last, lambda: self._others_there(last))
            try:
                if present:
                    self._evaluate(present, epoch)
                self._save(evaluated=epoch)
            except DisconnectedError as error:
                self.say(f"{present.name if present else ''}: {error}")

    def _evaluate(self, present: Present, epoch: int) -> None:
        self._durable.mend()
        self._talk.evaluate(present, epoch, self.place.samples)

    def _dismiss(self, name: str) -> bool:
        """Bring the final client part to a client, let it measure, and let it go; whether it was there for that."""
        number, end = self._names.index(name), len(self.turns) + 1
        if number in self._stands.finished:
            return True
        while True:
            present = self._wait(number, lambda: True)
            if present is None:
                return False
            try:
                if present.turn < end and self._stands.last not in (None, number):
                    at = Turn(end, self._plan.experiment.epochs, number, start=self._durable.party.step)
                    if not self._final(at, present):
                        return False
                if self._stands.last is not None and number not in self._stands.measured:
                    self._evaluate(present, self._plan.experiment.epochs)
                    self._save(measured=[*self._stands.measured, number])
                self._talk.tell(present, "finish")
                self._talk.hear(present, "done")
                present.link.close()
                self._save(finished=[*self._stands.finished, number])
                return True
            except DisconnectedError as error:
                self.say(f"{name}: {error}")

    def _final(self, at: Turn, taker: Present) -> bool:
        """The last hand-over; ``False`` where who holds the final part stays away, too late to undo anything."""
        if not self._holder_there(lambda: True):
            return False
        self._relay.bring(at, taker, self._names[self._holder])
        return True
