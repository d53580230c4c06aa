"""A client of the plan that breaks its rules is refused, and the training ends well once it keeps to them."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cutlayer.deploying.coordinator import Coordinator
from cutlayer.deploying.member import Member
from cutlayer.deploying.roll import Roll
from cutlayer.exchange.handover import give
from cutlayer.message import Kind, Message
from cutlayer.transport.duplex import Duplex, RefusedError
from cutlayer.transport.rpc import Grpc
from tests.deploying.test_hostile import ends, first_words, greeting, stranger
from tests.deploying.test_hostile_server import say
from tests.deployments import Deployment, ends_well, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


def test_a_turn_that_is_said_to_be_done_too_early_is_not_booked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deployed, why = Deployment(plan_of(epochs=1), tmp_path), "c0 ends its turn at step 1, not 6"

    def early(member: Member, link: Duplex, channel: Grpc, said: dict[str, Any]) -> None:
        member.place.durable.drive(channel, lambda: channel.answered)
        link.tell("done", step=6)

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "cutlayer"):
        patched.setattr(Member, "_drive", early)
        server, client = deployed.serve(), deployed.join("c0")
        with pytest.raises(RefusedError, match=why):
            deployed.wait(server, client)
    assert f"refused c0: {why}" in caplog.text
    deployed.errors.clear()
    ends_well(deployed, server, deployed.join("c0"))


def test_a_client_that_claims_a_turn_to_come_is_refused(tmp_path: Path) -> None:
    deployed = Deployment(plan_of(epochs=1), tmp_path)
    server = deployed.serve()
    link = stranger(deployed, deployed.papers.identity("c0"))
    link.tell("hello", **greeting(deployed, "c0", rows=44, turn=99))
    error = ends(link)
    assert isinstance(error, RefusedError)
    assert "c0 stands in turn 99, this server only in 1" in str(error)
    ends_well(deployed, server, deployed.join("c0"))


@pytest.mark.parametrize("handover", ["peer", "server"])
def test_what_is_handed_over_and_is_no_client_part_reaches_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handover: str
) -> None:
    """The taker would stop over what the giver has done."""
    deployed = Deployment(plan_of(2, epochs=1, handover=handover), tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Member, "_given", lambda member, said: Message(Kind.PREDICT, "c0", 3, {}))
        threads = [deployed.serve(), deployed.join("c0"), deployed.join("c1")]
        with pytest.raises(RefusedError, match="c0 hands over something else than its part"):
            deployed.wait(*threads)
    deployed.errors.clear()
    threads[1] = deployed.join("c0")
    ends_well(deployed, *threads)


def nothing(member: Member, said: dict[str, Any]) -> Message:
    return Message(Kind.WEIGHTS, "c0", 6, {})


def of_another_step(member: Member, said: dict[str, Any]) -> Message:
    part = give(member.place.durable.party, Message(Kind.WEIGHTS, "server", 0, {}), False)
    return dataclasses.replace(part, step=1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (nothing, "hand-over from 'c0' to 'the next client': weight .* is missing"),
        (of_another_step, "the part that 'c0' hands over is of step 1, not"),
    ],
)
def test_a_part_that_the_next_client_could_not_take_over_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Callable[..., Message], why: str
) -> None:
    deployed = Deployment(plan_of(2, epochs=1, handover="server"), tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Member, "_given", given)
        threads = [deployed.serve(), deployed.join("c0"), deployed.join("c1")]
        with pytest.raises(RefusedError, match=why):
            deployed.wait(*threads)
    deployed.errors.clear()
    threads[1] = deployed.join("c0")
    ends_well(deployed, *threads)


@pytest.mark.parametrize(
    ("said", "key"),
    [
        *(({"turn": turn, "step": 0}, "turn") for turn in (None, "1", 1.0, True, -1)),
        ({"turn": 1}, "step"),
    ],
    ids=str,
)
def test_where_a_client_stands_is_a_whole_number_or_it_is_refused(
    tmp_path: Path, said: dict[str, object], key: str
) -> None:
    """It comes back in a turn that was given to others, and is to say where it has gone back to."""
    deployed = Deployment(plan_of(2), tmp_path, settings={"wait_seconds": 1e-9})
    roll, link = Roll(deployed.plan, True, deployed.said.append), Duplex("c1")
    link.came(first_words(deployed, "c1", turn=2))
    roll.admit(link)
    coordinator = Coordinator(deployed.place("server"), roll)
    coordinator.place.durable.notes["skipped"] = [2]
    link.listening = True
    link.came(say("ready", **said))
    assert coordinator._wait(1, lambda: True) is None
    assert str(link.why) == f"c1 says no number '{key}'"
