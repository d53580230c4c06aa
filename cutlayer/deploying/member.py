"""A client of a deployment: it joins, does what the server's turn order asks for, and comes back when cut off."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from cutlayer import __version__
from cutlayer.batch import Batch
from cutlayer.codec import FrameError, decode, encode
from cutlayer.deploying.outcome import Outcome
from cutlayer.deploying.place import Place
from cutlayer.deploying.seal import Offer, Taker, context_of, seal
from cutlayer.deploying.terms import LANGUAGE
from cutlayer.deploying.turn import MOST_STEPS, MOST_TURNS, Turn
from cutlayer.exchange.handover import OptimizerState, Route, give, take_over
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE, predictions
from cutlayer.experiment import ExperimentError
from cutlayer.message import Kind, Message
from cutlayer.order import batch_sizes
from cutlayer.threat import Progress, Seat
from cutlayer.transport.certificate import Identity
from cutlayer.transport.duplex import MAX_CONTROL, DisconnectedError, Duplex, RefusedError, control, printable, worded
from cutlayer.transport.rpc import Grpc

_TURN = TypeAdapter(Turn)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_FAREWELL_SECONDS = 10.0
_DIGITS = 32  # by which turns and steps grow in first words


@dataclass
class Member:
    """One client at work."""

    place: Place
    identity: Identity | None
    dial: Callable[[], Duplex]
    watch: Progress = lambda what, done, total: None
    """Called after every step, and while it waits."""
    pins: dict[str, str] = field(default_factory=dict)
    _taker: Taker | None = None
    _coming: Turn = field(default_factory=Turn)
    _heard: bool = False
    """Whether the server has said anything over this connection."""

    def __post_init__(self) -> None:
        self._durable = self.place.durable
        self.outcome = Outcome(self.place)

    def run(self, once: bool = False) -> None:
        """Take part until the training is over; with ``once`` only as long as the first connection lasts.

        A lost connection is tried again for as long as it takes. ``RefusedError`` when the server will not have this
        client, ``WireError``, ``FrameError`` or ``SealError`` when what it sends is not as agreed. ``ExperimentError``
        for more rows than it could tell the server of.
        """
        self._tellable()
        pause = _FIRST_PAUSE
        while True:
            link, self._heard = self.dial(), False
            try:
                before = self._durable.party.step
                self._talk(link)
                return
            except DisconnectedError as error:
                if once:
                    self._durable.shelf.clear()
                    return
                self.watch(f"no connection ({printable(str(error))}); trying again", 0, 0)
                # A server that is not there yet has interrupted nothing.
                self.outcome.interruptions += self._heard
                pause = _FIRST_PAUSE if self._durable.party.step > before else min(pause * 2, _LONGEST_PAUSE)
                time.sleep(pause)
            finally:
                link.close()

    def _talk(self, link: Duplex) -> None:
        self._durable.mend()
        self.outcome.load(self._durable.notes)
        link.tell("hello", **self._hello())
        channel = Grpc(link, self.place.settings.wait_seconds, self._durable.meter)
        while True:
            frame = link.receive()
            self._heard = True
            said = control(frame)
            if said is None:
                self._frame(link, frame)
            elif said["verb"] == "finish":
                self.outcome.finish()
                link.tell("done")
                # Closing at once could overtake the word; the server ends the stream when it has heard it.
                with contextlib.suppress(DisconnectedError, RefusedError):
                    link.receive(_FAREWELL_SECONDS)
                self._durable.shelf.clear()
                return
            else:
                self._obey(link, channel, said)

    def _hello(self) -> dict[str, Any]:
        place, durable = self.place, self._durable
        samples = place.samples
        assert samples
        found = {
            "name": durable.party.name,
            "language": LANGUAGE,
            "version": __version__,
            "plan": place.plan.agreed(),
            "turn": durable.turn.number,
            "step": durable.party.step,
            "reach": durable.reach,
            "rows": len(place.rows),
            "dataset": [len(samples.train_rows), len(samples.test_rows)],
            "meaning": place.meaning,
        }
        if place.plan.protocol.driver is Seat.SERVER:
            found["labeled"] = base64.b64encode(np.packbits(place.labeled.numpy()).tobytes()).decode()
        return found

    def _tellable(self) -> None:
        """Refuse rows that the first words have no room for, before anybody is bothered with them."""
        hello, place = self._hello(), self.place
        room = MAX_CONTROL - len(worded("hello", **{**hello, "labeled": ""})) - _DIGITS
        # Four characters for three bytes of eight rows each.
        rows, most = hello["dataset"][0], room // 4 * 24
        if "labeled" in hello and rows > most:
            raise ExperimentError(
                f"dataset = {place.settings.dataset!r} has {rows} training rows: in {place.plan.experiment.protocol} "
                f"a client tells the server which of them it has labels for, and has room for {most}"
            )

    def _frame(self, link: Duplex, frame: bytes) -> None:
        if not self._coming.number:
            link.send(self._durable.answer(frame))
            self._stepped()
            return
        offered = decode(frame)
        if self._taker:
            offered = self._taker.open(offered, self.pins)
        take_over(self._durable.party, offered, self.place.plan.experiment.optimizer_state)
        self._begin(self._coming)
        link.tell("ready", step=self._durable.party.step)

    def _obey(self, link: Duplex, channel: Grpc, said: dict[str, Any]) -> None:
        verb, durable = said["verb"], self._durable
        if verb == "wait":
            self.watch(printable(str(said.get("why", "waiting"))[:200]), 0, 0)
        elif verb == "begin":
            self._begin(self._ordered(said))
            link.tell("ready", step=durable.party.step)
        elif verb == "take":
            self._offer(link, said)
        elif verb == "give":
            link.send(encode(self._given(said)))
        elif verb == "drive":
            self._drive(link, channel, said)
        elif verb == "rest":
            self._end_turn()
            link.tell("done", step=durable.party.step)
        elif verb == "evaluate":
            self._evaluate(link, channel, read_number(said, "epoch"))
        elif verb == "abandon":
            durable.before(read_number(said, "turn"))
            self.outcome.load(durable.notes)
            self.watch(f"turn {said['turn']} was given to others: away too long, or refused too often", 0, 0)
            link.tell("ready", turn=durable.turn.number, step=durable.party.step)
        else:
            raise FrameError(f"the server says {verb!r}, which means nothing here")

    def _ordered(self, said: dict[str, Any]) -> Turn:
        """The turn that the server orders; one that this client's own data cannot fill is a ``FrameError``."""
        turn, place, experiment = read_turn(said), self.place, self.place.plan.experiment
        batches = len(batch_sizes(len(place.rows), experiment.batch_size))
        there = 0 <= turn.first <= turn.first + turn.count <= batches and 1 <= turn.epoch <= experiment.epochs
        follows = self._durable.turn.number < turn.number < MOST_TURNS and 0 <= turn.start <= turn.end < MOST_STEPS
        if there and follows and turn.client == place.number:
            return turn
        raise FrameError(
            f"the server orders {turn}: this is client {place.number}, with {batches} batches in each of "
            f"{experiment.epochs} epochs, after turn {self._durable.turn.number}"
        )

    def _begin(self, turn: Turn) -> None:
        self._durable.begin(turn)
        self._taker, self._coming = None, Turn()

    def _offer(self, link: Duplex, said: dict[str, Any]) -> None:
        plan, turn = self.place.plan, self._ordered(said)
        if plan.experiment.handover is Route.SERVER:
            self._coming = turn
            link.tell("offered")
            return
        context = context_of(plan, turn.number, str(said.get("giver")), self._durable.party.name)
        assert self.identity
        self._coming, self._taker = turn, Taker(self.identity, context)
        offer = self._taker.offer
        fields = {name: base64.b64encode(value).decode() for name, value in asdict(offer).items()}
        link.tell("offered", **fields)

    def _given(self, said: dict[str, Any]) -> Message:
        plan, party = self.place.plan, self._durable.party
        taker = str(said.get("taker"))
        carried = plan.experiment.optimizer_state is OptimizerState.CARRIED
        message = give(party, Message(Kind.WEIGHTS, taker, party.step, {}), carried)
        if plan.experiment.handover is Route.SERVER:
            return message
        context = context_of(plan, read_number(said, "turn"), party.name, taker)
        assert self.identity
        return seal(message, read_offer(said), self.identity, context, self.pins)

    def _drive(self, link: Duplex, channel: Grpc, said: dict[str, Any]) -> None:
        durable, turn = self._durable, self._durable.turn
        step = read_number(said, "step")
        if durable.party.step > step:
            durable.back(step)
        self.outcome.begin()
        if not durable.drives:
            link.tell("ready", step=durable.party.step)
            return
        while durable.party.step < turn.end:
            durable.drive(channel, lambda: channel.answered)
            self._stepped()
        self._end_turn()
        link.tell("done", step=durable.party.step)

    def _end_turn(self) -> None:
        turn = self._durable.turn
        self.outcome.turn(turn, self._durable.party.losses, self._durable.scrutiny.means())
        self._durable.notes = {"outcome": self.outcome.dump()}
        self._durable.save()

    def _stepped(self) -> None:
        turn = self._durable.turn
        self.watch(f"epoch {turn.epoch}, turn {turn.number}", self._durable.party.step - turn.start, turn.count)

    def _evaluate(self, link: Duplex, channel: Grpc, epoch: int) -> None:
        """Accuracy on the client's own test split: it drives, or answers and holds what it predicted."""
        durable, samples = self._durable, self.place.samples
        assert samples
        right, protocol = 0, self.place.plan.protocol
        asked = durable.guard(durable.asked(channel))
        chunks = torch.split(samples.test_rows, PREDICTED_AT_ONCE)
        batches = (Batch(rows, samples.inputs(rows)) for rows in chunks)
        # Driving, it makes its next question while the server works on the last one.
        driven = predictions(protocol, durable.party, asked, batches) if durable.drives else None
        for number, rows in enumerate(chunks):
            if driven:
                next(driven)
                durable.party.ledger.clear()
            else:
                frame = link.receive(self.place.settings.wait_seconds)
                link.send(durable.answer(frame, (Kind.PREDICT,)))
            predicted = durable.party.predicted
            if predicted is None or len(predicted) != len(rows):
                raise FrameError(f"the server asks for predictions of other rows than the {len(rows)} that are due")
            right += int((predicted.cpu().argmax(1) == samples.labels(rows)).sum())
            self.watch(f"evaluating after epoch {epoch}", number + 1, len(chunks))
        self.outcome.evaluated(epoch, right / len(samples.test_rows))
        durable.notes = {"outcome": self.outcome.dump()}
        durable.save()
        link.tell("done")


def read_offer(said: dict[str, Any]) -> Offer:
    """The offer in a control message; a malformed one is a ``FrameError``."""
    try:
        return Offer(*(base64.b64decode(said[name], validate=True) for name in ("public", "certificate", "signature")))
    except (KeyError, TypeError, ValueError):
        raise FrameError("an offer to take over a client part is malformed") from None


def read_number(said: dict[str, Any], key: str) -> int:
    """The number ``key`` in what the server says; none is a ``FrameError``."""
    value = said.get(key)
    if not isinstance(value, int):
        raise FrameError(f"the server says no number {key!r} with {said['verb']!r}")
    return value


def read_turn(said: dict[str, Any]) -> Turn:
    """The turn that the server orders; a malformed one is a ``FrameError``."""
    try:
        return _TURN.validate_python(said["at"])
    except (ValidationError, KeyError):
        raise FrameError("the server's order of a turn is malformed") from None
