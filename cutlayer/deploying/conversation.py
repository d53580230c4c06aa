"""What a server says to one client at a time, and what it takes from it in answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch

from cutlayer.batch import Batch
from cutlayer.codec import FrameError, decode
from cutlayer.data.samples import Samples
from cutlayer.deploying.durable import Durable
from cutlayer.deploying.outcome import Outcome
from cutlayer.deploying.roll import Present
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE, predictions
from cutlayer.message import Kind
from cutlayer.protocol import TRAINING
from cutlayer.transport.duplex import DisconnectedError, RefusedError, control, printable
from cutlayer.transport.rpc import Grpc
from cutlayer.wire import WireError

logger = logging.getLogger("cutlayer")


@dataclass
class Conversation:
    """The server's end. Whatever goes wrong with a client ends its connection, as a ``DisconnectedError``."""

    durable: Durable
    patience: float
    """Seconds to wait for an answer."""
    outcome: Outcome
    stepped: Callable[[], None]
    """Called after every training message."""

    def tell(self, present: Present, verb: str, **fields: Any) -> None:
        """Say something that is to be answered."""
        with self.safely(present):
            present.link.listening = True
            present.link.tell(verb, **fields)

    def hear(self, present: Present, verb: str, kinds: Collection[Kind] = ()) -> dict[str, Any]:
        """Answer the requests of ``kinds`` that the client makes, until it says ``verb``."""
        with self.safely(present):
            while True:
                frame = present.link.receive(self.patience)
                said = control(frame)
                if said is None:
                    present.link.send(self.durable.answer(frame, kinds))
                    if TRAINING & set(kinds):
                        self.stepped()
                elif said["verb"] == verb:
                    present.link.listening = False
                    return said
                else:
                    raise FrameError(f"{present.name} says {said['verb'][:20]!r} where {verb!r} is due")

    def number(self, present: Present, said: dict[str, Any], key: str) -> int:
        """The whole number ``key`` in what a client said."""
        value = said.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.refuse(present, f"{present.name} says no number {key!r}")
        return value

    def fetch(self, giver: Present, **fields: Any) -> bytes:
        """The client part that ``giver`` hands over, as the frame it sends."""
        self.tell(giver, "give", **fields)
        with self.safely(giver):
            frame = giver.link.receive(self.patience)
            giver.link.listening = False
            if control(frame) is not None or decode(frame).kind is not Kind.WEIGHTS:
                raise FrameError(f"{giver.name} hands over something else than its part")
        return frame

    def drive(self, present: Present) -> None:
        """Take the steps that are left of the turn, with a client that answers."""
        durable, channel = self.durable, self.listen(present)
        with self.safely(present):
            while durable.party.step < durable.turn.end:
                durable.drive(channel, lambda: channel.answered)
                self.stepped()

    def evaluate(self, present: Present, epoch: int, samples: Samples | None) -> None:
        """Let the client measure the accuracy on its test data; it stays there."""
        durable = self.durable
        self.tell(present, "evaluate", epoch=epoch)
        if durable.drives:
            assert samples
            asked = durable.guard(durable.asked(self.listen(present)))
            chunks = torch.split(samples.test_rows, PREDICTED_AT_ONCE)
            batches = (Batch(rows, samples.inputs(rows)) for rows in chunks)
            with self.safely(present):
                for _ in predictions(durable.protocol, durable.party, asked, batches):
                    pass
        self.hear(present, "done", kinds=() if durable.drives else (Kind.PREDICT,))

    def listen(self, present: Present) -> Grpc:
        """A channel to a client that answers."""
        present.link.listening = True
        return Grpc(present.link, self.patience, self.durable.meter)

    @contextmanager
    def safely(self, present: Present) -> Iterator[None]:
        """Whatever goes wrong with a client in here ends its connection, as a ``DisconnectedError``."""
        try:
            yield
        except (WireError, FrameError) as error:
            self.refuse(present, str(error))
        except (DisconnectedError, RefusedError) as error:
            # Refused: by this server itself, as the client came anew meanwhile or spoke out of turn.
            self.outcome.interruptions += 1
            present.link.close()
            raise DisconnectedError(str(error)) from None

    def refuse(self, present: Present, why: str) -> NoReturn:
        """End the connection, and tell the client why."""
        why = printable(why)
        logger.warning("refused %s: %s", present.name, why)
        present.link.close(RefusedError(why))
        raise DisconnectedError(f"refused: {why}")
