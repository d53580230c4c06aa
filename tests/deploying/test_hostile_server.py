"""A server that breaks the rules: its clients end with one sentence, and with the weights they had."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch

from cutlayer.codec import FrameError, encode
from cutlayer.deploying.member import Member, read_offer
from cutlayer.deploying.seal import Context, SealError, seal
from cutlayer.deploying.trustee import Trustee
from cutlayer.deploying.turn import Turn
from cutlayer.exchange.handover import give
from cutlayer.message import Kind, Message
from cutlayer.transport.certificate import Identity
from cutlayer.transport.duplex import DisconnectedError, Duplex
from cutlayer.wire import WireError
from tests.deployments import Deployment, made_here, plan_of, same
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")
TRUSTED = {"handover": "trusted_party", "trusted_party": "tess"}


class Server:
    """The other end of a client's link: it says its words in order, and answers an offer where it is told how."""

    def __init__(self, *words: bytes, answer: Callable[[dict[str, Any]], bytes] | None = None) -> None:
        self.words, self.answer = list(words), answer
        self.told: list[dict[str, Any]] = []
        self.sent: list[bytes] = []

    def tell(self, verb: str, **fields: Any) -> None:
        self.told.append({"verb": verb, **fields})
        if verb == "offered" and self.answer:
            self.words.insert(0, self.answer(fields))

    def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    def receive(self, seconds: float | None = None) -> bytes:
        if not self.words:
            raise DisconnectedError("nothing more")
        return self.words.pop(0)

    def close(self, reason: Exception | None = None) -> None:
        pass


def say(verb: str, **fields: Any) -> bytes:
    return json.dumps({"verb": verb, **fields}).encode()


def own_part(
    deployed: Deployment, forger: Identity, giver: str, taker: str, kind: Kind = Kind.WEIGHTS
) -> Callable[[dict[str, Any]], bytes]:
    """What a server of its own weights would send in the name of ``giver``."""
    place = Deployment(deployed.plan, deployed.folder / "forged").place("c1")
    part = give(place.durable.party, Message(kind, giver, 0, {}), False)
    forged = part.replace(**{name: torch.ones_like(tensor) for name, tensor in part.tensors.items()})

    def answer(fields: dict[str, Any]) -> bytes:
        offer = read_offer({"verb": "offered", **fields})
        return encode(seal(forged, offer, forger, Context(deployed.plan.fingerprint, 1, giver, taker), {}))

    return answer


@pytest.mark.parametrize(
    ("route", "giver"),
    [({}, "server"), ({}, "mallory"), ({}, "c0"), (TRUSTED, "server"), (TRUSTED, "c1")],
    ids=["the server", "a stranger", "the client itself", "past the trusted party", "a client past the trusted party"],
)
def test_a_part_by_somebody_whom_the_plan_has_not_give_it_is_refused(tmp_path, route, giver):
    deployed = Deployment(plan_of(2, **route), tmp_path)
    place, papers = deployed.place("c0"), deployed.papers
    before = place.durable.party.weights()
    link = Server(
        say("take", at=asdict(Turn(1, epoch=1)), giver=giver),
        answer=own_part(deployed, papers.identity(giver), giver, "c0"),
    )
    member = Member(place, papers.identity("c0"), lambda: link)  # type: ignore[arg-type, return-value]
    with pytest.raises(SealError, match=f"the server wants a hand-over from '{giver}' to 'c0'; this plan has them"):
        member.run(once=True)
    same(place.durable.party.weights(), before)
    place.durable.shelf.close()


@pytest.mark.parametrize("giver", ["server", "tess"])
def test_a_trusted_party_keeps_no_part_but_a_clients(tmp_path, giver):
    deployed = Deployment(plan_of(2, **TRUSTED), tmp_path)
    papers = deployed.papers
    link = Server(
        say("take", at=asdict(Turn(1, epoch=1)), giver=giver),
        answer=own_part(deployed, papers.identity(giver), giver, "tess"),
    )
    trustee = Trustee(deployed.plan, papers.identity("tess"), tmp_path, lambda: link, lambda *_: None, {})  # type: ignore[arg-type, return-value]
    with pytest.raises(SealError, match=f"from '{giver}' to 'tess'; this plan has them between clients and 'tess'"):
        trustee._talk(link)  # type: ignore[arg-type]
    assert not trustee._held.exists()


def test_a_trusted_party_keeps_nothing_that_a_client_has_sealed_but_a_part(tmp_path):
    deployed = Deployment(plan_of(2, **TRUSTED), tmp_path)
    papers = deployed.papers
    link = Server(
        say("take", at=asdict(Turn(1, epoch=1)), giver="c0"),
        answer=own_part(deployed, papers.identity("c0"), "c0", "tess", Kind.PREDICT),
    )
    trustee = Trustee(deployed.plan, papers.identity("tess"), tmp_path, lambda: link, lambda *_: None, {})  # type: ignore[arg-type, return-value]
    with pytest.raises(FrameError, match="what was sealed is no client part"):
        trustee._talk(link)  # type: ignore[arg-type]
    assert not trustee._held.exists()


@pytest.mark.parametrize("taker", ["server", "mallory", "c0"])
def test_a_part_is_given_to_nobody_whom_the_plan_does_not_name(tmp_path, taker):
    deployed = Deployment(plan_of(2), tmp_path)
    place = deployed.place("c0")
    link = Server(say("give", turn=1, taker=taker))
    member = Member(place, deployed.papers.identity("c0"), lambda: link)  # type: ignore[arg-type, return-value]
    with pytest.raises(SealError, match=f"from 'c0' to '{taker}'; this plan has them between two of c0, c1"):
        member.run(once=True)
    assert link.sent == []
    place.durable.shelf.close()


@pytest.mark.parametrize(
    ("protocol", "kind", "tensors"),
    [
        *(("vanilla", kind, ("smashed", "labels")) for kind in (Kind.TRAIN, Kind.PREDICT)),
        *(("u_shaped", kind, ("smashed",)) for kind in (Kind.FORWARD, Kind.PREDICT)),
        ("u_shaped", Kind.BACKWARD, ("features_grad",)),
    ],
)
def test_a_client_that_asks_answers_no_request(tmp_path, protocol, kind, tensors):
    """In the form that the server itself would take, and in that of the client's inputs."""
    deployed = Deployment(plan_of(protocol=protocol), tmp_path)
    place = deployed.place("c0")
    before = place.durable.party.checkpoint()
    for shape in (deployed.plan.agreement[tensors[0]].shape, deployed.plan.terms.inputs):
        values = {name: torch.zeros(4, dtype=torch.int64) for name in tensors} | {tensors[0]: torch.ones(4, *shape)}
        link = Server(encode(Message(kind, "server", 0, values)))
        member = Member(place, None, lambda link=link: link)  # type: ignore[misc]
        with pytest.raises(WireError, match=f"{kind} message of step 0 from 'server': 'c0' asks and answers nothing"):
            member.run(once=True)
        assert link.sent == []
        same(place.durable.party.checkpoint(), before)
    place.durable.shelf.close()


def test_what_a_server_says_cannot_steer_a_terminal(tmp_path):
    seen = []
    place = Deployment(plan_of(), tmp_path).place("c0")
    link = Server(say("wait", why="\x1b[2Jwait\nforever\u202e\ud800\x7f é"))
    member = Member(place, None, lambda: link, lambda what, done, total: seen.append(what))  # type: ignore[arg-type, return-value]
    member.run(once=True)
    assert seen == [r"\x1b[2Jwait\nforever\u202e\ud800\x7f é"]


def test_how_a_server_ends_a_connection_cannot_steer_a_terminal(tmp_path, monkeypatch):
    seen, closed = [], Duplex("the server")
    closed.lost(DisconnectedError("gone\x1b[2J\n"))
    place = Deployment(plan_of(), tmp_path).place("c0")
    links = iter([closed])
    monkeypatch.setattr("cutlayer.deploying.member.time.sleep", lambda seconds: None)
    member = Member(place, None, lambda: next(links), lambda what, done, total: seen.append(what))
    with pytest.raises(StopIteration):
        member.run()
    assert seen == [r"no connection (gone\x1b[2J\n); trying again"]
    place.durable.shelf.close()


ORDER = {"number": 1, "epoch": 1, "count": 3}


@pytest.mark.parametrize("verb", ["begin", "take"])
@pytest.mark.parametrize(
    "change",
    [
        {"count": 7},
        {"first": 4},
        {"first": -1},
        {"count": -1},
        {"client": 1},
        {"epoch": 0},
        {"epoch": 3},
        {"number": 0},
        {"number": 10**8},
        {"start": -1},
        {"start": 10**12},
    ],
    ids=str,
)
def test_a_turn_that_its_data_cannot_fill_is_refused_by_a_client_in_one_sentence(tmp_path, verb, change):
    """It has 44 rows, six batches; what lies beyond them ended in a traceback."""
    place = Deployment(plan_of(), tmp_path).place("c0")
    before = place.durable.party.checkpoint()
    link = Server(say(verb, at={**ORDER, **change}, giver="c1"), say("drive", step=0))
    member = Member(place, None, lambda: link)  # type: ignore[arg-type, return-value]
    with pytest.raises(
        FrameError, match=r"the server orders Turn\(.*\): this is client 0, with 6 batches in each of 2 ep"
    ):
        member.run(once=True)
    same(place.durable.party.checkpoint(), before)
    place.durable.shelf.close()


def test_a_turn_that_starts_where_a_client_does_not_stand_is_refused_in_one_sentence(tmp_path):
    """Its steps would be taken on other batches than the order has for them."""
    place = Deployment(plan_of(), tmp_path).place("c0")
    before = place.durable.party.checkpoint()
    link = Server(say("begin", at={**ORDER, "start": 2}))
    member = Member(place, None, lambda: link)  # type: ignore[arg-type, return-value]
    with pytest.raises(WireError, match="turn 1 starts at step 2, 'c0' stands at step 0"):
        member.run(once=True)
    assert place.durable.turn.number == 0
    same(place.durable.party.checkpoint(), before)
    place.durable.shelf.close()


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        (Kind.PREDICT, range(44, 48), "asks for predictions of other rows than the 16 that are due"),
        (Kind.TRAIN, range(16), "train message of step 0 from 'server': out of turn"),
    ],
)
def test_an_evaluation_of_other_rows_than_are_due_is_refused_by_a_client_in_one_sentence(tmp_path, kind, rows, message):
    deployed = Deployment(plan_of(protocol="label_only"), tmp_path)
    place = deployed.place("c0")
    before = place.durable.party.checkpoint()
    tensors = {"smashed": torch.zeros(len(rows), *deployed.plan.agreement["smashed"].shape), "rows": torch.tensor(rows)}
    link = Server(say("evaluate", epoch=1), encode(Message(kind, "server", 0, tensors)))
    member = Member(place, None, lambda: link)  # type: ignore[arg-type, return-value]
    with pytest.raises((FrameError, WireError), match=message):
        member.run(once=True)
    same(place.durable.party.checkpoint(), before)
    place.durable.shelf.close()
