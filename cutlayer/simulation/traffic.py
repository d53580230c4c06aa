"""What a client pays for taking part: bytes on the wire, parameters, computation."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cutlayer.channel import Meter
from cutlayer.codec import frame_size
from cutlayer.exchange.handover import Route
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE
from cutlayer.exchange.way import Way
from cutlayer.message import Kind, Message
from cutlayer.model import flop_count, parameter_count
from cutlayer.order import batch_sizes
from cutlayer.record import Epoch, Traffic
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Act
from cutlayer.simulation.assembly import assemble, honest_host
from cutlayer.simulation.session import Session
from cutlayer.threat import Seat

Counted = dict[Kind, tuple[int, int, int]]
"""By kind: round trips, bytes of requests, bytes of replies."""


@dataclass(frozen=True)
class Cost:
    """Of one deployment."""

    bytes_up: int
    """Frames from the clients to the server in the whole training; hand-overs between clients are not counted."""
    bytes_down: int
    bytes_per_sample: float
    """Both ways, for one training sample in a full batch."""
    traffic: dict[str, Traffic]
    """By kind: training, its evaluation on the test split after every epoch, hand-overs through the server."""
    client_parameters: int
    parameters: int
    client_flops: int
    """One forward pass of one sample."""
    flops: int


def cost(scene: Scene, history: Sequence[Epoch] = ()) -> Cost:
    """Measured on one step of each batch size that the training has: a frame's size depends on its shapes alone.

    ``history``: the epochs that ran; without any, all that the experiment asks for are counted.
    """
    host = honest_host(scene)
    session = assemble(scene, host)
    batch, epochs = scene.experiment.batch_size, max((ran.epoch for ran in history), default=0)
    epochs = epochs or scene.experiment.epochs
    sizes = Counter(size for shard in session.shards for size in batch_sizes(len(shard), batch))
    counted: Counted = {}
    per_sample = 0.0
    for size, number in sorted(sizes.items()):
        before = copy.deepcopy(host.meter)
        session.exchange(Act.STEP, 0, session.shards[0][:1].expand(size))
        step = _since(before, host.meter)
        per_sample = sum(sent + received for _, sent, received in step.values()) / size
        _add(counted, step, number * epochs)
    up_first = scene.protocol.driver is Seat.CLIENT
    training = by_kind(counted, up_first)
    rest: Counted = {}
    _add(rest, _evaluation(scene, session), max(1, epochs))
    traffic = training | by_kind(rest, up_first) | by_kind(_hand_overs(scene, session, epochs), up_first=True)
    parts = scene.protocol.deal(scene.model, scene.cuts)[Seat.CLIENT]
    shapes = client_shapes(scene)
    return Cost(
        bytes_up=sum(kind.bytes_up for kind in training.values()),
        bytes_down=sum(kind.bytes_down for kind in training.values()),
        bytes_per_sample=per_sample,
        traffic=traffic,
        client_parameters=sum(parameter_count(part) for part in parts),
        parameters=parameter_count(scene.model),
        client_flops=sum(flop_count(part, shape) for part, shape in zip(parts, shapes, strict=True)),
        flops=flop_count(scene.model, scene.dataset.input_shape),
    )


def client_shapes(scene: Scene) -> list[tuple[int, ...]]:
    """The shape of one input of each of the client's parts."""
    entering = [scene.dataset.input_shape, scene.agreement["smashed"].shape, scene.agreement["features"].shape]
    owners = scene.protocol.owners
    return [shape for shape, owner in zip(entering[: len(owners)], owners, strict=True) if owner is Seat.CLIENT]


def counted(meter: Meter) -> Counted:
    """All that ``meter`` has seen."""
    return _since(Meter(), meter)


def _since(before: Meter, now: Meter) -> Counted:
    kinds = {kind for kind, number in now.round_trips.items() if number > before.round_trips.get(kind, 0)}
    return {
        kind: (
            now.round_trips[kind] - before.round_trips.get(kind, 0),
            now.sent_by[kind] - before.sent_by.get(kind, 0),
            now.received_by[kind] - before.received_by.get(kind, 0),
        )
        for kind in kinds
    }


def _add(counted: Counted, more: Counted, times: int) -> None:
    for kind, (trips, sent, received) in more.items():
        before = counted.get(kind, (0, 0, 0))
        counted[kind] = (before[0] + trips * times, before[1] + sent * times, before[2] + received * times)


def by_kind(counted: Counted, up_first: bool) -> dict[str, Traffic]:
    """What was counted, as a record has it; ``up_first``: requests go from the clients to the server."""
    return {
        kind.value: Traffic(
            round_trips=trips, bytes_up=sent if up_first else received, bytes_down=received if up_first else sent
        )
        for kind, (trips, sent, received) in sorted(counted.items())
        if trips
    }


def _evaluation(scene: Scene, session: Session) -> Counted:
    """One pass over the test split, from the shapes that were agreed on: nothing is computed."""
    counted: Counted = {}
    way = Way(scene.protocol, session.agreement, session.packed)
    driver, answerer = Seat.SERVER.value, session.clients[session.last or 0].name
    if scene.protocol.driver is Seat.CLIENT:
        driver, answerer = answerer, driver
    for part in torch.split(session.samples.test_rows, PREDICTED_AT_ONCE):
        frame = scene.protocol.wire[Kind.PREDICT]
        sent, received = (
            frame_size(Message(Kind.PREDICT, sender, 0, way.crossing(names, len(part))))
            for sender, names in ((driver, frame.request), (answerer, frame.reply))
        )
        _add(counted, {Kind.PREDICT: (1, sent, received)}, 1)
    return counted


def _hand_overs(scene: Scene, session: Session, epochs: int) -> Counted:
    """Client parts that the server keeps between turns, where the plan's route goes through it."""
    if scene.experiment.handover is not Route.SERVER or len(session.clients) < 2:
        return {}
    before = copy.deepcopy(session.host.meter)
    session.take_turn(0)
    session.take_turn(1)
    counted: Counted = {}
    turns = [number for epoch in range(1, epochs + 1) for number, _ in session.turns(epoch)]
    changes = sum(one != other for one, other in itertools.pairwise(turns))
    _add(counted, _since(before, session.host.meter), changes)
    return counted
