"""Whole deployments on small made data, for tests: a server and its clients as threads that talk over gRPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from cutlayer.deploying import place
from cutlayer.deploying.coordinator import Coordinator
from cutlayer.deploying.member import Member
from cutlayer.deploying.outcome import PartyRecord, read_party_record
from cutlayer.deploying.place import Batches, Place, limits, take_place
from cutlayer.deploying.roll import Roll
from cutlayer.deploying.settings import ClientSettings, ServerSettings, Settings
from cutlayer.deploying.terms import TRAINING_KEYS, Plan, make_plan
from cutlayer.deploying.trustee import Trustee
from cutlayer.disk import write_whole
from cutlayer.network import unscaled
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Act
from cutlayer.simulation.assembly import accuracy, assemble, honest_host
from cutlayer.simulation.session import Session
from cutlayer.threat import Progress, Seat
from cutlayer.transport.certificate import Identity, issue, make_authority
from cutlayer.transport.rpc import connect, serve
from tests.scenes import PLUGINS, made_dataset, scene_of

CUTS = {"vanilla": "1", "u_shaped": "1:4", "label_only": "4"}
SECONDS = 60


@pytest.fixture
def made_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every party of the test has the made data."""
    monkeypatch.setattr(place, "load_dataset", lambda experiment, mixed: made_dataset())


def plan_of(clients: int = 1, plugins: Path = PLUGINS, **values: Any) -> Plan:
    names = [f"c{number}" for number in range(clients)]
    fixed = {"model": "stochastic", "inputs": [1, 8, 8], "classes": 4, "epochs": 2, "batch_size": 8, "clients": names}
    cut = CUTS[values.get("protocol", "vanilla")]
    return make_plan({"protocol": "vanilla", "cut": cut, **fixed, **values}, plugins)


class Papers:
    """Certificates of one authority."""

    def __init__(self) -> None:
        self.authority, self.key = make_authority("test", 1)

    def identity(self, name: str, hosts: Sequence[str] = (), days: float = 1) -> Identity:
        return Identity(*issue(self.authority, self.key, name, hosts, days), self.authority)


@dataclass
class Deployment:
    """A server and clients, each with a folder of its own."""

    plan: Plan
    folder: Path
    papers: Papers = field(default_factory=Papers)
    settings: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    """More settings of every client."""
    errors: list[BaseException] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    port: int = 0
    server: Any = None
    roll: Any = None
    places: dict[str, Place] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def _settings(self, kind: type[Settings], name: str) -> Any:
        fixed = {"plan": {}, "folder": self.folder / name, "randomness": "plan", "dataset": "made", "plugins": PLUGINS}
        if kind is ClientSettings:
            fixed |= {"server": f"127.0.0.1:{self.port}", "share": "dealt", **self.own}
        return kind(**{"checkpoint_every": 3, "wait_seconds": SECONDS, **fixed, **self.settings})

    def place(self, name: str) -> Place:
        if name == "server":
            return take_place(self.plan, self._settings(ServerSettings, name), Seat.SERVER)
        number = self.plan.terms.clients.index(name)
        # Noise comes from a client's own secret alone: with this one it is that of a session.
        write_whole(self.folder / name / "state" / "secret", str(self.plan.experiment.seed))
        place = take_place(self.plan, self._settings(ClientSettings, name), Seat.CLIENT, number, name)
        if not place.durable.recover():
            place.durable.begin(place.durable.turn)
        return place

    def serve(self, watch: Progress = lambda what, done, total: None) -> threading.Thread:
        place = self.places["server"] = self.place("server")
        roll = self.roll = Roll(self.plan, True, self.said.append)
        coordinator = Coordinator(place, roll, watch, self.said.append)
        identity = self.papers.identity("server", ["localhost", "127.0.0.1"])
        bounds = limits(self.plan, place.settings)
        self.server, self.port = serve(f"127.0.0.1:{self.port}", identity, roll.names, roll.admit, bounds)
        return self._thread(lambda: self.missing.extend(coordinator.run()))

    def join(self, name: str, watch: Progress = lambda what, done, total: None) -> threading.Thread:
        place = self.places[name] = self.place(name)
        identity, bounds = self.papers.identity(name), limits(self.plan, place.settings)
        address = f"127.0.0.1:{self.port}"
        member = Member(place, identity, lambda: connect(address, identity, "", bounds), watch)
        return self._thread(member.run)

    def keep(self) -> threading.Thread:
        """The trusted party."""
        name = self.plan.terms.trusted_party
        identity, bounds = self.papers.identity(name), limits(self.plan, self.places["server"].settings)
        folder = self.folder / name
        (folder / "state").mkdir(parents=True, exist_ok=True)
        address = f"127.0.0.1:{self.port}"
        trustee = Trustee(self.plan, identity, folder, lambda: connect(address, identity, "", bounds), print, {})
        return self._thread(trustee.run)

    def run(self) -> None:
        """From beginning to end."""
        threads = [self.serve(), *(self.join(name) for name in self.plan.terms.clients)]
        if self.plan.terms.trusted_party:
            threads.append(self.keep())
        try:
            self.wait(*threads)
        finally:
            self.stop()

    def wait(self, *threads: threading.Thread) -> None:
        """Until all have ended; what one of them raises is raised here."""
        end = time.monotonic() + SECONDS
        while any(thread.is_alive() for thread in threads) and not self.errors:
            assert time.monotonic() < end, self.said
            time.sleep(0.01)
        if self.errors:
            raise self.errors[0]

    def stop(self) -> None:
        self.server.stop(0).wait()

    def part(self, name: str) -> dict[str, Tensor]:
        found: dict[str, Tensor] = load_file(self.folder / name / "part.safetensors")
        return found

    def record(self, name: str) -> PartyRecord:
        found = read_party_record(self.folder / name)
        assert found
        return found

    def _thread(self, work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - told to the test
                self.errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread


_Ended = tuple[Scene, Session, list[float]]
_ENDED: dict[str, _Ended] = {}


def in_process(plan: Plan, skipped: Sequence[int] = (), **more: Any) -> _Ended:
    """The same plan as a session in this process, without the turns ``skipped``; the accuracy after every epoch.

    Nobody changes it: many tests deploy the same plan.
    """
    values = {key: getattr(plan.experiment, key) for key in TRAINING_KEYS}
    values |= {"defense": plan.terms.codec or "none", "clients": len(plan.terms.clients), **more}
    told = str((sorted(values.items()), tuple(skipped)))
    if told not in _ENDED:
        _ENDED[told] = _in_process(plan, skipped, values)
    return _ENDED[told]


def _in_process(plan: Plan, skipped: Sequence[int], values: Mapping[str, Any]) -> _Ended:
    scene = scene_of(**values, threads=1)
    session = assemble(scene, honest_host(scene))
    found = []
    if not skipped:
        for epoch in range(1, plan.experiment.epochs + 1):
            session.train_epoch(epoch)
            found.append(accuracy(scene, session))
    # Turn by turn, as a deployment with a client that stays away does it; rows as every client shuffles them.
    batches = Batches(plan, plan.experiment.seed, scene.samples, dict(enumerate(session.shards)), labels=False)
    for turn in plan.turns([len(shard) for shard in session.shards]) if skipped else ():
        if turn.number not in skipped:
            session.take_turn(turn.client)
            rows = [batches(turn, step).rows for step in range(turn.count)]
            for own, upcoming in zip_longest(rows, rows[1:]):
                session.exchange(Act.STEP, turn.client, own, upcoming=upcoming)
    return scene, session, found


def ends_well(deployed: Deployment, *threads: threading.Thread) -> None:
    """Wait for the parties of ``deployed``, whatever happened to them before: the bits are those of a session."""
    try:
        deployed.wait(*threads)
    finally:
        deployed.stop()
    assert_same_bits(deployed)


def assert_same_bits(
    deployed: Deployment, without: Sequence[int] = (), missing: Sequence[str] = (), **more: Any
) -> None:
    """Every party ends with its own part, and with the bits of a session in one process."""
    _, session, accuracies = in_process(deployed.plan, without, **more)
    last = session.clients[session.last or 0]
    server = {
        n.removeprefix("weights.").split(".", 1)[1]: t
        for n, t in session.host.checkpoint().items()
        if n.startswith("weights.")
    }
    client = {name: t for part in last.parts for name, t in unscaled(part).state_dict().items()}
    for name in deployed.plan.terms.clients:
        if name not in missing:
            same(deployed.part(name), client)
    same(deployed.part("server"), server)
    if without:
        return
    if len(session.clients) == 1 and not deployed.plan.experiment.turn:
        # A turn is an epoch there.
        turn = deployed.record(deployed.plan.terms.clients[0]).turns[-1]
        measured = {"gradient_norm": turn.gradient_norm, "label_gap": turn.label_gap}
        assert {name: value for name, value in measured.items() if value is not None} == session.scrutiny.means()
        assert bool(session.scrutiny.means()) == (deployed.plan.protocol.driver is Seat.CLIENT)
    measured = {e: v for name in deployed.plan.terms.clients for e, v in deployed.record(name).accuracy.items()}
    assert measured == dict(enumerate(accuracies, 1))


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    differing = [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]
    assert differing == []
