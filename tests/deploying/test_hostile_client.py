"""A client of the plan that breaks its rules is refused, and the training ends well once it keeps to them."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cutlayer.codec import decode, encode
from cutlayer.deploying.coordinator import Coordinator
from cutlayer.deploying.member import Member
from cutlayer.deploying.roll import Roll
from cutlayer.exchange.handover import give
from cutlayer.message import Kind, Message
from cutlayer.transport.duplex import DisconnectedError, Duplex, RefusedError
from cutlayer.transport.rpc import Grpc
from cutlayer.wire import WireError
from tests.deploying.test_durable import TURN, Pair, recorded
from tests.deploying.test_hostile import ends, first_words, greeting, stranger
from tests.deploying.test_hostile_server import say
from tests.deployments import CUTS, SECONDS, Deployment, assert_same_bits, ends_well, made_here, plan_of, same
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
    coordinator._save(skipped=[2])
    link.listening = True
    link.came(say("ready", **said))
    assert coordinator._wait(1, lambda: True) is None
    assert str(link.why) == f"c1 says no number '{key}'"


def ends_without(deployed: Deployment, turn: int, name: str, why: str) -> None:
    """``name`` is refused three times and started again each time; the others end without its ``turn``."""
    threads = [deployed.serve(), *(deployed.join(other) for other in deployed.plan.terms.clients if other != name)]
    for _ in range(3):
        deployed.join(name).join(SECONDS)
        refused = deployed.errors.pop()
        assert isinstance(refused, RefusedError)
        assert why in str(refused)
    try:
        deployed.wait(*threads, deployed.join(name))
    finally:
        deployed.stop()
    assert deployed.missing == []
    assert deployed.record("server").skipped == (turn,)
    assert_same_bits(deployed, without=(turn,))


@pytest.mark.parametrize("protocol", ["vanilla", "label_only"])
def test_who_is_refused_again_and_again_loses_its_turn_to_those_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    drive = Member._drive

    def spoiled(member: Member, link: Duplex, channel: Grpc, said: dict[str, Any]) -> None:
        if member.place.number == 1:
            for weight in member.place.durable.party.parts.parameters():
                nn.init.constant_(weight, torch.nan)
        drive(member, link, channel, said)

    monkeypatch.setattr(Member, "_drive", spoiled)
    ends_without(Deployment(plan_of(2, protocol=protocol, epochs=1), tmp_path), 2, "c1", "holds NaN or infinite values")


def test_who_hands_over_no_part_again_and_again_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Member._given

    def nothing_of_use(member: Member, said: dict[str, Any]) -> Message:
        return given(member, said) if member.place.number else Message(Kind.PREDICT, "c0", 6, {})

    monkeypatch.setattr(Member, "_given", nothing_of_use)
    ends_without(Deployment(plan_of(2, epochs=1), tmp_path), 1, "c0", "hands over something else than its part")


def silent(link: Duplex) -> None:
    with contextlib.suppress(DisconnectedError):
        link.receive(1e-9)


@pytest.mark.parametrize(
    ("before", "lost"),
    [
        (lambda link: link.close(RefusedError("")), True),
        (silent, True),
        (lambda link: link.close(), False),
        (lambda link: None, False),
    ],
    ids=["refused", "silent", "cut off", "come anew"],
)
def test_only_who_is_at_fault_is_given_up_and_only_where_others_wait(
    tmp_path: Path, before: Callable[[Duplex], None], lost: bool
) -> None:
    deployed = Deployment(plan_of(2), tmp_path)
    roll = Roll(deployed.plan, True, deployed.said.append)

    def come() -> Duplex:
        link = Duplex("c0")
        link.came(first_words(deployed, "c0"))
        roll.admit(link)
        return link

    for _ in range(3):
        before(come())
    come()
    assert (roll.wait("c0", SECONDS, lambda: True) is None) == lost
    assert roll.wait("c0", SECONDS, lambda: False)
    roll.forgive()
    assert roll.wait("c0", SECONDS, lambda: True)


@pytest.mark.parametrize("protocol", CUTS)
def test_a_step_behind_the_end_of_the_turn_is_refused(tmp_path: Path, protocol: str) -> None:
    pair = Pair(tmp_path, protocol)
    frames = recorded(pair, TURN.count)
    before = pair.answerer.party.checkpoint()
    first = decode(frames[-len(frames) // TURN.count])
    with pytest.raises(WireError, match=f"{first.kind} message of step 3 .*: the turn ends at step 3"):
        pair.answerer.answer(encode(dataclasses.replace(first, step=TURN.end)))
    same(pair.answerer.party.checkpoint(), before)
    assert decode(pair.answerer.answer(frames[-1])).step == TURN.end - 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("an odd\n number"), (WireError, "the network does not take it: RuntimeError: an odd number$")),
        (IndexError(3), (WireError, "the network does not take it: IndexError: 3$")),
        (RuntimeError("9" * 999), (WireError, "the network does not take it: RuntimeError: 9{186}$")),
        (OSError("the disk"), (OSError, "^the disk$")),
        (MemoryError("all of it"), (MemoryError, "^all of it$")),
    ],
    ids=["error", "another", "long", "disk", "memory"],
)
def test_what_a_network_raises_is_a_refusal_and_moves_no_statistics(
    tmp_path: Path, error: Exception, told: tuple[type[Exception], str]
) -> None:
    """It fails for three samples behind a layer that has counted them."""
    frame = recorded(Pair(tmp_path / "honest", "vanilla"), 1)[0]
    pair, whole = Pair(tmp_path, "vanilla"), decode(frame)
    before = pair.answerer.party.weights()

    def even(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) % 2:
            raise error

    pair.answerer.party.parts[0].out.register_forward_pre_hook(even)  # type: ignore[union-attr]
    three = Message(whole.kind, whole.sender, whole.step, {name: tensor[:3] for name, tensor in whole.tensors.items()})
    with pytest.raises(told[0], match=told[1]):
        pair.answerer.answer(encode(three))
    if told[0] is WireError:
        same(pair.answerer.party.weights(), before)
        assert decode(pair.answerer.answer(frame)).kind is Kind.TRAIN
