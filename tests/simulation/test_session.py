"""Splitting changes nothing, watching changes nothing, bytes change nothing: to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutlayer import registry
from cutlayer.adversary import Adversary
from cutlayer.defenses.gaussian_noise import GaussianNoise
from cutlayer.exchange.handover import OptimizerState, Route
from cutlayer.message import Message
from cutlayer.model import split
from cutlayer.scene.scene import Scene
from cutlayer.seat import seating
from cutlayer.seat.host import Act
from cutlayer.simulation.assembly import assemble, brief, honest_host
from cutlayer.simulation.session import Session
from cutlayer.stream import derive, drawing
from cutlayer.threat import Seat
from tests import fuzzing, test_channel, test_tampering, test_wire
from tests.exchange import test_pipeline
from tests.scenes import CUTS, made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")

SGD = {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01, "learning_rate": 0.05, "milestones": (1,)}


def session_of(scene: Scene) -> Session:
    return assemble(scene, honest_host(scene))


def run(session: Session, epochs: int = 2) -> list[float]:
    return [session.train_epoch(epoch) for epoch in range(1, epochs + 1)]


def same(one: Mapping[str, Mapping[str, Tensor]], other: Mapping[str, Mapping[str, Tensor]]) -> bool:
    assert one.keys() == other.keys()
    return all(
        one[party].keys() == other[party].keys()
        and all(torch.equal(tensor, other[party][name]) for name, tensor in one[party].items())
        for party in one
    )


def unsplit(scene: Scene, session: Session, epochs: int = 2) -> tuple[nn.ModuleList, list[float]]:
    """The whole model over one autograd graph, in the session's order of batches, drawing from its parties' streams.

    The clients' part is one module here: what hand-overs keep alike. Its optimizer follows the rule for the state.
    """
    experiment, owners = scene.experiment, scene.protocol.owners
    parts = nn.ModuleList(split(scene.model, scene.cuts)).train()
    held = {seat: [p for p, o in zip(parts, owners, strict=True) if o is seat] for seat in Seat}
    params = {seat: [w for part in held[seat] for w in part.parameters()] for seat in Seat}
    server = scene.optimization.make(params[Seat.SERVER])
    fresh = [scene.optimization.make(params[Seat.CLIENT]) for _ in session.clients]
    own = dict(enumerate(fresh))
    carried = fresh[0]
    step, last, losses = 0, None, []
    for epoch in range(1, epochs + 1):
        sum_of_losses = []
        for number, turn in session.turns(epoch):
            if last not in (None, number) and experiment.optimizer_state is OptimizerState.RESET:
                own[number] = scene.optimization.make(params[Seat.CLIENT])
            last = number
            client = carried if experiment.optimizer_state is OptimizerState.CARRIED else own[number]
            for rows in turn:
                value = scene.samples.inputs(rows)
                seen: dict[Seat, int] = {}
                for part, owner in zip(parts, owners, strict=True):
                    name = f"client-{number}" if owner is Seat.CLIENT else "server"
                    place = seen.get(owner, 0)
                    seen[owner] = place + 1
                    with drawing(derive(derive(experiment.seed, "party", name), "train", step, place)):
                        value = part(value)
                loss = nn.functional.cross_entropy(value, scene.samples.labels(rows))
                client.zero_grad()
                server.zero_grad()
                loss.backward()
                for optimizer in (client, server):
                    for group in optimizer.param_groups:
                        group["lr"] = scene.optimization.rate(step)
                    optimizer.step()
                step += 1
                sum_of_losses.append(loss.item())
        losses.append(sum(sum_of_losses) / len(sum_of_losses))
    return parts, losses


def assert_equals_unsplit(scene: Scene) -> None:
    session = session_of(scene)
    losses = run(session)
    parts, expected = unsplit(scene, session)
    assert losses == pytest.approx(expected, rel=1e-6)
    held = {Seat.CLIENT: iter(session.clients[session.last or 0].parts), Seat.SERVER: iter(session.host.party.parts)}
    for part, owner in zip(parts, scene.protocol.owners, strict=True):
        trained = next(held[owner]).state_dict()
        for name, tensor in part.state_dict().items():
            assert torch.equal(tensor, trained[name]), f"{owner} {name}"


@pytest.mark.parametrize(
    "named",
    [CUTS, test_channel.PROTOCOLS, test_wire.CUTS, test_tampering.CUTS, test_pipeline.CUTS, fuzzing.CUTS],
    ids=["session", "channel", "wire", "tampering", "pipeline", "fuzzing"],
)
def test_no_protocol_is_left_out(named: Mapping[str, object]) -> None:
    """Of what is tried with each of them by name."""
    assert set(named) == set(registry.names("protocols"))


@pytest.mark.parametrize("route", Route)
@pytest.mark.parametrize("protocol", CUTS)
def test_no_tensor_belongs_to_two_parties(protocol: str, route: Route) -> None:
    scene = scene_of(protocol=protocol, cut=CUTS[protocol], clients=3, turn=2, handover=route, **SGD)
    session = session_of(scene)
    run(session)
    again = session_of(scene)
    again.restore(session.checkpoint())
    for one in (session, again):
        owners: dict[int, str] = {}
        for party in (*one.clients, one.host.party):
            held = [tensor for part in party.parts for tensor in (*part.parameters(), *part.buffers())]
            held += [
                tensor for part in party.parts for tensor in (w.grad for w in part.parameters()) if tensor is not None
            ]
            for place in {tensor.untyped_storage().data_ptr() for tensor in held if tensor.numel()}:
                assert owners.setdefault(place, party.name) == party.name


@pytest.mark.parametrize("optimization", [{}, SGD], ids=["adam", "sgd"])
@pytest.mark.parametrize("protocol", CUTS)
def test_splitting_changes_nothing(protocol: str, optimization: dict[str, Any]) -> None:
    assert_equals_unsplit(scene_of(protocol=protocol, cut=CUTS[protocol], **optimization))


# Every pair of these, in a quick run; every triple in a slow one.
SHARED = [
    pytest.param(protocol, route, state, marks=() if (a + b + c) % 3 == 0 else pytest.mark.slow)
    for a, protocol in enumerate(CUTS)
    for b, route in enumerate(Route)
    for c, state in enumerate(OptimizerState)
]


@pytest.mark.parametrize(("protocol", "route", "state"), SHARED)
def test_splitting_among_several_clients_changes_nothing(protocol: str, route: Route, state: OptimizerState) -> None:
    values = {"protocol": protocol, "cut": CUTS[protocol], "handover": route, "optimizer_state": state}
    assert_equals_unsplit(scene_of(**values, clients=3, turn=2, **SGD))


def test_own_state_is_not_carried_state() -> None:
    ends = []
    for state in OptimizerState:
        session = session_of(scene_of(protocol="vanilla", cut="1", clients=2, turn=1, optimizer_state=state, **SGD))
        run(session)
        ends.append(session.checkpoint())
    assert not same(ends[0], ends[1])
    assert not same(ends[1], ends[2])


@pytest.mark.parametrize("protocol", CUTS)
def test_bytes_change_nothing(protocol: str) -> None:
    ends, meters = [], []
    for carrier in ("direct", "loopback"):
        session = session_of(scene_of(protocol=protocol, cut=CUTS[protocol], clients=2, carrier=carrier))
        run(session)
        ends.append(session.checkpoint())
        meters.append(session.host.meter)
    assert same(*ends)
    assert meters[0] == meters[1]
    assert meters[0].sent > 0


@pytest.mark.parametrize("protocol", CUTS)
def test_watching_changes_nothing(protocol: str) -> None:
    scene = scene_of(protocol=protocol, cut=CUTS[protocol], clients=2, handover="server")
    honest = session_of(scene)
    run(honest)
    host = seating.seat_server(brief(scene, attack=True), lambda what, tensors: {})
    watched = assemble(scene, host)
    run(watched)
    assert host.occupant.adversary is not None
    assert host.occupant.adversary.attack.messages > 20
    assert same(honest.checkpoint(), watched.checkpoint())


@pytest.mark.parametrize("copied", [True, False])
def test_an_attack_that_spoils_what_it_is_shown_spoils_a_copy(copied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the copy it would be noticed."""
    scene = scene_of(protocol="vanilla", cut="1", carrier="direct")
    honest = session_of(scene)
    run(honest)
    host = seating.seat_server(brief(scene, attack=True), lambda what, tensors: {})
    assert host.occupant.adversary is not None
    monkeypatch.setattr(
        host.occupant.adversary.attack, "observe", lambda message: [message[name].zero_() for name in message]
    )
    if not copied:
        monkeypatch.setattr(Adversary, "_divided", lambda adversary, message: (message, {}))
    watched = assemble(scene, host)
    run(watched)
    assert same(honest.checkpoint(), watched.checkpoint()) is copied


@pytest.mark.parametrize("protocol", CUTS)
def test_taking_up_a_checkpoint_ends_in_the_same_bits(protocol: str) -> None:
    scene = scene_of(protocol=protocol, cut=CUTS[protocol], clients=2)
    through = session_of(scene)
    run(through, epochs=3)
    first, second = session_of(scene), session_of(scene)
    first.train_epoch(1)
    second.restore(first.checkpoint())
    for epoch in (2, 3):
        second.train_epoch(epoch)
    assert same(through.checkpoint(), second.checkpoint())


@pytest.mark.parametrize("protocol", CUTS)
def test_every_client_has_defenses_of_its_own(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    acted: list[tuple[str, int]] = []

    def noted(defense: GaussianNoise, message: Message) -> Message:
        acted.append((message.sender, defense.seed))
        return message

    monkeypatch.setattr(GaussianNoise, "guard", noted)
    session = session_of(scene_of(protocol=protocol, cut=CUTS[protocol], clients=2, defense="gaussian_noise"))
    # Where they are made they are tried.
    acted.clear()
    for number in (0, 1):
        session.exchange(Act.PREDICT, number, session.samples.test_rows)
    assert [name for name, _ in acted] == ["client-0", "client-1"]
    assert len({seed for _, seed in acted}) == 2


def test_another_seed_ends_elsewhere() -> None:
    ends = []
    for seed in (1, 2, 1):
        session = session_of(scene_of(protocol="vanilla", cut="1", seed=seed))
        run(session)
        ends.append(session.checkpoint())
    assert same(ends[0], ends[2])
    assert not same(ends[0], ends[1])


def test_a_turn_is_k_batches() -> None:
    session = session_of(scene_of(protocol="vanilla", cut="1", clients=2, turn=2))
    turns = [(number, len(batches)) for number, batches in session.turns(1)]
    assert turns == [(0, 2), (1, 2), (0, 1), (1, 1)]
    rows = torch.cat([row for _, batches in session.turns(1) for row in batches])
    assert sorted(rows.tolist()) == list(range(44))
