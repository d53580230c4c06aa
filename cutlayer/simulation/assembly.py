"""A deployment of a scene: its parties, its session, and what the whole of it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from cutlayer.channel import Direct, Loopback
from cutlayer.compression import PackedWire
from cutlayer.exchange.handover import Route
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE
from cutlayer.model import join
from cutlayer.party import Party
from cutlayer.protocol import task_loss
from cutlayer.record import Epoch
from cutlayer.scene.defending import codec_name, make_defenses
from cutlayer.scene.loading import scaling
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Carrier, Host, LocalHost
from cutlayer.seat.making import held_labels, make_codec, party_of, party_seed
from cutlayer.seat.seating import Brief, seat_server
from cutlayer.simulation.session import Change, Session, TrainingPlan
from cutlayer.stream import derive
from cutlayer.threat import Knows, Seat

CARRIERS: Mapping[str, Carrier] = {"direct": Direct, "loopback": Loopback, "grpc": Loopback}


def brief(scene: Scene, attack: bool) -> Brief:
    """What a seat is told: the server's, with or without an adversary in it, or that of malicious clients."""
    experiment, seat = scene.experiment, scene.attack.threat.seat
    offers = {*scene.protocol.exposes[seat], *experiment.offers}
    if seat is Seat.SERVER and experiment.handover is Route.SERVER and experiment.clients > 1:
        offers.add(Knows.PEER_WEIGHTS)
    if scene.auxiliary and not scene.auxiliary.labeled:
        offers.discard(Knows.AUX_LABELS)
    codec = codec_name(experiment)
    return Brief(
        protocol=experiment.protocol,
        model=experiment.model,
        cuts=scene.cuts,
        input_shape=scene.dataset.input_shape,
        classes=len(scene.dataset.classes),
        optimization=scene.optimization,
        scaling=scaling(experiment),
        party_seed=party_seed(experiment.seed, Seat.SERVER),
        attack_seed=derive(experiment.seed, "adversary", scene.attack.stream or experiment.attack),
        attack=experiment.attack if attack else "",
        options=scene.options if attack else {},
        offers=tuple(sorted(offers)),
        budgets=scene.budgets if attack else (),
        plugins=str(experiment.plugins or ""),
        codec=codec,
        codec_options=experiment.options.get(codec, {}),
        computing=scene.computing,
        threads=experiment.threads,
    )


def honest_host(scene: Scene) -> LocalHost:
    """The server's party in this process, with nobody curious in its seat."""
    return seat_server(brief(scene, attack=False), carrier=CARRIERS[scene.experiment.carrier])


def assemble(scene: Scene, host: Host, weights: nn.Sequential | None = None) -> Session:
    """A session at the start of its training, or with the ``weights`` of a trained model."""
    experiment, samples = scene.experiment, scene.samples
    source = weights or scene.model

    def party(seat: Seat, number: int = 0) -> Party:
        parts = scene.protocol.deal(source, scene.cuts)[seat]
        return party_of(seat, number, parts, scene.optimization, experiment.seed, scene.computing)

    host.restore(party(Seat.SERVER).checkpoint())
    shards = scene.deal()
    clients = [party(Seat.CLIENT, number) for number in range(len(shards))]
    if scene.protocol.labels_at is Seat.CLIENT:
        for client, shard in zip(clients, shards, strict=True):
            client.labels = held_labels(samples, shard)
    agreed = codec_name(experiment)
    codec = make_codec(agreed, experiment.options.get(agreed, {}), experiment.plugins)
    plan = TrainingPlan(
        seed=experiment.seed,
        batch_size=experiment.batch_size,
        turn=experiment.turn,
        route=experiment.handover,
        optimizer_state=experiment.optimizer_state,
        pipelined=experiment.pipelined,
    )
    return Session(
        protocol=scene.protocol,
        agreement=scene.agreement,
        clients=clients,
        shards=shards,
        host=host,
        samples=samples,
        plan=plan,
        defenses={number: make_defenses(experiment, number) for number in range(len(clients))},
        packed=PackedWire(codec, scene.protocol.wire, scene.agreement) if codec else None,
        carrier=CARRIERS[experiment.carrier],
    )


def whole_model(scene: Scene, session: Session) -> nn.Sequential:
    """The deployed network as ``session`` stands: the parts of the client whose turn was last, and the server's."""
    return join(whole_parts(scene, session)).cpu()


def replica(scene: Scene, session: Session) -> LocalHost:
    """The server's party as ``session`` has it now, with nobody curious in its seat."""
    host = honest_host(scene)
    host.restore(session.host.checkpoint())
    return host


def whole_parts(scene: Scene, session: Session) -> list[nn.Module]:
    """The deployed network's parts in order."""
    server = replica(scene, session)
    client = session.clients[session.last or 0]
    held = {Seat.CLIENT: iter(client.parts), Seat.SERVER: iter(server.party.parts)}
    return [next(held[owner]) for owner in scene.protocol.owners]


def accuracy(scene: Scene, session: Session) -> float:
    """Of the deployment on the whole test split."""
    labels = session.samples.labels(session.samples.test_rows)
    return (answers(session, replica(scene, session)).argmax(1) == labels).double().mean().item()


def answers(session: Session, server: Host, change: Change | None = None, rows: Tensor | None = None) -> Tensor:
    """The logits for the test split, or other ``rows``, changed first: through the defenses, from a ``replica``."""
    return session.predictions(session.samples.test_rows if rows is None else rows, server, change)


def answers_to(
    session: Session, server: Host, rows: Tensor, inputs: Tensor, tell: Callable[[int, int], None] = lambda *of: None
) -> Tensor:
    """The logits for ``inputs`` [n, ...] that take the place of the first n ``rows``, the targets, in their order.

    ``tell``: is told how many there are so far, and in all.
    """
    parts, begun = iter(torch.split(inputs, PREDICTED_AT_ONCE)), 0

    def upcoming(natural: Tensor) -> Tensor:
        nonlocal begun
        tell(begun, len(inputs))
        part = next(parts)
        begun += len(part)
        return part

    found = session.predictions(rows[: len(inputs)], server, upcoming)
    tell(begun, len(inputs))
    return found


def measured(scene: Scene, session: Session, epoch: int, loss: float) -> Epoch:
    """What there is to say after an epoch of training."""
    found = Epoch(epoch=epoch, loss=loss, accuracy=accuracy(scene, session), **session.scrutiny.means())
    rows = scene.samples.validation_rows
    if not len(rows):
        return found
    logits, labels = answers(session, replica(scene, session), rows=rows), scene.samples.labels(rows)
    right = (logits.argmax(1) == labels).double().mean().item()
    return found.changed(validation_loss=task_loss(logits, labels).item(), validation_accuracy=right)
