"""First layers, last layers and labels at the client, the layers between at the server (UnSplit, figure 1c)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.message import Kind, Message
from cutlayer.party import Party, Pending
from cutlayer.protocol import Protocol, receive, task_loss
from cutlayer.threat import Knows, Seat
from cutlayer.wire import Frame, WireError


class UShaped(Protocol):
    """The client sends smashed data, gets features, sends the gradient at the features, gets the one at the cut."""

    driver = Seat.CLIENT
    owners = (Seat.CLIENT, Seat.SERVER, Seat.CLIENT)
    default_cuts = (-2,)  # the output part is the last block
    labels_at = Seat.CLIENT
    exposes: ClassVar[Mapping[Seat, frozenset[Knows]]] = {
        Seat.SERVER: frozenset({Knows.OWN_PART, Knows.OWN_PARTY, Knows.SCHEDULE}),
        Seat.CLIENT: frozenset({Knows.OWN_PART, Knows.OWN_PARTY, Knows.LABELS, Knows.SCHEDULE}),
    }
    wire: ClassVar[Mapping[Kind, Frame]] = {
        Kind.FORWARD: Frame(request=("smashed",), reply=("features",)),
        Kind.BACKWARD: Frame(request=("features_grad",), reply=("grad",)),
        Kind.PREDICT: Frame(request=("smashed",), reply=("features",)),
    }

    def step(self, driver: Party, peer: Handler, batch: Batch) -> None:
        """Two exchanges; the loss never leaves the client."""
        assert batch.labels is not None
        smashed = driver.forward(batch.inputs)
        reply = peer(Message(Kind.FORWARD, driver.name, driver.step, {"smashed": smashed}))
        features = receive(reply["features"], driver)
        loss = task_loss(driver.forward(features, part=1), batch.labels)
        driver.backward(loss)
        assert features.grad is not None
        reply = peer(Message(Kind.BACKWARD, driver.name, driver.step, {"features_grad": features.grad}))
        driver.update(smashed, reply["grad"])
        driver.losses.append(loss.item())

    def answer(self, party: Party, request: Message) -> Message:
        """Server forward, or server backward for the forward pass that waits."""
        if request.kind is Kind.PREDICT:
            return request.reply(party.name, features=party.forward(request["smashed"], training=False))
        if request.kind is Kind.FORWARD:
            smashed = receive(request["smashed"], party)
            features = party.forward(smashed)
            party.pending = Pending(request.step, smashed, features)
            return request.reply(party.name, features=features)
        waiting = party.pending
        grad = request["features_grad"]
        if waiting is None or len(waiting.output) != len(grad):
            raise WireError(
                f"backward message of step {request.step}: no forward pass of {len(grad)} samples waits for it"
            )
        party.update(waiting.output, grad)
        assert waiting.inputs.grad is not None
        return request.reply(party.name, grad=waiting.inputs.grad)

    def question(self, driver: Party, batch: Batch, number: int) -> Message:
        """Client forward, first part."""
        return Message(Kind.PREDICT, driver.name, number, {"smashed": driver.forward(batch.inputs, training=False)})

    def conclude(self, driver: Party, reply: Message) -> None:
        """The client gets features back and finishes the prediction itself."""
        driver.predicted = driver.forward(reply["features"], part=1, training=False)
