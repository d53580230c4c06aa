"""Every defense keeps the contract, on what a client really sends in every protocol."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache

import pytest
import torch

from cutlayer import registry
from cutlayer.auditing.grants import Outside
from cutlayer.codec import encode
from cutlayer.defense import Defense
from cutlayer.message import Kind, Message
from cutlayer.scene.defending import make_defenses
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Act
from cutlayer.simulation.assembly import answers, assemble, honest_host, replica, whole_model
from cutlayer.simulation.session import Session
from cutlayer.threat import Knows, Seat
from cutlayer.wire import check
from tests.scenes import CUTS, made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
NAMES = registry.names("defenses")
every_defense = pytest.mark.parametrize("name", NAMES)
in_every_protocol = pytest.mark.parametrize("protocol", CUTS)


def scene(protocol: str, defense: str = "none") -> Scene:
    return scene_of(protocol=protocol, cut=CUTS[protocol], defense=defense)


def session_of(place: Scene) -> Session:
    return assemble(place, honest_host(place))


@dataclass
class Noted(Defense):
    """A client that sends what it sends."""

    messages: list[Message] = field(default_factory=list)

    def guard(self, message: Message) -> Message:
        self.messages.append(message.copy())
        return message


@cache
def sent(protocol: str) -> tuple[Message, ...]:
    """By an undefended client, in two steps and a prediction."""
    session, noted = session_of(scene(protocol)), Noted()
    session.defenses = {0: [noted]}
    for act, rows in ((Act.STEP, slice(0, 8)), (Act.STEP, slice(8, 13)), (Act.PREDICT, slice(0, 8))):
        session.exchange(act, 0, session.shards[0][rows])
    assert {message.kind for message in noted.messages} == set(session.protocol.wire)
    return tuple(noted.messages)


def defense_of(name: str, protocol: str) -> Defense:
    (own,) = make_defenses(scene(protocol, name).experiment)
    return own


@every_defense
@in_every_protocol
def test_what_leaves_is_of_the_agreed_form_and_what_it_was_made_of_stays(name: str, protocol: str) -> None:
    defense, agreement = defense_of(name, protocol), scene(protocol).agreement
    for message in sent(protocol):
        given = message.copy()
        left = defense.guard(given)
        check(left, tuple(message), agreement)
        assert (left.kind, left.sender, left.step) == (message.kind, message.sender, message.step)
        assert encode(given) == encode(message)


@every_defense
@in_every_protocol
def test_what_leaves_does_not_depend_on_what_left_before(name: str, protocol: str) -> None:
    defense, messages = defense_of(name, protocol), sent(protocol)
    first = [defense.guard(message.copy()) for message in messages]
    for message, left in zip(reversed(messages), reversed(first), strict=True):
        later = message.step + 7 if message.kind is Kind.PREDICT else message.step
        asked = Message(message.kind, message.sender, later, message.copy().tensors)
        for other in (defense, defense_of(name, protocol)):
            again = other.guard(asked)
            assert all(torch.equal(again[tensor], left[tensor]) for tensor in left)


@every_defense
@in_every_protocol
def test_a_training_ends_the_same_resumed_and_watched(name: str, protocol: str) -> None:
    place = scene(protocol, name)
    through, begun, resumed = (session_of(place) for _ in range(3))
    begun.train_epoch(1)
    outside, queries = Outside(), torch.rand(6, *shape_of_queries(place))
    outside.session = begun
    asked = [outside(Knows.PEER_QUERIES, {"0": queries})["value"], answers(begun, replica(place, begun))]
    again = [outside(Knows.PEER_QUERIES, {"0": queries})["value"], answers(begun, replica(place, begun))]
    assert all(map(torch.equal, asked, again))
    resumed.restore(begun.checkpoint())
    resumed.train_epoch(2)
    for epoch in (1, 2):
        through.train_epoch(epoch)
    weights = [whole_model(place, session).state_dict().values() for session in (through, resumed)]
    assert all(map(torch.equal, *weights))
    assert torch.equal(*(answers(session, replica(place, session)) for session in (through, resumed)))


def shape_of_queries(place: Scene) -> tuple[int, ...]:
    """What the client's first part takes."""
    first = place.protocol.owners[0] is Seat.CLIENT
    return place.dataset.input_shape if first else place.agreement["smashed"].shape


@every_defense
def test_it_draws_from_no_stream_of_others(name: str) -> None:
    before = torch.get_rng_state(), random.getstate()
    for protocol in CUTS:
        for message in sent(protocol):
            defense_of(name, protocol).guard(message.copy())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


@every_defense
def test_it_says_in_plain_words_what_it_does(name: str) -> None:
    plain = registry.cls("defenses", name, Defense).plain
    assert plain.endswith(".")
