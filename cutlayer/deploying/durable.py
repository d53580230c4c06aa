"""A party whose completed steps outlive its process: what it receives is kept, and worked through again after a stop.

Both halves of a training step are pure functions of a party's state and of what it receives, so a checkpoint and the
frames received since give back the state to the last bit. The party that answers keeps its replies to the latest step:
a request that comes again gets the same reply, and is not applied again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from cutlayer.batch import Batch
from cutlayer.channel import Channel, Handler, Meter
from cutlayer.codec import FrameError, decode, encode
from cutlayer.compression import PackedWire
from cutlayer.deploying.checkpoint import Mark, Shelf
from cutlayer.deploying.turn import Turn
from cutlayer.exchange.pipeline import Lookahead
from cutlayer.exchange.scrutiny import Scrutiny
from cutlayer.exchange.way import Way, guarded
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.protocol import TRAINING, Protocol
from cutlayer.state import as_bytes, as_tensor, named, under
from cutlayer.tap import Tap, wrap
from cutlayer.wire import Agreement, WireError

MAX_JOURNAL = 1 << 28
"""Bytes; a journal that has grown so long is ended by a checkpoint even when none is due."""
_SHOWN = 200  # characters of an error of a network


@dataclass(frozen=True, slots=True)
class Answered:
    """A request and the reply to it, as bytes."""

    step: int
    request: bytes
    reply: bytes


@dataclass
class Durable:
    """A party with a shelf."""

    party: Party
    protocol: Protocol
    agreement: Agreement
    shelf: Shelf
    batch: Callable[[Turn, int], Batch] | None
    """The batch of a training step, of its arguments alone, at the party that drives; none at the one that answers."""
    taps: Sequence[Tap] = ()
    """The party's defenses, and who records, in the order in which what it sends passes them."""
    packed: PackedWire | None = None
    """The wire with its codec, where the plan has one."""
    every: int = 100
    """Training steps between two checkpoints."""
    pipelined: bool = False
    """Whether the party that drives makes its next step's first forward pass while it waits for this one's answer."""
    rate: Callable[[int], Callable[[int], float]] | None = None
    """The learning rate by step, given the steps in an epoch; without it the party's own schedule."""
    turn: Turn = field(default_factory=Turn)
    notes: dict[str, Any] = field(default_factory=dict)
    """What else the owner wants kept with every checkpoint, as JSON."""
    meter: Meter = field(default_factory=Meter)
    scrutiny: Scrutiny = field(default_factory=Scrutiny)
    """Of the gradients that a client was sent back in the present turn."""
    keeps_also: int = 0
    """The number of a turn whose first checkpoint is not forgotten."""
    _kept: dict[Kind, Answered] = field(default_factory=dict)
    """Requests and replies of the latest step, at the party that answers."""
    _broken: bool = False

    def __post_init__(self) -> None:
        self._way = Way(self.protocol, self.agreement, self.packed)
        self._ahead = Lookahead(self.protocol, self.party)
        answer = guarded(self.protocol.handler(self.party, self.agreement), self.taps, drives=False)
        self._handler = self._way.answering(answer)

    @property
    def drives(self) -> bool:
        """Whether it is this party that begins every step."""
        return self.batch is not None

    def asked(self, channel: Channel) -> Handler:
        """The way to the party that answers over ``channel``: unpacked where a codec is agreed on, and checked."""
        return self._way.asking(lambda request: channel(request, self._ahead.due(request.kind)))

    def guard(self, peer: Handler) -> Handler:
        """``peer`` behind the taps of a party that drives."""
        return guarded(peer, self.taps, drives=True)

    def recover(self) -> bool:
        """Stand where the last process stopped; whether there was one."""
        marks = self.shelf.marks()
        if marks:
            self._stand(marks[-1])
        return bool(marks)

    def begin(self, turn: Turn) -> None:
        """Start a turn, durably, from the party's present state."""
        if self.party.step != turn.start:
            raise WireError(
                f"turn {turn.number} starts at step {turn.start}, {self.party.name!r} stands at step {self.party.step}"
            )
        self._take_up(turn)
        self.party.losses.clear()
        self.scrutiny.clear()
        self._kept.clear()
        self.save()

    def save(self) -> None:
        """Keep the present state as a checkpoint; no step may be under way."""
        self.party.ledger.clear()
        mark = Mark(self.turn.number, self.party.step)
        meter = asdict(self.meter)
        tensors = named("party", self.party.checkpoint())
        tensors["losses"] = torch.tensor(self.party.losses, dtype=torch.float64)
        tensors |= named("scrutiny", self.scrutiny.checkpoint())
        for kind, kept in self._kept.items():
            tensors |= {f"kept.{kind}.request": as_tensor(kept.request), f"kept.{kind}.reply": as_tensor(kept.reply)}
        self.shelf.write(mark, tensors, {"turn": asdict(self.turn), "notes": self.notes, "meter": meter})
        marks = self.shelf.marks()
        own = [other for other in marks if other.turn == mark.turn]
        before = [other for other in marks if other.turn < mark.turn]
        also = [other for other in marks if other.turn == self.keeps_also]
        self.shelf.keep_only({own[0], *own[-2:], *before[-1:], *also[:1]})

    @property
    def reach(self) -> int:
        """The earliest step of the turn from which on this party can stand at every one."""
        own = [mark.step for mark in self.shelf.marks() if mark.turn == self.turn.number]
        return own[-2:][0] if own else self.party.step

    def back(self, step: int) -> None:
        """Stand at an earlier step of the turn: its start, or one from ``reach`` on."""
        marks = [mark for mark in self.shelf.marks() if mark.turn == self.turn.number and mark.step <= step]
        if not marks:
            raise WireError(f"{self.party.name!r} cannot go back to step {step} of turn {self.turn.number}")
        self._stand(marks[-1], step)
        if self.party.step != step:
            raise WireError(f"{self.party.name!r} cannot stand at step {step} any more, only at {self.party.step}")

    def before(self, number: int) -> None:
        """Stand where this party stood before turn ``number``, which it will not finish."""
        marks = [mark for mark in self.shelf.marks() if mark.turn < number]
        if not marks:
            raise WireError(f"{self.party.name!r} holds nothing from before turn {number}")
        self._stand(marks[-1])

    def at_start_of(self, number: int) -> bool:
        """Stand at the start of turn ``number``, where that is still possible; whether it was."""
        marks = [mark for mark in self.shelf.marks() if mark.turn == number]
        if marks:
            self._stand(marks[0], marks[0].step)
        return bool(marks)

    def drive(self, channel: Channel, heard: Callable[[], bytes]) -> None:
        """The next step of the turn over ``channel``; ``heard`` gives the frame that came last.

        Whatever breaks it off, the party then stands at the last completed step.
        """
        asked = self.asked(channel)

        def ask(request: Message) -> Message:
            reply = asked(request)
            if request.kind in TRAINING:
                self.shelf.append(heard())
            return reply

        if self._broken:
            self.recover()
        # A step that breaks off has moved running statistics already: the disk knows better than the memory.
        self._broken = True
        self._step(ask)
        self._broken = False
        self._due()

    def answer(self, frame: bytes, kinds: Collection[Kind] = tuple(Kind)) -> bytes:
        """The reply to a request of one of ``kinds``.

        A refused one (``FrameError``, ``WireError``) leaves the party as it was.
        """
        request = decode(frame)
        if self.drives:
            # Its defenses stand around what it asks: whatever it answered would leave without them.
            raise WireError(f"{self._of(request)}: {self.party.name!r} asks and answers nothing")
        if request.kind not in kinds:
            raise WireError(f"{self._of(request)}: out of turn")
        if request.kind in TRAINING and request.step >= self.turn.end:
            raise WireError(f"{self._of(request)}: the turn ends at step {self.turn.end}")
        kept = self._kept.get(request.kind)
        if kept and kept.step == request.step:
            if kept.request != frame:
                raise WireError(f"{self._of(request)}: this step has had another one, which counts")
            return kept.reply
        try:
            reply = self._answer(request, frame)
        except (WireError, FrameError, OSError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - a network is anybody's code
            # What fits the plan can be too little for a layer, as one sample for BatchNorm; those before have seen it.
            self.recover()
            why = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN]
            raise WireError(f"{self._of(request)}: the network does not take it: {why}") from None
        if request.kind in TRAINING:
            self.shelf.append(frame)
            if request.step < self.party.step:
                self._due()
        return reply

    @staticmethod
    def _of(request: Message) -> str:
        return f"{request.kind} message of step {request.step} from {request.sender!r}"

    def mend(self) -> None:
        """Stand at the last completed step, after a step that may have been broken off."""
        if self._broken:
            self.recover()

    def _answer(self, request: Message, frame: bytes) -> bytes:
        reply = encode(self._handler(request))
        self.meter.count(request.kind, len(frame), len(reply))
        if request.kind in TRAINING:
            if any(kept.step != request.step for kept in self._kept.values()):
                self._kept.clear()
            self._kept[request.kind] = Answered(request.step, frame, reply)
        return reply

    def _take_up(self, turn: Turn) -> None:
        self.turn = turn
        if self.rate:
            self.party.schedule = self.rate(turn.epoch_steps)

    def _due(self) -> None:
        newest = self.shelf.marks()[-1]
        if self.party.step - newest.step >= self.every or self.shelf.journaled > MAX_JOURNAL:
            self.save()

    def _step(self, peer: Handler) -> None:
        turn, step, batch_of = self.turn, self.party.step, self.batch
        assert batch_of
        more = self.pipelined and step + 1 < turn.end
        self._ahead.upcoming = (lambda: batch_of(turn, step + 1)) if more else None
        batch, peer = batch_of(turn, step), self.guard(peer)
        if batch.labels is not None:
            peer = wrap(peer, self.scrutiny.of(batch.labels))
        self.protocol.train(self.party, peer, batch)
        self.party.ledger.clear()

    def _stand(self, mark: Mark, until: int | None = None) -> None:
        tensors, kept = self.shelf.read(mark)
        self._take_up(Turn(**kept["turn"]))
        self.notes = kept["notes"]
        for name, counted in kept["meter"].items():
            setattr(self.meter, name, {Kind(kind): number for kind, number in counted.items()})
        self.party.restore(under("party", tensors))
        self.party.losses[:] = tensors["losses"].tolist()
        self.scrutiny.restore(under("scrutiny", tensors))
        self._kept.clear()
        for kind in TRAINING & self.protocol.wire.keys():
            if f"kept.{kind}.request" in tensors:
                request, reply = (as_bytes(tensors[f"kept.{kind}.{end}"]) for end in ("request", "reply"))
                self._kept[kind] = Answered(decode(request).step, request, reply)
        frames = self.shelf.frames(mark)
        if until is not None:
            frames = [frame for frame in frames if decode(frame).step < until]
        if self.drives:
            # A step of which not everything came is asked for anew; the other side keeps its replies.
            trips_of_a_step = len(TRAINING & self.protocol.wire.keys())
            frames = frames[: len(frames) - len(frames) % trips_of_a_step]
        self.shelf.go_on(mark, frames)
        self._broken = False
        self._work_through(frames)

    def _work_through(self, frames: list[bytes]) -> None:
        if self.drives:
            tape = _Replies(frames, self.meter)
            while tape.left:
                self._step(self.asked(tape))
            return
        for frame in frames:
            self._answer(decode(frame), frame)


class _Replies(Channel):
    """Replies that have come before."""

    def __init__(self, frames: list[bytes], meter: Meter) -> None:
        super().__init__(meter)
        self.left = list(reversed(frames))

    def carry(self, frame: bytes) -> bytes:
        """The next of them."""
        return self.left.pop()
