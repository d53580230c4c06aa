"""Clients that come anew, with the server still holding on to what they left or with other data than before."""

from __future__ import annotations

import pytest

from cutlayer.deploying.coordinator import Coordinator
from cutlayer.deploying.member import Member
from cutlayer.deploying.roll import Roll
from cutlayer.deploying.turn import common_step
from cutlayer.transport.duplex import Duplex, RefusedError
from tests import deployments
from tests.deploying.test_hostile import ends, first_words, greeting, stranger
from tests.deploying.test_serving import Gone, leaving, run_without
from tests.deployments import Deployment, assert_same_bits, ends_well, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


def arrived(*threads):
    for thread in threads:
        thread.join(deployments.SECONDS)
        assert not thread.is_alive()


@pytest.mark.parametrize("protocol", ["vanilla", "label_only"])
def test_a_client_that_comes_anew_before_its_old_link_is_known_to_be_dead_goes_on(tmp_path, monkeypatch, protocol):
    """Its process ends in the middle of a turn, and nothing tells the server that waits for it."""
    deployed, links, connect = Deployment(plan_of(protocol=protocol), tmp_path), [], deployments.connect

    def kept_open(*args):
        links.append(connect(*args))
        links[0].close = lambda why=None: None
        return links[0]

    with monkeypatch.context() as patched:
        patched.setattr(deployments, "connect", kept_open)
        threads = [deployed.serve(), deployed.join("c0", leaving(1, 2))]
        arrived(threads[1])
    assert isinstance(deployed.errors.pop(), Gone)
    assert links[0].alive
    threads[1] = deployed.join("c0")
    try:
        deployed.wait(*threads)
        assert "c0 has connected anew" in str(links[0].why)
    finally:
        Duplex.close(links[0])
        deployed.stop()
    assert_same_bits(deployed)


@pytest.mark.parametrize("protocol", ["vanilla", pytest.param("label_only", marks=pytest.mark.slow)])
def test_a_link_that_the_server_has_just_refused_stops_nobody_else(tmp_path, monkeypatch, protocol):
    """As if its client had sent out of turn, between a look at who is there and the next word to it."""
    deployed = Deployment(plan_of(2, protocol=protocol, turn=2), tmp_path)
    present, count = Roll.present, iter(range(10_000))

    def refused(roll, name):
        found = present(roll, name)
        if found and next(count) % 7 == 3:
            found.link.lost(RefusedError(f"{name} sends out of turn"))
            found.link.close()
        return found

    monkeypatch.setattr(Roll, "present", refused)
    monkeypatch.setattr("cutlayer.deploying.roll._MOST_FAULTS", 10_000)
    monkeypatch.setattr("cutlayer.deploying.member._FIRST_PAUSE", 0.02)
    deployed.run()
    assert deployed.record("c0").interruptions > 1
    assert_same_bits(deployed)


@pytest.mark.parametrize("route", [{}, {"handover": "trusted_party", "trusted_party": "tess"}])
def test_who_holds_the_final_part_may_be_away_for_a_moment(tmp_path, monkeypatch, route):
    deployed = Deployment(plan_of(3, epochs=1, **route), tmp_path)
    final, left = Coordinator._final, []

    def alone(coordinator, at, taker):
        if not left:
            left.append(coordinator.roll.present(route.get("trusted_party", "c2")))
            left[0].link.close()
        return final(coordinator, at, taker)

    monkeypatch.setattr(Coordinator, "_final", alone)
    deployed.run()
    assert len(left) == 1
    assert deployed.missing == []
    assert_same_bits(deployed)


def test_who_holds_the_final_part_is_not_waited_for_without_end(tmp_path, monkeypatch):
    deployed = Deployment(plan_of(2, epochs=1), tmp_path, settings={"wait_seconds": 0.5})
    given = Member._given

    def goes(member, said):
        if said["turn"] > 2:
            raise Gone
        return given(member, said)

    def gives_up(what, done, total):
        if what.startswith("no connection"):
            raise Gone

    monkeypatch.setattr(Member, "_given", goes)
    threads = run_without(deployed, "c0", gives_up)
    arrived(threads[2], threads[0])
    deployed.stop()
    arrived(threads[1])
    assert deployed.missing == ["c0", "c1"]
    assert all(isinstance(error, Gone) for error in deployed.errors)


def test_a_client_that_comes_back_with_other_data_is_refused_and_harms_nothing(tmp_path):
    deployed = Deployment(plan_of(2), tmp_path)
    threads = run_without(deployed, "c1", leaving(2, 1))
    arrived(threads[2])
    assert isinstance(deployed.errors.pop(), Gone)
    link = stranger(deployed, deployed.papers.identity("c1"))
    link.tell("hello", **greeting(deployed, "c1", rows=21))
    error = ends(link)
    assert isinstance(error, RefusedError)
    assert "c1 has 21 training rows and began this training with 22" in str(error)
    threads[2] = deployed.join("c1")
    ends_well(deployed, *threads)


def test_a_client_that_came_with_other_data_before_a_server_remembers_is_refused_then(tmp_path):
    """A server that starts again lets clients in while it still reads what it keeps."""
    deployed, links = Deployment(plan_of(2), tmp_path), {}
    roll = Roll(deployed.plan, True, deployed.said.append)
    for name, rows in (("c0", 22), ("c1", 21)):
        links[name] = Duplex(name)
        links[name].came(first_words(deployed, name, rows=rows))
        roll.admit(links[name])
    roll.hold_to({"c0": 22, "c1": 22}, greeting(deployed, "c0")["meaning"])
    assert roll.present("c0")
    assert roll.present("c1") is None
    assert "21 training rows" in str(links["c1"].why)


@pytest.mark.parametrize(
    ("driver", "answerer", "reaches", "step"),
    [
        (5, 5, (0, 0), None),
        (5, 6, (6, 6), None),
        (7, 5, (5, 3), 5),
        (7, 5, (6, 3), 2),
        (5, 9, (4, 5), 5),
        (5, 9, (4, 6), 2),
    ],
)
def test_two_sides_meet_at_the_latest_step_both_can_stand_at(driver, answerer, reaches, step):
    assert common_step(driver, answerer, reaches, 2) == step
