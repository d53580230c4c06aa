"""A training run of one server and its clients in turns, in one process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import torch
from torch import Tensor

from cutlayer.adversary import Adversary
from cutlayer.batch import Batch
from cutlayer.channel import Direct, Handler
from cutlayer.compression import Compression, PackedWire
from cutlayer.data.samples import Samples
from cutlayer.defense import Defense
from cutlayer.exchange.handover import Keeper, OptimizerState, Route, ask_for_weights, give, take_over
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE, Lookahead
from cutlayer.exchange.scrutiny import Scrutiny
from cutlayer.exchange.way import Way, guarded
from cutlayer.message import Kind
from cutlayer.order import batch_sizes, shuffled, stretches
from cutlayer.party import Party
from cutlayer.protocol import Protocol
from cutlayer.seat.host import Act, Carrier, Host, perform
from cutlayer.state import named, under
from cutlayer.tap import Tap, wrap
from cutlayer.threat import Seat
from cutlayer.wire import Agreement, NotFiniteError

Change = Callable[[Tensor], Tensor]
"""What is done to inputs [n, ...] before they are used."""


class DivergedError(RuntimeError):
    """A training that has left the finite numbers."""


@dataclass(frozen=True)
class TrainingPlan:
    """What all parties agreed on about the course of the training."""

    seed: int
    batch_size: int = 64
    turn: int = 0
    """Batches in a client's turn; 0: an epoch over its data."""
    route: Route = Route.PEER
    optimizer_state: OptimizerState = OptimizerState.OWN
    pipelined: bool = False
    """Whether a step's first forward pass is made before the update of the step before it."""


@dataclass
class Session:
    """Clients that take turns with one server."""

    protocol: Protocol
    agreement: Agreement
    clients: Sequence[Party]
    shards: Sequence[Tensor]
    """The rows of each client."""
    host: Host
    samples: Samples
    plan: TrainingPlan
    defenses: Mapping[int, Sequence[Defense]] = field(default_factory=dict)
    """By the client's number, in the order they act."""
    keeper: Keeper = field(default_factory=lambda: Keeper("trusted_party"))
    """Holds the client part between turns where the plan's route goes through a third party."""
    adversaries: Mapping[int, Adversary] = field(default_factory=dict)
    """Who sits beside a malicious client, by the client's number: in training steps, not in predictions."""
    packed: PackedWire | None = None
    """The wire with its codec, where one is agreed on."""
    carrier: Carrier = Direct
    last: int | None = None
    """The client whose turn was last."""
    done: int = 0
    """Training steps made of an epoch that is under way."""
    scrutiny: Scrutiny = field(default_factory=Scrutiny)
    """Of the gradients that clients were sent back in the latest epoch."""
    peers: dict[str, Handler] = field(default_factory=dict)
    _coming: tuple[Tensor, Batch] | None = None
    """The rows of the turn's next step, and its batch."""

    def train_epoch(self, epoch: int, progress: Callable[[], None] = lambda: None) -> float:
        """Train on every client's rows once, in turns; the mean loss. ``progress`` is called after every step.

        Of an epoch that a checkpoint was taken in, the steps that were not made yet.
        """
        if not self.done:
            for client in self.clients:
                client.losses.clear()
            self.scrutiny.clear()
        made = self.done
        for number, batches in self.turns(epoch):
            made, left = max(0, made - len(batches)), batches[made:]
            if left:
                self.take_turn(number)
            for rows, upcoming in zip_longest(left, left[1:]):
                self.exchange(Act.STEP, number, rows, upcoming=upcoming)
                self.done += 1
                progress()
        self.done = 0
        losses = [loss for client in self.clients for loss in client.losses]
        return math.fsum(losses) / len(losses)

    def steps_per_epoch(self) -> int:
        """Training steps in an epoch, over all clients."""
        return sum(len(batch_sizes(len(shard), self.plan.batch_size)) for shard in self.shards)

    def turns(self, epoch: int) -> Iterator[tuple[int, Sequence[Tensor]]]:
        """Whose turn it is in an epoch, one after another: the client's number, and the rows of each of its steps."""
        plan = self.plan
        own = [shuffled(shard, plan.batch_size, plan.seed, number, epoch) for number, shard in enumerate(self.shards)]
        for client, first, count in stretches([len(batches) for batches in own], plan.turn):
            yield client, own[client][first : first + count]

    def take_turn(self, number: int) -> None:
        """Let client ``number`` take over from the client whose turn was last."""
        taker, state = self.clients[number], self.plan.optimizer_state
        if self.last is not None and self.last != number:
            giver = self.clients[self.last]
            carried = state is OptimizerState.CARRIED
            way = self._way(giver, carried)
            if self.plan.route is not Route.PEER:
                way(give(giver, ask_for_weights(giver), carried))
            try:
                take_over(taker, way(ask_for_weights(taker)), state)
            except NotFiniteError as error:
                raise self._diverged(giver, giver.step - 1, error) from error
        self.last = number

    def exchange(
        self,
        act: Act,
        number: int,
        rows: Tensor,
        host: Host | None = None,
        change: Change | None = None,
        upcoming: Tensor | None = None,
    ) -> None:
        """One training step or prediction of client ``number`` on ``rows``, with the server at ``host``.

        ``change`` is done to the inputs first. ``upcoming``: the rows of the same turn's next step, where one follows.
        ``DivergedError`` where what the training has made of the network gives values that are not finite.
        """
        client = self.clients[number]
        # One that answers has made its step before its reply is refused.
        trained = client.step
        try:
            self._exchange(act, number, rows, host or self.host, change, upcoming)
        except NotFiniteError as error:
            if not trained:
                raise
            raise self._diverged(client, trained if act is Act.STEP else trained - 1, error) from error

    def _diverged(self, client: Party, step: int, error: NotFiniteError) -> DivergedError:
        rate = client.schedule(step)
        may = f"a lower learning_rate (it was {rate:g}) may keep it finite"
        return DivergedError(f"the training diverged in step {step}: {error}; {may}")

    def _exchange(
        self, act: Act, number: int, rows: Tensor, host: Host, change: Change | None, upcoming: Tensor | None
    ) -> None:
        client = self.clients[number]
        adversary = self.adversaries.get(number) if act is Act.STEP else None
        batch = self._coming[1] if self._coming and self._coming[0] is rows else self._batch(rows, adversary, change)
        self._coming = None
        if self.plan.pipelined and upcoming is not None:
            # Asked for before the step: an adversary's own batches come in their order, and not inside of its messages.
            self._coming = upcoming, self._batch(upcoming, adversary)
        coming = self._coming and self._coming[1]
        if self.protocol.driver is Seat.SERVER:
            if client.name not in self.peers:
                own = [*self._beside(number), *self._defenses(number, drives=False)]
                answer = guarded(self.protocol.handler(client, self.agreement), own, drives=False)
                self.peers[client.name] = self._agreed.answering(answer)
            host.drive(act, batch, client.name, self.peers[client.name], coming)
            return
        ahead = Lookahead(self.protocol, client)
        ahead.upcoming = (lambda: coming) if coming else None
        taps: list[Tap] = [adversary] if adversary else []
        if act is Act.STEP and batch.labels is not None:
            taps.append(self.scrutiny.of(batch.labels))
        taps += self._defenses(number, drives=True)
        peer = guarded(self._agreed.asking(wrap(host.answer, ahead)), taps, drives=True)
        perform(act, self.protocol, client, peer, batch)

    def _batch(self, rows: Tensor, adversary: Adversary | None, change: Change | None = None) -> Batch:
        """What the party that drives computes on."""
        inputs = self.samples.inputs(rows)
        if change:
            inputs = change(inputs)
        if self.protocol.driver is Seat.SERVER:
            return Batch(rows, inputs)
        batch = Batch(rows, inputs, self.samples.labels(rows))
        return adversary.own_batch(batch) if adversary else batch

    def predictions(self, rows: Tensor, host: Host, change: Change | None = None) -> Tensor:
        """Logits [n, classes] for ``rows``, as the client whose turn was last gets them from the server at ``host``."""
        number = self.last or 0
        found = []
        for part in torch.split(rows, PREDICTED_AT_ONCE):
            self.exchange(Act.PREDICT, number, part, host, change)
            predicted = self.clients[number].predicted
            assert predicted is not None
            found.append(predicted.cpu())
        return torch.cat(found)

    @property
    def settled(self) -> bool:
        """Whether no adversary has drawn a batch ahead, which a checkpoint would not have."""
        return self._coming is None or not self.adversaries

    def checkpoint(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Every party's state by its name, and what is the session's own."""
        states = {client.name: client.checkpoint() for client in self.clients}
        own = {"last": torch.tensor(-1 if self.last is None else self.last), "done": torch.tensor(self.done)}
        if self.done:
            own |= named("scrutiny", self.scrutiny.checkpoint())
            for number, client in enumerate(self.clients):
                own[f"losses.{number}"] = torch.tensor(client.losses, dtype=torch.float64)
        return {**states, Seat.SERVER.value: self.host.checkpoint(), "session": own}

    def restore(self, states: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Stand where ``checkpoint`` was taken."""
        for client in self.clients:
            client.restore(states[client.name])
        self.host.restore(states[Seat.SERVER.value])
        own = states["session"]
        last, self.done = int(own["last"]), int(own["done"])
        self.last = None if last < 0 else last
        if self.done:
            self.scrutiny.restore(under("scrutiny", own))
            for number, client in enumerate(self.clients):
                client.losses[:] = own[f"losses.{number}"].tolist()

    def gradients(self) -> dict[str, Tensor]:
        """Of the clients' own weights in their latest steps, which no later step depends on."""
        return {name: g for client in self.clients for name, g in named(client.name, client.gradients()).items()}

    def put_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Give the clients what ``gradients`` were."""
        for client in self.clients:
            own = under(client.name, gradients)
            for name, weight in client.parts.named_parameters():
                if name in own:
                    weight.grad = own[name].to(weight)

    def _way(self, giver: Party, carried: bool) -> Handler:
        if self.plan.route is Route.SERVER:
            return self.host.answer
        handler: Handler = self.keeper
        if self.plan.route is Route.PEER:
            handler = lambda request: give(giver, request, carried)  # noqa: E731
        return self.carrier(handler)

    @property
    def _agreed(self) -> Way:
        return Way(self.protocol, self.agreement, self.packed)

    def _beside(self, number: int) -> list[Tap]:
        """The adversary beside a client that answers."""
        adversary = self.adversaries.get(number)
        if adversary is None:
            return []
        return [lambda m, honest: honest(m) if m.kind is Kind.PREDICT else adversary(m, honest)]

    def _defenses(self, number: int, drives: bool) -> list[Tap]:
        """Those of a client that are no wire codec."""
        own = (defense for defense in self.defenses.get(number, ()) if not isinstance(defense, Compression))
        return [defense.tap(drives) for defense in own]
