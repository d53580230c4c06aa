"""Training with a forward pass made ahead: what it computes, to the bit, against plain torch, and that it overlaps."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.auditing.victim import key, train
from cutlayer.model import split
from cutlayer.scene.scene import Scene
from cutlayer.seat import seating
from cutlayer.seat.host import Act
from cutlayer.simulation.assembly import assemble, honest_host
from cutlayer.simulation.session import Session
from cutlayer.stream import derive, drawing
from cutlayer.threat import Seat
from cutlayer.transport.rpc import Grpc
from tests.auditing.test_victim import plain
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")

CUTS = {"vanilla": "1", "u_shaped": "1:4", "label_only": "4"}
SGD = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01, "learning_rate": 0.05, "milestones": (1,)}
States = dict[str, dict[str, Tensor]]


def session_of(scene: Scene) -> Session:
    return assemble(scene, honest_host(scene))


def pipelined(protocol: str, **values: Any) -> Scene:
    return scene_of(**{"protocol": protocol, "cut": CUTS[protocol], "pipelined": True, **values})


def trained(scene: Scene, epochs: int = 2) -> Session:
    session = session_of(scene)
    for epoch in range(1, epochs + 1):
        session.train_epoch(epoch)
    return session


def state(session: Session) -> States:
    return {party: dict(tensors) for party, tensors in session.checkpoint().items()}


def same(one: States, other: States) -> bool:
    assert one.keys() == other.keys()
    return all(
        one[party].keys() == other[party].keys()
        and all(torch.equal(tensor, other[party][name]) for name, tensor in one[party].items())
        for party in one
    )


def by_hand(scene: Scene, session: Session, epochs: int = 2) -> nn.ModuleList:
    """The whole model in plain torch, its first part computed by a copy from before the last update of the turn."""
    experiment, owners = scene.experiment, scene.protocol.owners
    parts = nn.ModuleList(split(scene.model, scene.cuts)).train()
    own = {seat: [w for p, o in zip(parts, owners, strict=True) if o is seat for w in p.parameters()] for seat in Seat}
    server = scene.optimization.make(own[Seat.SERVER])
    clients = [scene.optimization.make(own[Seat.CLIENT]) for _ in session.clients]
    step = 0
    for epoch in range(1, epochs + 1):
        for number, turn in session.turns(epoch):
            before = [copy.deepcopy(parts[0])]
            for place, rows in enumerate(turn):
                # A turn's first two steps are made with the weights it began with, later ones with the last but one.
                former = copy.deepcopy(before[max(place - 1, 0)])
                for buffer, latest in zip(former.buffers(), parts[0].buffers(), strict=True):
                    buffer.copy_(latest)
                value, seen = scene.samples.inputs(rows), dict.fromkeys(Seat, 0)
                for part, owner in zip([former, *parts[1:]], owners, strict=True):
                    name = f"client-{number}" if owner is Seat.CLIENT else "server"
                    with drawing(derive(derive(experiment.seed, "party", name), "train", step, seen[owner])):
                        value = part(value)
                    seen[owner] += 1
                for buffer, latest in zip(former.buffers(), parts[0].buffers(), strict=True):
                    latest.copy_(buffer)
                for weight in parts.parameters():
                    weight.grad = None
                cross_entropy(value, scene.samples.labels(rows)).backward()
                for weight, stale in zip(parts[0].parameters(), former.parameters(), strict=True):
                    weight.grad = stale.grad
                for optimizer in (clients[number], server):
                    for group in optimizer.param_groups:
                        group["lr"] = scene.optimization.rate(step)
                    optimizer.step()
                before.append(copy.deepcopy(parts[0]))
                step += 1
    return parts


@pytest.mark.parametrize(
    ("protocol", "turn", "optimization"),
    [
        *(pytest.param(protocol, 0, {}, id=f"{protocol}-0-adam") for protocol in ("vanilla", "label_only")),
        *(pytest.param(protocol, 2, SGD, id=f"{protocol}-2-sgd") for protocol in ("vanilla", "label_only")),
        pytest.param("u_shaped", 0, SGD, id="u_shaped-0-sgd"),
        pytest.param("u_shaped", 2, {}, id="u_shaped-2-adam"),
    ],
)
def test_the_first_part_is_one_update_old_and_no_more(protocol: str, turn: int, optimization: dict[str, Any]) -> None:
    scene = pipelined(protocol, clients=2, turn=turn, **optimization)
    session = trained(scene)
    assert isinstance(session.host, seating.LocalHost)
    held = {Seat.CLIENT: iter(session.clients[session.last or 0].parts), Seat.SERVER: iter(session.host.party.parts)}
    for part, owner in zip(by_hand(scene, session), scene.protocol.owners, strict=True):
        found = next(held[owner]).state_dict()
        for name, tensor in part.state_dict().items():
            assert torch.equal(tensor, found[name]), f"{owner} {name}"


# What it is by hand is seen in all of them.
@pytest.mark.parametrize("protocol", [pytest.param(p, marks=pytest.mark.slow if p != "vanilla" else ()) for p in CUTS])
def test_it_is_another_training_unless_nothing_moves_or_nothing_follows(protocol: str) -> None:
    def end(turn: int, ahead: bool, still: bool = False) -> States:
        session = session_of(pipelined(protocol, clients=2, turn=turn, pipelined=ahead))
        assert isinstance(session.host, seating.LocalHost)
        if still:
            for party in (*session.clients, session.host.party):
                party.schedule = lambda step: 0.0
        session.train_epoch(1)
        return state(session)

    assert not same(end(0, ahead=False), end(0, ahead=True))
    assert same(end(1, ahead=False), end(1, ahead=True))
    unmoved = end(0, ahead=True, still=True)
    assert same(end(0, ahead=False, still=True), unmoved)
    # Running statistics and moments have moved all the same.
    assert not same(unmoved, state(session_of(pipelined(protocol, clients=2))))


@pytest.mark.parametrize(
    ("protocol", "values"),
    [
        *((protocol, {}) for protocol in CUTS),
        ("u_shaped", {"precision": "bf16"}),
        ("label_only", {"memory_format": "channels_last"}),
    ],
)
def test_a_checkpoint_amid_a_turn_holds_what_was_made_ahead(protocol: str, values: dict[str, Any]) -> None:
    """After every step everybody is replaced by somebody who knows the checkpoint alone."""
    scene = pipelined(protocol, **values)
    through, seen = trained(scene, epochs=1), []
    session = session_of(scene)
    assert isinstance(session.host, seating.LocalHost)
    ((_, turn),) = session.turns(1)
    for place, rows in enumerate(turn):
        following = turn[place + 1] if place + 1 < len(turn) else None
        session.exchange(Act.STEP, 0, rows, upcoming=following)
        kept = state(session)
        driver = "server" if protocol == "label_only" else "client-0"
        seen.append(any(name.startswith("stash.") for name in kept[driver]))
        session, losses = session_of(scene), session.clients[0].losses
        session.restore(kept)
        assert same(state(session), kept)
        session.clients[0].losses.extend(losses)
    assert seen == [True] * (len(turn) - 1) + [False], "drained at the end of a turn, and only there"
    kept = state(session)
    kept["session"] = state(through)["session"]
    assert same(kept, state(through))
    assert session.clients[0].losses == through.clients[0].losses


def test_between_sending_and_waiting_the_next_pass_is_made() -> None:
    """The other side answers only once the work was done: in turn that would never be."""
    done: list[str] = []

    class Link:
        def send(self, frame: bytes) -> None:
            done.append("sent")

        def receive(self, seconds: float) -> bytes:
            assert done == ["sent", "worked"]
            return b"answer"

    channel = Grpc(Link(), 1.0)  # type: ignore[arg-type]
    assert channel.carry_while(b"frame", lambda: done.append("worked")) == b"answer" == channel.answered


def test_victims_are_those_of_their_protocol_and_cut_and_shared_by_passive_attacks(tmp_path: Path) -> None:
    def key_of(**values: Any) -> str:
        return key(scene_of(**{"plugins": None, "model": plain(tmp_path), "attack": "unsplit", **values}))

    places = [("vanilla", "1"), ("vanilla", "2"), ("u_shaped", "1:3"), ("label_only", "3")]
    assert len({key_of(protocol=protocol, cut=cut) for protocol, cut in places}) == 1
    keys = {key_of(protocol=protocol, cut=cut, pipelined=ahead) for protocol, cut in places for ahead in (False, True)}
    assert len(keys) == 1 + len(places)
    alike = [
        key_of(protocol="vanilla", cut="1", pipelined=True, attack=name) for name in ("unsplit", "inversion_white_box")
    ]
    assert alike[0] == alike[1]
    # Layers that draw: protocol and cut are in the key in any case.
    assert key(pipelined("vanilla")) != key(pipelined("vanilla", pipelined=False))


def test_a_victim_and_its_session_are_one_and_the_same(tmp_path: Path) -> None:
    scene = pipelined("u_shaped")
    model = train(scene, tmp_path, lambda what, done, total: None).model
    parts = by_hand(scene, session_of(scene))
    expected = [tensor for part in parts for tensor in part.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), expected, strict=True))
