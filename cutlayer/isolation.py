"""The attacked party, with the attack in it, in a process of its own: the truth never gets there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NoReturn

import torch
from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor

from cutlayer.attack import Guess
from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.codec import decode, encode
from cutlayer.host import Act, Findings, Host
from cutlayer.message import Message
from cutlayer.seating import Brief, Outside, seat_server
from cutlayer.threat import Goal, Knows, NotOfferedError, Row
from cutlayer.wire import WireError

_EXPECTED = {error.__name__: error for error in (NotOfferedError, WireError)}
_CLOSING_SECONDS = 5


class IsolatedError(RuntimeError):
    """The other process failed; its own traceback is in the message."""


class Residence:
    """A process that waits to be told whom to host: started ahead of time, its imports cost nobody a wait."""

    def __init__(self) -> None:
        self.wire, their_wire = Pipe()
        self.control, their_control = Pipe()
        ends = (their_wire.fileno(), their_control.fileno())
        # The attack's own prints must not mix with what the caller prints: they go to standard error.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cutlayer.isolation", *map(str, ends)],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=2,
            # Ctrl-C at the terminal is for the caller alone, which closes this process in order.
            start_new_session=True,
        )
        their_wire.close()
        their_control.close()

    def tell(self, verb: str, content: Any = None, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Say something on the control pipe."""
        self.control.send_bytes(_pack(verb, content, tensors or {}))

    def close(self) -> None:
        """End the process; it has a few seconds to end by itself."""
        with contextlib.suppress(OSError):
            self.tell("close")
        try:
            self.process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.wire.close()
        self.control.close()


class Ahead:
    """At most one residence that waits for the next cell, so that nobody waits for it."""

    def __init__(self) -> None:
        self._spare: Residence | None = None

    def take(self, isolate: bool, another: bool) -> Residence | None:
        """One for a cell that is to be isolated; ``another``: more such cells follow it."""
        taken = None
        if isolate:
            taken, self._spare = self._spare or Residence(), None
        if another and self._spare is None:
            self._spare = Residence()
        return taken

    def close(self) -> None:
        """End the one that waits."""
        if self._spare:
            self._spare.close()


class ProcessHost(Host):
    """The server's party in another process: protocol frames on one pipe, control on another."""

    def __init__(
        self,
        brief: Brief,
        outside: Outside,
        progress: Callable[[str, int, int], None],
        residence: Residence | None = None,
    ) -> None:
        super().__init__()
        self._outside, self._progress = outside, progress
        self._residence = residence or Residence()
        self._wire, self._control, self._tell = self._residence.wire, self._residence.control, self._residence.tell
        self._received: Mapping[str, Tensor] = {}
        self._tell("begin", dataclasses.asdict(brief))

    def ready(self) -> None:
        """Wait until the other process stands; ``NotOfferedError`` when the attack needs more than is offered."""
        self._until("ready")

    def answer(self, request: Message) -> Message:
        """One frame there, one back."""
        frame = encode(request)
        self._wire.send_bytes(frame)
        reply = self._until("", None)
        self.meter.count(request.kind, len(frame), len(reply))
        return decode(reply)

    def drive(self, act: Act, batch: Batch, client: str, peer: Handler) -> None:
        """Hand the server its own inputs and answer the frames it sends."""
        self._tell("drive", {"act": act, "client": client}, {"rows": batch.rows, "inputs": batch.inputs})
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

    def announce(self, targets: Sequence[Row]) -> None:
        """Tell the adversary there."""
        self._tell("announce", [list(row) for row in targets])
        self._until("done")

    def infer(self) -> Sequence[Guess]:
        """Let the adversary there guess; what it used, noted and took is in ``findings`` afterwards."""
        self._tell("infer")
        found = self._until("guesses")
        self.findings = Findings({Knows(k): v for k, v in found["used"].items()}, found["notes"], found["seconds"])
        return [_guess(fields, number, self._received) for number, fields in enumerate(found["guesses"])]

    def close(self) -> None:
        """End the other process: no two cells share one."""
        self._residence.close()

    def _until(self, verb: str, peer: Handler | None = None) -> Any:
        """Serve the other process until it says ``verb`` on the control pipe, or (with "") answers on the wire."""
        while True:
            try:
                if self._wire in wait([self._wire, self._control]) and not self._control.poll():
                    frame = self._wire.recv_bytes()
                    if peer is None:
                        return frame
                    reply = encode(peer(decode(frame)))
                    self.meter.count(decode(frame).kind, len(frame), len(reply))
                    self._wire.send_bytes(reply)
                    continue
                said, content, tensors = _unpack(self._control.recv_bytes())
            except (EOFError, ConnectionError):
                code = self._residence.process.wait()
                raise IsolatedError(f"the attacked party's process ended with exit code {code}") from None
            if said == verb:
                self._received = tensors
                return content
            if said == "progress":
                self._progress(*content)
            elif said == "grant":
                self._tell("granted", None, self._outside(Knows(content), tensors))
            elif said == "failed":
                _raise(content)


class _Resident:
    """The other process: serves frames and control until told to close."""

    def __init__(self, wire: Connection, control: Connection) -> None:
        self._wire, self._control = wire, control
        # Torch imports half of its compiler with the first optimizer: better now than when somebody waits.
        torch.optim.SGD([torch.zeros(1)])
        verb, content, _ = _unpack(control.recv_bytes())
        assert verb == "begin"
        brief = TypeAdapter(Brief).validate_python(content)
        torch.set_num_threads(brief.threads)
        self._host = seat_server(brief, self._ask_outside, self._report)
        self._tell("ready")

    def serve(self) -> None:
        """Until the caller closes."""
        while True:
            if self._control in wait([self._wire, self._control]):
                verb, content, tensors = _unpack(self._control.recv_bytes())
                if verb == "close":
                    return
                self._obey(verb, content, tensors)
            else:
                self._wire.send_bytes(encode(self._host.answering(decode(self._wire.recv_bytes()))))

    def _obey(self, verb: str, content: Any, tensors: Mapping[str, Tensor]) -> None:
        host = self._host
        if verb == "drive":
            batch = Batch(tensors["rows"], tensors["inputs"])
            host.drive(Act(content["act"]), batch, content["client"], self._across)
        elif verb == "restore":
            host.restore(tensors)
        elif verb == "announce":
            host.announce([Row(kind, step, row) for kind, step, row in content])
        elif verb == "checkpoint":
            self._tell("state", None, host.checkpoint())
            return
        elif verb == "infer":
            self._tell("guesses", *self._guesses())
            return
        self._tell("done")

    def _guesses(self) -> tuple[Any, Mapping[str, Tensor]]:
        guesses, findings = self._host.infer(), self._host.findings
        fields = [{**dataclasses.asdict(guess), "tensors": list(guess.tensors)} for guess in guesses]
        tensors = {f"{number}.{name}": t for number, guess in enumerate(guesses) for name, t in guess.tensors.items()}
        return {"guesses": fields, **dataclasses.asdict(findings)}, tensors

    def _across(self, request: Message) -> Message:
        self._wire.send_bytes(encode(request))
        return decode(self._wire.recv_bytes())

    def _ask_outside(self, what: Knows, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self._tell("grant", what, tensors)
        verb, _, granted = _unpack(self._control.recv_bytes())
        assert verb == "granted"
        return granted

    def _report(self, what: str, done: int, total: int) -> None:
        self._tell("progress", [what, done, total])

    def _tell(self, verb: str, content: Any = None, tensors: Mapping[str, Tensor] | None = None) -> None:
        self._control.send_bytes(_pack(verb, content, tensors or {}))


def _pack(verb: str, content: Any, tensors: Mapping[str, Tensor]) -> bytes:
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    packed: bytes = save(whole, metadata={"verb": verb, "content": json.dumps(content)})
    return packed


def _unpack(packed: bytes) -> tuple[str, Any, dict[str, Tensor]]:
    length = int.from_bytes(packed[:8], "little")
    fields = json.loads(packed[8 : 8 + length])["__metadata__"]
    return fields["verb"], json.loads(fields["content"]), load(packed)


def _guess(fields: Mapping[str, Any], number: int, tensors: Mapping[str, Tensor]) -> Guess:
    own = {name: tensors[f"{number}.{name}"] for name in fields["tensors"]}
    rows = tuple(Row(*row) for row in fields["rows"])
    return Guess(Goal(fields["goal"]), own, rows, fields["part"], fields["name"], fields["relabeled"])


def _raise(failure: Mapping[str, str]) -> NoReturn:
    expected = _EXPECTED.get(failure["type"])
    if expected:
        raise expected(failure["text"])
    raise IsolatedError(f"the attack failed: {failure['type']}: {failure['text']}\n{failure['traceback']}")


def main(wire: Connection, control: Connection) -> None:
    """Serve one caller; an error is told to it, and ends the process."""
    try:
        _Resident(wire, control).serve()
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the caller must hear of it
        failure = {"type": type(error).__name__, "text": str(error), "traceback": traceback.format_exc()}
        control.send_bytes(_pack("failed", failure, {}))
        sys.exit(1)


if __name__ == "__main__":
    ends = [Connection(int(number)) for number in sys.argv[1:3]]
    main(*ends)
