"""The attacked party, with the attack in it, in a process of its own: the truth never gets there."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sys
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import torch
from pydantic import TypeAdapter
from torch import Tensor

from cutlayer.attack import Guess
from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.codec import decode, encode
from cutlayer.computing import prepare
from cutlayer.isolated.lines import Line, Lines, Pipes
from cutlayer.isolated.process import IsolatedError, OtherProcess, PipedProcess, pack, unpack
from cutlayer.isolated.shelf import CallersShelf
from cutlayer.message import Kind, Message
from cutlayer.seat.host import Act, Findings, Host, Occupant
from cutlayer.seat.seating import Brief, Outside, answerable, seat_server
from cutlayer.shelf import Shelf
from cutlayer.state import named, under
from cutlayer.threat import Goal, Knows, NotOfferedError, Progress, Row, UndeclaredError
from cutlayer.wire import NotFiniteError, WireError

_ANSWERS = {"take": "taken", "grant": "granted"}
_EXPECTED = {error.__name__: error for error in (NotOfferedError, NotFiniteError, WireError)}


class ProcessHost(Host, Occupant):
    """The server's party in another process, and who sits beside it there: frames on one pipe, control on another."""

    def __init__(
        self,
        brief: Brief,
        outside: Outside,
        progress: Progress,
        process: OtherProcess | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        super().__init__()
        self.occupant = self
        self._outside, self._progress, self._shelf = outside, progress, shelf
        self._received: Mapping[str, Tensor] = {}
        self._granted: dict[Knows, int] = {}
        self._other = process or PipedProcess()
        try:
            self._answerable = answerable(brief)
            self._lines = self._other.lines
            self._tell("begin", dataclasses.asdict(brief))
        except BaseException:
            # Nobody holds a host yet that could be closed.
            self._other.close()
            raise

    def ready(self) -> None:
        """Wait until the other process stands; ``NotOfferedError`` when the attack needs more than is offered."""
        self._until("ready")

    def answer(self, request: Message) -> Message:
        """One frame there, one back."""
        frame = encode(request)
        self._send(frame)
        reply = self._until("", None)
        self.meter.count(request.kind, len(frame), len(reply))
        return decode(reply)

    def drive(self, act: Act, batch: Batch, client: str, peer: Handler, upcoming: Batch | None = None) -> None:
        """Hand the server its own inputs and answer the frames it sends."""
        tensors = {"rows": batch.rows, "inputs": batch.inputs}
        if upcoming:
            tensors |= {"upcoming.rows": upcoming.rows, "upcoming.inputs": upcoming.inputs}
        self._tell("drive", {"act": act, "client": client}, tensors)
        self._until("done", peer)

    def checkpoint(self) -> Mapping[str, Tensor]:
        """The state of the party there."""
        self._tell("checkpoint")
        self._until("state")
        return self._received

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put the party there into that state."""
        self._tell("restore", None, tensors)
        self._until("done")

    def memory(self) -> Mapping[str, Tensor] | None:
        """The state of the adversary there, and what was granted to it from here."""
        self._tell("memory")
        if not self._until("memory"):
            return None
        granted = {what.value: torch.tensor(count) for what, count in self._granted.items()}
        return {**named("there", self._received), **named("granted", granted)}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Put the adversary there into that state."""
        self._tell("remember", None, under("there", memory))
        self._until("done")
        self._granted = {Knows(what): int(count) for what, count in under("granted", memory).items()}

    def announce(self, targets: Sequence[Row]) -> None:
        """Tell the adversary there."""
        self._tell("announce", [list(row) for row in targets])
        self._until("done")

    def infer(self) -> Sequence[Guess]:
        """Let the adversary there guess; what it used, noted and took is in ``findings`` afterwards."""
        self._tell("infer")
        found = self._until("guesses")
        self._shelf = None
        said = {Knows(what): count for what, count in found["used"].items()}
        # What an attack takes past its view is counted here alone; what its own seat holds or is sent, there alone.
        used = {what: max(said.get(what, 0), self._granted.get(what, 0)) for what in {**said, **self._granted}}
        self.findings = Findings(used, found["notes"], found["seconds"])
        return [_guess(fields, number, self._received) for number, fields in enumerate(found["guesses"])]

    def close(self) -> None:
        """End the other process: no two cells share one."""
        self._other.close()

    def _tell(self, verb: str, content: Any = None, tensors: Mapping[str, Tensor] | None = None) -> None:
        # One that has gone cannot be told anything, but may have said why: that is read next.
        with contextlib.suppress(ConnectionError):
            self._other.tell(verb, content, tensors)

    def _send(self, frame: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._lines.send(Line.WIRE, frame)

    def _grant(self, what: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The gate on this side: the view on the other one stands in the attack's own process."""
        if what not in self._answerable:
            may = ", ".join(sorted(self._answerable)) or "nothing"
            raise UndeclaredError(f"the attack asked another seat for {what}; declared and offered there: {may}")
        asked = Knows(what)
        count = len(tensors["0"]) if asked is Knows.PEER_QUERIES else 1
        self._granted[asked] = self._granted.get(asked, 0) + count
        return self._outside(asked, tensors)

    def _until(self, verb: str, peer: Handler | None = None) -> Any:
        """Serve the other process until it says ``verb`` on the control pipe, or (with "") answers on the wire."""
        while True:
            try:
                if self._lines.next() is Line.WIRE:
                    frame = self._lines.receive(Line.WIRE)
                    if peer is None:
                        return frame
                    reply = encode(peer(decode(frame)))
                    self.meter.count(decode(frame).kind, len(frame), len(reply))
                    self._send(reply)
                    continue
                said, content, tensors = unpack(self._lines.receive(Line.CONTROL))
            except (EOFError, ConnectionError):
                code = self._other.process.wait()
                raise IsolatedError(f"the attacked party's process ended with exit code {code}") from None
            if said == verb:
                self._received = tensors
                return content
            if said == "progress":
                self._progress(*content)
            elif said == "take":
                found = self._shelf.take(content) if self._shelf else None
                self._tell("taken", found is not None, found)
            elif said == "put":
                if self._shelf:
                    self._shelf.put(content, tensors)
            elif said == "grant":
                self._tell("granted", None, self._grant(content, tensors))
            elif said == "failed":
                _raise(content)
            else:
                raise IsolatedError(f"the attacked party's process said {said!r}, where {verb or 'a frame'!r} was due")


class _Resident:
    """The other process: serves frames and control until told to close."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        # Torch imports half of its compiler with the first optimizer: better now than when somebody waits.
        torch.optim.SGD([torch.zeros(1)])
        verb, content, _ = unpack(lines.receive(Line.CONTROL))
        assert verb == "begin"
        brief = TypeAdapter(Brief).validate_python(content)
        prepare(brief.threads)
        self._host = seat_server(brief, self._ask_outside, self._report, shelf=CallersShelf(self._asked, self._tell))
        self._tell("ready")

    def serve(self) -> None:
        """Until the caller closes."""
        while True:
            if self._lines.next() is Line.CONTROL:
                verb, content, tensors = unpack(self._lines.receive(Line.CONTROL))
                if verb == "close":
                    return
                self._obey(verb, content, tensors)
            else:
                self._lines.send(Line.WIRE, encode(self._host.answering(decode(self._lines.receive(Line.WIRE)))))

    def _obey(self, verb: str, content: Any, tensors: Mapping[str, Tensor]) -> None:
        host = self._host
        if verb == "drive":
            batch, later = Batch(tensors["rows"], tensors["inputs"]), under("upcoming", tensors)
            upcoming = Batch(later["rows"], later["inputs"]) if later else None
            host.drive(Act(content["act"]), batch, content["client"], self._across, upcoming)
        elif verb == "restore":
            host.restore(tensors)
        elif verb == "announce":
            host.occupant.announce([_row(fields) for fields in content])
        elif verb == "checkpoint":
            self._tell("state", None, host.checkpoint())
            return
        elif verb == "memory":
            memory = host.occupant.memory()
            self._tell("memory", memory is not None, memory)
            return
        elif verb == "remember":
            host.occupant.remember(tensors)
        elif verb == "infer":
            self._tell("guesses", *self._guesses())
            return
        else:
            raise ValueError(f"{verb!r} is nothing that the attacked party's process is told")
        self._tell("done")

    def _guesses(self) -> tuple[Any, Mapping[str, Tensor]]:
        occupant = self._host.occupant
        guesses, findings = occupant.infer(), occupant.findings
        fields = [{**dataclasses.asdict(guess), "tensors": list(guess.tensors)} for guess in guesses]
        tensors = {f"{number}.{name}": t for number, guess in enumerate(guesses) for name, t in guess.tensors.items()}
        return {"guesses": fields, **dataclasses.asdict(findings)}, tensors

    def _across(self, request: Message) -> Message:
        self._lines.send(Line.WIRE, encode(request))
        return decode(self._lines.receive(Line.WIRE))

    def _ask_outside(self, what: Knows, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return self._asked("grant", what, tensors)[1]

    def _asked(
        self, verb: str, content: Any, tensors: Mapping[str, Tensor] | None = None
    ) -> tuple[Any, Mapping[str, Tensor]]:
        """The caller's answer."""
        self._tell(verb, content, tensors)
        answer, content, given = unpack(self._lines.receive(Line.CONTROL))
        if answer == "close":
            raise EOFError("the caller answers nothing more")
        if answer != _ANSWERS[verb]:
            raise ValueError(f"{answer!r} is no answer to {verb!r}")
        return content, given

    def _report(self, what: str, done: int, total: int) -> None:
        self._tell("progress", [what, done, total])

    def _tell(self, verb: str, content: Any = None, tensors: Mapping[str, Tensor] | None = None) -> None:
        self._lines.send(Line.CONTROL, pack(verb, content, tensors or {}))


def _row(fields: Sequence[Any]) -> Row:
    kind, step, row = fields
    return Row(Kind(kind), step, row)


def _guess(fields: Mapping[str, Any], number: int, tensors: Mapping[str, Tensor]) -> Guess:
    own = {name: tensors[f"{number}.{name}"] for name in fields["tensors"]}
    rows = tuple(map(_row, fields["rows"]))
    return Guess(Goal(fields["goal"]), own, rows, fields["part"], fields["name"], fields["relabeled"])


def _raise(failure: Mapping[str, str]) -> NoReturn:
    if expected := _EXPECTED.get(failure["type"]):
        raise expected(failure["text"])
    raise IsolatedError(f"the attack failed: {failure['type']}: {failure['text']}\n{failure['traceback']}")


def main(lines: Lines) -> None:
    """Serve one caller; an error is told to it, and ends the process."""
    try:
        _Resident(lines).serve()
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the caller must hear of it
        failure = {"type": type(error).__name__, "text": str(error), "traceback": traceback.format_exc()}
        lines.send(Line.CONTROL, pack("failed", failure, {}))
        sys.exit(1)
    finally:
        # The caller waits for the process's end, where going through all that torch has made takes a second.
        gc.freeze()


if __name__ == "__main__":
    main(Pipes(*(Connection(int(number)) for number in sys.argv[1:3])))
