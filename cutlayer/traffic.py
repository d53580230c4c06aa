"""What a client pays for taking part: bytes on the wire, parameters, computation."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cutlayer.deployment import assemble, honest_host
from cutlayer.handover import Keeper
from cutlayer.host import Act
from cutlayer.model import flop_count, parameter_count
from cutlayer.samples import batch_sizes
from cutlayer.scene import Scene
from cutlayer.threat import Seat


@dataclass(frozen=True)
class Cost:
    """Of one deployment."""

    bytes_up: int
    """Frames from the clients to the server in the whole training; hand-overs between clients are not counted."""
    bytes_down: int
    bytes_per_sample: float
    """Both ways, for one training sample in a full batch."""
    client_parameters: int
    parameters: int
    client_flops: int
    """One forward pass of one sample."""
    flops: int


def cost(scene: Scene) -> Cost:
    """Measured on one step of each batch size that the training has: a frame's size depends on its shapes alone."""
    keeper = Keeper("trusted_party")
    host = honest_host(scene, keeper)
    session = assemble(scene, host, keeper)
    batch, epochs = scene.experiment.batch_size, scene.experiment.epochs
    sizes = Counter(size for shard in session.shards for size in batch_sizes(len(shard), batch))
    up = down = 0
    per_sample = 0.0
    for size, number in sorted(sizes.items()):
        sent, received = host.meter.sent, host.meter.received
        session.exchange(Act.STEP, 0, session.shards[0][:1].expand(size))
        sent, received = host.meter.sent - sent, host.meter.received - received
        if scene.protocol.driver is Seat.SERVER:
            sent, received = received, sent
        up, down = up + sent * number * epochs, down + received * number * epochs
        per_sample = (sent + received) / size
    parts = scene.protocol.deal(scene.model, scene.cuts)[Seat.CLIENT]
    shapes = client_shapes(scene)
    return Cost(
        bytes_up=up,
        bytes_down=down,
        bytes_per_sample=per_sample,
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
