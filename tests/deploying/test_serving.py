"""Parties that talk over gRPC end with the bits of a session in one process."""

from __future__ import annotations

import time

import pytest

from cutlayer.codec import decode
from cutlayer.deploying import place
from cutlayer.deploying.conversation import Conversation
from cutlayer.deploying.member import Member
from cutlayer.deploying.terms import differences
from cutlayer.exchange.tape import Tape
from cutlayer.experiment import ExperimentError
from tests.deployments import CUTS, Deployment, assert_same_bits, made_here, plan_of
from tests.scenes import made, made_dataset

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


# In u_shaped a client drives, as in vanilla.
PROTOCOLS = ["vanilla", "label_only", pytest.param("u_shaped", marks=pytest.mark.slow)]


@pytest.mark.parametrize(
    ("protocol", "clients", "pipelined"),
    [
        *((protocol, 2, True) for protocol in CUTS),
        ("vanilla", 1, False),
        *((protocol, 3, False) for protocol in ("u_shaped", "label_only")),
        pytest.param("vanilla", 3, False, marks=pytest.mark.slow),
        *(pytest.param(protocol, 1, False, marks=pytest.mark.slow) for protocol in ("u_shaped", "label_only")),
    ],
)
def test_a_deployment_ends_with_the_bits_of_a_session(tmp_path, protocol, clients, pipelined):
    deployed = Deployment(plan_of(clients, protocol=protocol, turn=2, pipelined=pipelined), tmp_path)
    deployed.run()
    assert deployed.missing == []
    assert_same_bits(deployed)
    # Where the labels are, and in vanilla on the other side too, as the server tells its loss.
    tell = [
        name for name in (*deployed.plan.terms.clients, "server") if deployed.record(name).turns[0].loss is not None
    ]
    assert tell == [*deployed.plan.terms.clients, *(["server"] if protocol == "vanilla" else [])]
    if protocol == "vanilla":
        own = {turn.turn: turn.loss for name in deployed.plan.terms.clients for turn in deployed.record(name).turns}
        assert {turn.turn: turn.loss for turn in deployed.record("server").turns} == own


@pytest.mark.parametrize("pipelined", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_rates_scaling_and_a_carried_optimizer_are_those_of_a_session(tmp_path, pipelined):
    values = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 0.05,
        "milestones": [1],
        "optimizer_state": "carried",
        "pipelined": pipelined,
    }
    plan = plan_of(2, epochs=3, input_mean=[0.3], input_std=[0.4], **values)
    deployed = Deployment(plan, tmp_path)
    deployed.run()
    assert_same_bits(deployed)
    whole = plan_of().build(0)
    assert whole.load_state_dict({**deployed.part("c1"), **deployed.part("server")}), "the blocks' own names"


@pytest.mark.parametrize(
    "route",
    [
        {"handover": "server", "optimizer_state": "reset"},
        {"handover": "trusted_party", "trusted_party": "tess", "optimizer_state": "carried"},
    ],
)
def test_on_every_route_the_weights_arrive_alike(tmp_path, route):
    deployed = Deployment(plan_of(3, **route), tmp_path)
    deployed.run()
    assert_same_bits(deployed)
    assert list(tmp_path.rglob("state")) == []


class Gone(Exception):
    """A client's process ends here."""


def leaving(turn, step):
    """A watch that ends its client within ``turn``."""

    def watch(what, done, total):
        if what.endswith(f"turn {turn}") and done == step:
            raise Gone

    return watch


def run_without(deployed, name, watch):
    """Everybody, with ``watch`` at ``name``; the client ends there and the others go on."""

    def nothing(what, done, total):
        pass

    server = deployed.serve()
    return [server, *(deployed.join(c, watch if c == name else nothing) for c in deployed.plan.terms.clients)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_client_that_never_comes_back_loses_its_turns_and_nothing_else(tmp_path, protocol):
    deployed = Deployment(plan_of(3, protocol=protocol, epochs=3), tmp_path, settings={"wait_seconds": 0.5})
    threads = run_without(deployed, "c1", leaving(2, 1))
    threads[2].join()
    assert isinstance(deployed.errors.pop(), Gone)
    try:
        deployed.wait(*threads)
    finally:
        deployed.stop()
    assert deployed.missing == ["c1"]
    assert deployed.record("server").skipped == (2, 5, 8)
    assert_same_bits(deployed, without=(2, 5, 8), missing=["c1"])


def test_a_client_that_comes_back_late_takes_its_next_turn_from_where_it_stood(tmp_path):
    own = {"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigma": 0.2}}}
    deployed = Deployment(plan_of(3, epochs=4), tmp_path, settings={"wait_seconds": 0.5}, own=own)
    threads = run_without(deployed, "c1", leaving(2, 1))
    threads[2].join()
    assert isinstance(deployed.errors.pop(), Gone)
    while not any("turn 2 is skipped" in said for said in deployed.said):
        time.sleep(0.01)
    threads[2] = deployed.join("c1")
    try:
        deployed.wait(*threads)
    finally:
        deployed.stop()
    skipped = deployed.record("server").skipped
    assert skipped[0] == 2
    assert 11 not in skipped
    assert_same_bits(deployed, without=skipped, **own)


def test_a_turn_whose_result_nobody_got_is_given_up(tmp_path, monkeypatch):
    deployed = Deployment(plan_of(3, epochs=2), tmp_path, settings={"wait_seconds": 0.5})
    given = Member._given

    def first_refuses(member, said):
        if member.place.number == 0:
            raise Gone
        return given(member, said)

    monkeypatch.setattr(Member, "_given", first_refuses)
    threads = run_without(deployed, "", None)
    threads[1].join()
    assert isinstance(deployed.errors.pop(), Gone)
    try:
        deployed.wait(*threads)
    finally:
        deployed.stop()
    server = deployed.record("server")
    assert server.skipped == (1, 4)
    assert [turn.turn for turn in server.turns] == [2, 3, 5, 6], "nothing is left of what nobody got"
    assert_same_bits(deployed, without=(1, 4), missing=["c0"])


@pytest.mark.parametrize(
    ("protocol", "pipelined"),
    [
        ("u_shaped", True),
        *(pytest.param(protocol, False, marks=pytest.mark.slow) for protocol in CUTS),
    ],
)
def test_connections_that_break_again_and_again_change_no_bit(tmp_path, protocol, pipelined):
    deployed = Deployment(plan_of(2, protocol=protocol, turn=2, epochs=4, pipelined=pipelined), tmp_path)
    count = iter(range(10_000))

    def cut(what, done, total):
        if next(count) % 9 == 5:
            for name in deployed.plan.terms.clients:
                present = deployed.roll.present(name)
                if present:
                    present.link.close()

    threads = [deployed.serve(cut), *(deployed.join(name) for name in deployed.plan.terms.clients)]
    try:
        deployed.wait(*threads)
    finally:
        deployed.stop()
    assert deployed.record("c0").interruptions > 1
    assert_same_bits(deployed)


def test_only_where_the_plan_says_so_the_server_sees_a_client_part(tmp_path, monkeypatch):
    seen = {}
    for route in ("peer", "server"):
        deployed = Deployment(plan_of(2, handover=route, epochs=1), tmp_path / route)
        fetch = Conversation.fetch

        def noting(talk, giver, fetch=fetch, route=route, **fields):
            frame = fetch(talk, giver, **fields)
            seen[route] = set(decode(frame).tensors)
            return frame

        monkeypatch.setattr(Conversation, "fetch", noting)
        deployed.run()
        monkeypatch.undo()
        monkeypatch.setattr(place, "load_dataset", lambda experiment, mixed: made_dataset())
    assert seen["peer"] == {"public", "certificate", "signature", "sealed"}
    assert "0.conv.weight" in seen["server"]


def test_plans_that_differ_are_refused_with_the_keys_that_differ(tmp_path):
    deployed = Deployment(plan_of(), tmp_path)
    deployed.serve()
    deployed.plan = plan_of(batch_size=4, learning_rate=0.01, pipelined=True)
    thread = deployed.join("c0")
    try:
        thread.join()
    finally:
        deployed.stop()
    said = str(deployed.errors.pop())
    assert "batch_size is 8 at the server, 4 at c0" in said
    assert "learning_rate is 0.001 at the server, 0.01 at c0" in said
    assert "pipelined is false at the server, true at c0" in said
    assert "epochs" not in said


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_agreed_codec_makes_frames_smaller_and_changes_what_it_changes_in_a_session(tmp_path, protocol):
    plain, packed = (
        Deployment(plan_of(protocol=protocol, codec=codec, epochs=1), tmp_path / f"with{codec}")
        for codec in ("", "half_precision")
    )
    for deployed in (plain, packed):
        deployed.run()
        assert_same_bits(deployed)
    assert packed.record("server").bytes_sent < plain.record("server").bytes_sent
    server, client = plain.record("server"), plain.record("c0")
    assert (server.bytes_sent, server.bytes_received) == (client.bytes_received, client.bytes_sent)
    assert server.traffic == client.traffic
    assert sum(one.bytes_up for one in client.traffic.values()) == client.bytes_sent > 0
    assert client.traffic["backward" if protocol == "u_shaped" else "train"].round_trips == client.steps


@pytest.mark.parametrize("protocol", CUTS)
def test_a_clients_defense_acts_as_in_a_session(tmp_path, protocol):
    own = {"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigma": 0.2}}}
    deployed = Deployment(plan_of(protocol=protocol, epochs=1), tmp_path, own=own)
    deployed.run()
    assert_same_bits(deployed, **own)


def test_defense_and_recorder_see_the_messages_of_a_pipelined_plan_in_order(tmp_path):
    own = {"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigma": 0.2}}}
    plan = plan_of(protocol="u_shaped", pipelined=True, epochs=1)
    deployed = Deployment(plan, tmp_path, own={**own, "record": "10MB"})
    deployed.run()
    assert_same_bits(deployed, **own)
    seen = [(e.request.kind, e.request.step) for e in Tape(tmp_path / "c0" / "recording" / "session.wire")]
    steps = deployed.record("c0").steps
    assert seen[: 2 * steps] == [(kind, step) for step in range(steps) for kind in ("forward", "backward")]


def test_an_agreed_codec_and_a_pipelined_plan_are_those_of_a_session(tmp_path):
    deployed = Deployment(plan_of(codec="int8_quantization", pipelined=True), tmp_path)
    deployed.run()
    assert_same_bits(deployed)


def test_a_codec_of_one_side_alone_is_refused(tmp_path):
    with pytest.raises(ExperimentError, match="as `codec` in the plan"):
        Deployment(plan_of(), tmp_path, settings={"defense": "half_precision"}).place("c0")
    with pytest.raises(ExperimentError, match="are a client's"):
        Deployment(plan_of(), tmp_path, settings={"defense": "gaussian_noise"}).place("server")
    with pytest.raises(ExperimentError, match=r"no wire codec, .*; one of half_precision, int8_quantization"):
        plan_of(codec="gaussian_noise")
    with pytest.raises(ExperimentError, match=r"none of that name \(did you mean 'half_precision'\?\); one of"):
        plan_of(codec="half_precison")
    one, other = plan_of(), plan_of(codec="half_precision")
    assert "codec is" in differences(one.agreed(), other.agreed(), "c0")
