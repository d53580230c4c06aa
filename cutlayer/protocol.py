"""Protocols: who computes what, in which order, and what each seat learns merely by taking part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.batch import Batch
from cutlayer.channel import Handler
from cutlayer.message import Kind, Message
from cutlayer.mistake import nearest
from cutlayer.model import CutError, blocks, cut_index, split
from cutlayer.party import Party
from cutlayer.registry import PluginError
from cutlayer.threat import Knows, Layout, Seat
from cutlayer.wire import Agreement, Frame, Spec, WireError, check, same_step

_MOST_PARTS = 3
TRAINING = frozenset({Kind.TRAIN, Kind.FORWARD, Kind.BACKWARD})


class Protocol(ABC):
    """Stateless: parties hold all state. ``step`` runs at the driver, ``answer`` at its peer."""

    driver: ClassVar[Seat]
    """The seat that starts every exchange."""
    owners: ClassVar[tuple[Seat, ...]]
    """Who holds each part of the model, from the inputs on; there is one cut fewer than parts."""
    default_cuts: ClassVar[tuple[int | str, ...]] = ()
    """Cuts that may be left open, behind those that must be given."""
    exposes: ClassVar[Mapping[Seat, frozenset[Knows]]]
    """What a seat learns merely by taking part."""
    labels_at: ClassVar[Seat]
    """The seat that computes the loss."""
    wire: ClassVar[Mapping[Kind, Frame]]
    """The tensors each message may carry, enforced on both sides; a step's kinds in the order of its exchanges."""

    @abstractmethod
    def step(self, driver: Party, peer: Handler, batch: Batch) -> None:
        """One training step on ``batch``; the loss ends at the client, in ``Party.losses``."""

    @abstractmethod
    def answer(self, party: Party, request: Message) -> Message:
        """The peer's half of each exchange; ``request`` has been checked."""

    @abstractmethod
    def question(self, driver: Party, batch: Batch, number: int) -> Message:
        """The driver's first half of its prediction ``number``, in evaluation mode: what it asks its peer."""

    @abstractmethod
    def conclude(self, driver: Party, reply: Message) -> None:
        """The driver's second half; predictions end at the client, in ``Party.predicted``."""

    @final
    def train(self, driver: Party, peer: Handler, batch: Batch) -> None:
        """A whole training step."""
        if self.driver is Seat.CLIENT:
            driver.ledger |= {(kind, driver.step): batch.rows for kind in self.wire if kind in TRAINING}
        self.step(driver, peer, batch)

    @final
    def asked(self, driver: Party, batch: Batch, number: int) -> Message:
        """The ``question`` of the driver's prediction ``number``."""
        if self.driver is Seat.CLIENT:
            driver.ledger[Kind.PREDICT, number] = batch.rows
        return self.question(driver, batch, number)

    @final
    def predict(self, driver: Party, peer: Handler, batch: Batch) -> None:
        """A whole prediction."""
        self.conclude(driver, peer(self.asked(driver, batch, driver.queries)))
        driver.queries += 1

    @final
    def layout(self, name: str) -> Layout:
        """What its attackers are told of it where it is run under ``name``."""
        return Layout(name, self.owners, self.labels_at, self.driver)

    @final
    def cuts(self, model: nn.Sequential, given: Sequence[int | str]) -> tuple[int, ...]:
        """The block indices of ``given`` cuts, completed by the protocol's defaults."""
        wanted = len(self.owners) - 1
        cuts = [*given, *self.default_cuts[len(self.default_cuts) + len(given) - wanted :]]
        if len(cuts) != wanted:
            raise CutError(
                f"{type(self).__name__} takes {wanted} cut{'s' if wanted > 1 else ''}, given are {len(given)}: "
                f"{', '.join(map(str, given))}"
            )
        return tuple(cut_index(model, cut) for cut in cuts)

    @final
    def deal(self, model: nn.Sequential, given: Sequence[int | str]) -> dict[Seat, list[nn.Sequential]]:
        """Each seat's parts of ``model``, as independent copies."""
        parts = split(model, self.cuts(model, given))
        return {seat: [p for p, owner in zip(parts, self.owners, strict=True) if owner is seat] for seat in Seat}

    @final
    def agree(self, model: nn.Sequential, given: Sequence[int | str], input_shape: tuple[int, ...]) -> Agreement:
        """What each role on the wire must look like for this model and these cuts.

        ``PluginError`` for a wire with a role that nothing is known of, and for more parts than there are roles for.
        """
        if len(self.owners) > _MOST_PARTS:
            told = f"{type(self).__name__}: it has {len(self.owners)} parts"
            raise PluginError(f"{told}; roles on the wire are known for at most {_MOST_PARTS}")
        value = torch.zeros(1, *input_shape)
        shapes = []
        with torch.no_grad():
            for part in split(model, self.cuts(model, given)):
                value = part.eval()(value)
                if not isinstance(value, torch.Tensor):
                    told = f"block {blocks(part)[-1]!r} gives a {type(value).__name__}"
                    raise CutError(f"{told}: a part of a network ends in one tensor")
                shapes.append(tuple(value.shape[1:]))
        classes = shapes[-1][0]
        outer = shapes[1] if len(shapes) > 2 else shapes[-1]
        known = {
            "smashed": Spec(shapes[0]),
            "grad": Spec(shapes[0]),
            "features": Spec(outer),
            "features_grad": Spec(outer),
            "logits": Spec(shapes[-1]),
            "labels": Spec((), torch.int64, below=classes),
            "rows": Spec((), torch.int64, below=1 << 62),
            "loss": Spec((), batched=False),
        }
        for kind, frame in self.wire.items():
            for role in (*frame.request, *frame.reply):
                if role not in known:
                    told = f"{type(self).__name__}: its {kind} messages carry {role!r}"
                    raise PluginError(f"{told}, which is no role{nearest(role, known)}; one of {', '.join(known)}")
        return known

    @final
    def handler(self, party: Party, agreement: Agreement) -> Handler:
        """``party`` as one that answers: every request is checked before ``answer`` sees it."""

        def handle(request: Message) -> Message:
            frame = self.wire.get(request.kind)
            if frame is None:
                known = ", ".join(self.wire)
                raise WireError(f"{request.kind} message from {request.sender!r}: this protocol has {known}")
            if request.kind in TRAINING:
                same_step(request, party.step)
            check(request, frame.request, agreement)
            reply = self.answer(party, request)
            if self.driver is Seat.SERVER and "rows" in request:
                # The client's, who has not chosen what it is asked about. What is refused above has not crossed.
                party.ledger[request.kind, request.step] = request["rows"]
            return reply

        return handle

    @final
    def checked(self, peer: Handler, agreement: Agreement) -> Handler:
        """The driver's end: every reply is checked before ``step`` sees it."""

        def ask(request: Message) -> Message:
            reply = peer(request)
            if reply.kind is not request.kind:
                raise WireError(f"{reply.kind} message from {reply.sender!r}: a reply to {request.kind} is expected")
            same_step(reply, request.step)
            names = self.wire[request.kind]
            check(reply, names.reply, agreement, next((len(t) for t in request.tensors.values() if t.ndim), None))
            return reply

        return ask


def receive(tensor: Tensor, party: Party) -> Tensor:
    """``tensor`` from the wire as the leaf that ``party`` differentiates with respect to."""
    return tensor.to(party.device).requires_grad_()


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, averaged over the batch."""
    return cross_entropy(logits, labels.to(logits.device))
