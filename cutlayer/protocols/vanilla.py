"""Inputs and first layers at the client, the rest and the labels at the server (UnSplit, figure 1a)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.message import Kind, Message
from cutlayer.party import Party
from cutlayer.protocol import Protocol, receive, task_loss
from cutlayer.threat import Knows, Seat
from cutlayer.wire import Frame


class Vanilla(Protocol):
    """The client sends smashed data and labels, and gets the gradient at the cut."""

    driver = Seat.CLIENT
    owners = (Seat.CLIENT, Seat.SERVER)
    labels_at = Seat.SERVER
    exposes: ClassVar[Mapping[Seat, frozenset[Knows]]] = {
        Seat.SERVER: frozenset({Knows.OWN_PART, Knows.OWN_PARTY, Knows.LABELS, Knows.SCHEDULE}),
        Seat.CLIENT: frozenset({Knows.OWN_PART, Knows.OWN_PARTY, Knows.LABELS, Knows.SCHEDULE}),
    }
    wire: ClassVar[Mapping[Kind, Frame]] = {
        Kind.TRAIN: Frame(request=("smashed", "labels"), reply=("grad", "loss")),
        Kind.PREDICT: Frame(request=("smashed",), reply=("logits",)),
    }

    def step(self, driver: Party, peer: Handler, batch: Batch) -> None:
        """Client forward, server forward and backward, client backward."""
        assert batch.labels is not None
        smashed = driver.forward(batch.inputs)
        tensors = {"smashed": smashed, "labels": batch.labels}
        reply = peer(Message(Kind.TRAIN, driver.name, driver.step, tensors))
        driver.update(smashed, reply["grad"])
        driver.losses.append(reply["loss"].item())

    def answer(self, party: Party, request: Message) -> Message:
        """Server forward and backward."""
        if request.kind is Kind.PREDICT:
            return request.reply(party.name, logits=party.forward(request["smashed"], training=False))
        smashed = receive(request["smashed"], party)
        loss = task_loss(party.forward(smashed), request["labels"])
        party.update(loss)
        party.losses.append(loss.item())
        assert smashed.grad is not None
        return request.reply(party.name, grad=smashed.grad, loss=loss)

    def question(self, driver: Party, batch: Batch, number: int) -> Message:
        """Client forward."""
        return Message(Kind.PREDICT, driver.name, number, {"smashed": driver.forward(batch.inputs, training=False)})

    def conclude(self, driver: Party, reply: Message) -> None:
        """The client gets the logits back."""
        driver.predicted = reply["logits"]
