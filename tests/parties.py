"""Two parties and what lies between them, without a session: what the tests of the floors below it need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cutlayer import registry
from cutlayer.adversary import Adversary
from cutlayer.attack import Attack, Guess
from cutlayer.batch import Batch
from cutlayer.channel import Direct, Handler
from cutlayer.computing import Computing
from cutlayer.model import split
from cutlayer.party import Party
from cutlayer.protocol import Protocol
from cutlayer.stream import Stream, derive, drawing
from cutlayer.tap import Tap, wrap
from cutlayer.threat import Architecture, Knows, Layout, Row, Seat, View
from cutlayer.wire import Agreement

Optimize = Callable[[Iterable[nn.Parameter]], Optimizer]


def adam(parameters: Iterable[nn.Parameter]) -> Optimizer:
    """As UnSplit's victims are trained."""
    return torch.optim.Adam(parameters, lr=1e-3, amsgrad=True)


def constant(step: int) -> float:
    return 1e-3


def protocol_named(name: str) -> Protocol:
    return registry.cls("protocols", name, Protocol)()


def layout_of(name: str) -> Layout:
    return protocol_named(name).layout(name)


@dataclass
class Pair:
    """A client and a server that hold the parts of one model."""

    protocol: Protocol
    agreement: Agreement
    parties: dict[Seat, Party]
    carrier: Callable[[Handler], Handler] = Direct
    tap: Tap | None = None
    """Around the server, wherever that is."""

    @property
    def driver(self) -> Party:
        return self.parties[self.protocol.driver]

    @property
    def answerer(self) -> Party:
        return self.parties[Seat.CLIENT if self.protocol.driver is Seat.SERVER else Seat.SERVER]

    @property
    def peer(self) -> Handler:
        """The driver's way to the party that answers."""
        handler = self.protocol.handler(self.answerer, self.agreement)
        if self.tap and self.protocol.driver is Seat.CLIENT:
            handler = wrap(handler, self.tap)
        handler = self.protocol.checked(self.carrier(handler), self.agreement)
        return wrap(handler, self.tap) if self.tap and self.protocol.driver is Seat.SERVER else handler

    def train(self, batches: Iterable[Batch]) -> None:
        peer = self.peer
        for batch in batches:
            self.protocol.train(self.driver, peer, batch)

    def predict(self, batch: Batch) -> Tensor:
        """The logits, where the client has them."""
        self.protocol.predict(self.driver, self.peer, batch)
        predicted = self.parties[Seat.CLIENT].predicted
        assert predicted is not None
        return predicted

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of the whole model, by name."""
        return {
            name: tensor
            for party in self.parties.values()
            for part in party.parts
            for name, tensor in part.state_dict().items()
        }


def pair(
    name: str,
    model: nn.Sequential,
    cuts: tuple[int | str, ...],
    shape: tuple[int, ...],
    labels: Tensor | None = None,
    optimize: Optimize = adam,
    schedule: Callable[[int], float] = constant,
    seed: int = 0,
    computing: Computing | None = None,
) -> Pair:
    """A client and a server for protocol ``name``; ``labels`` by row where the client answers."""
    protocol = protocol_named(name)
    parties = {
        seat: Party(
            seat.value,
            nn.ModuleList(parts),
            optimize(parameter for part in parts for parameter in part.parameters()),
            schedule,
            derive(seed, seat.value),
            computing or Computing(),
            labels=labels if seat is Seat.CLIENT and protocol.driver is Seat.SERVER else None,
        )
        for seat, parts in protocol.deal(model, cuts).items()
    }
    return Pair(protocol, protocol.agree(model, cuts, shape), parties)


def batches(inputs: Tensor, labels: Tensor, size: int) -> list[Batch]:
    rows = torch.arange(len(inputs))
    return [Batch(r, x, y) for r, x, y in zip(rows.split(size), inputs.split(size), labels.split(size), strict=True)]


def attacked(
    victim: Pair, attack: Attack, model: nn.Sequential, cuts: tuple[int | str, ...], run: Iterable[Batch], seed: int = 0
) -> tuple[list[Guess], Adversary]:
    """What ``attack``, at the server, guesses about the rows of ``run``, each batch a training step."""
    protocol, client = victim.protocol, victim.parties[Seat.CLIENT]
    parts = split(model, protocol.cuts(model, cuts))
    value, shapes = next(iter(run)).inputs[:1], []
    for part in parts:
        shapes.append(tuple(value.shape[1:]))
        value = part.eval()(value)
    own = [number for number, owner in enumerate(protocol.owners) if owner is Seat.CLIENT]

    def build(number: int) -> nn.Module:
        part = split(model, protocol.cuts(model, cuts))[own[number]]
        for module in part.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        return part

    architecture = Architecture(build, tuple(shapes[number] for number in own), value.shape[1])
    targets: list[Row] = []
    grants = {Knows.PEER_ARCHITECTURE: lambda: architecture, Knows.PEER_GRADIENTS: client.gradients}
    view = View(attack.threat, grants, targets, protocol.layout(name_of(protocol)))
    adversary = Adversary(attack, view, Stream(derive(seed, "attack")))
    adversary.begin()
    watched = replace(victim, tap=adversary)
    for batch in run:
        kind = next(iter(protocol.wire))
        targets.extend(Row(kind, victim.driver.step, row) for row in range(len(batch.rows)))
        watched.train([batch])
    return list(adversary.infer()), adversary


def name_of(protocol: Protocol) -> str:
    return type(protocol).__module__.rpartition(".")[2]


def unsplit_training(
    victim: Pair, model: nn.Sequential, cuts: tuple[int | str, ...], run: Iterable[Batch], optimize: Optimize
) -> tuple[nn.ModuleList, list[float]]:
    """The whole model trained over one autograd graph, each part drawing from the stream of its party in ``victim``."""
    owners = victim.protocol.owners
    parts = nn.ModuleList(split(model, victim.protocol.cuts(model, cuts))).train()
    numbers = [owners[:index].count(owner) for index, owner in enumerate(owners)]
    optimizer, losses = optimize(parts.parameters()), []
    for step, batch in enumerate(run):
        for group in optimizer.param_groups:
            group["lr"] = victim.driver.schedule(step)
        value = batch.inputs
        for part, owner, number in zip(parts, owners, numbers, strict=True):
            party = victim.parties[owner]
            with drawing(derive(party.seed, "train", step, number)), party.computing.precision():
                value = part(value)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(value.float(), batch.labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return parts, losses
