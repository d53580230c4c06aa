"""A deployment of a scene: its parties, its session, and what the whole of it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from cutlayer.channel import Direct, Loopback
from cutlayer.compression import PackedWire, compression_of
from cutlayer.exchange.handover import Route
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE
from cutlayer.model import join
from cutlayer.protocol import task_loss
from cutlayer.record import Epoch
from cutlayer.scene.defending import codec_name, make_defenses
from cutlayer.scene.loading import scaling
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Carrier, Host, LocalHost
from cutlayer.seat.seating import Brief, make_party, seat_server
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
        party_seed=derive(experiment.seed, "party", Seat.SERVER.value),
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
    server = scene.protocol.deal(source, scene.cuts)[Seat.SERVER]
    seed = derive(experiment.seed, "party", Seat.SERVER.value)
    host.restore(make_party(Seat.SERVER.value, server, scene.optimization, seed, scene.computing).checkpoint())
    shards = scene.deal()
    clients = []
    for number, shard in enumerate(shards):
        name = f"{Seat.CLIENT}-{number}"
        parts = scene.protocol.deal(source, scene.cuts)[Seat.CLIENT]
        seed = derive(experiment.seed, "party", name)
        client = make_party(name, parts, scene.optimization, seed, scene.computing)
        if scene.protocol.labels_at is Seat.CLIENT:
            client.labels = torch.full((len(samples),), -1)
            for rows in filter(len, (shard, samples.validation_rows, samples.test_rows)):
                client.labels[rows] = samples.labels(rows)
        clients.append(client)
    defenses = {number: make_defenses(experiment, number) for number in range(len(clients))}
    codec = compression_of(defenses[0])
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
        defenses=defenses,
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
