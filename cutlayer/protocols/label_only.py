"""Inputs and first layers at the server, which drives; last layers and labels at the client (UnSplit, figure 1b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.protocol import Protocol, receive, task_loss
from cutlayer.threat import Knows, Seat
from cutlayer.wire import Frame, WireError


class LabelOnly(Protocol):
    """The server sends smashed data with its samples' row numbers; the client returns the gradient."""

    driver = Seat.SERVER
    owners = (Seat.SERVER, Seat.CLIENT)
    default_cuts = (-2,)  # the client's part is the last block
    labels_at = Seat.CLIENT
    exposes: ClassVar[Mapping[Seat, frozenset[Knows]]] = {
        Seat.SERVER: frozenset({Knows.OWN_PART, Knows.OWN_PARTY, Knows.SCHEDULE}),
        Seat.CLIENT: frozenset({Knows.OWN_PART, Knows.OWN_PARTY, Knows.LABELS, Knows.SCHEDULE}),
    }
    wire: ClassVar[Mapping[Kind, Frame]] = {
        Kind.TRAIN: Frame(request=("smashed", "rows"), reply=("grad",)),
        Kind.PREDICT: Frame(request=("smashed", "rows"), reply=()),
    }

    def step(self, driver: Party, peer: Handler, batch: Batch) -> None:
        """Server forward, client forward and backward, server backward; the loss never leaves the client."""
        smashed = driver.forward(batch.inputs)
        reply = peer(Message(Kind.TRAIN, driver.name, driver.step, {"smashed": smashed, "rows": batch.rows}))
        driver.update(smashed, reply["grad"])

    def answer(self, party: Party, request: Message) -> Message:
        """Client forward and backward, with the labels it looks up."""
        # Before anything changes: rows without a label are refused, and the party stays as it is.
        labels = None if request.kind is Kind.PREDICT else self._labels(party, request["rows"])
        if labels is None:
            party.predicted = party.forward(request["smashed"], training=False)
            return request.reply(party.name)
        smashed = receive(request["smashed"], party)
        loss = task_loss(party.forward(smashed), labels)
        party.update(loss)
        party.losses.append(loss.item())
        assert smashed.grad is not None
        return request.reply(party.name, grad=smashed.grad)

    def question(self, driver: Party, batch: Batch, number: int) -> Message:
        """Server forward."""
        smashed = driver.forward(batch.inputs, training=False)
        return Message(Kind.PREDICT, driver.name, number, {"smashed": smashed, "rows": batch.rows})

    def conclude(self, driver: Party, reply: Message) -> None:
        """Nothing: the predictions stay with the client."""

    def _labels(self, party: Party, rows: Tensor) -> Tensor:
        if party.labels is None or int(rows.max()) >= len(party.labels) or int(party.labels[rows].min()) < 0:
            raise WireError(f"{party.name!r} holds no label for one of the rows {rows.tolist()}")
        return party.labels[rows]
