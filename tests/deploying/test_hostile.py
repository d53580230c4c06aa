"""Who should not be here is refused and logged, and the honest training beside him goes on to the same bits."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import replace

import pytest

from cutlayer.codec import encode
from cutlayer.duplex import DisconnectedError, Duplex, RefusedError
from cutlayer.message import Kind, Message
from cutlayer.rpc import MAX_CONTROL, Grpc, Limits, connect, only_loopback
from tests.deployments import Deployment, Papers, assert_same_bits, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")
SOON = 5.0


@pytest.fixture
def beside(tmp_path):
    """An honest training of c0 that begins when c1, who is hostile, has been there; c1 comes honestly in the end."""
    deployed = Deployment(plan_of(2, epochs=1, turn=2), tmp_path)
    threads = [deployed.serve(), deployed.join("c0")]
    yield deployed
    threads.append(deployed.join("c1"))
    try:
        deployed.wait(*threads)
    finally:
        deployed.stop()
    assert_same_bits(deployed)


def stranger(deployed: Deployment, identity: object) -> Duplex:
    return connect(f"127.0.0.1:{deployed.port}", identity, "", Limits(ping_seconds=5))


def ends(link: Duplex) -> Exception:
    """How the server ends the stream, which it does soon."""
    deadline = time.monotonic() + SOON
    while link.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not link.alive
    link.close()
    return link.why


@pytest.mark.parametrize(
    "identity",
    [
        lambda papers: replace(Papers().identity("c1"), authority=papers.authority),
        lambda papers: papers.identity("c1", days=-0.01),
        lambda papers: papers.identity("server", ["localhost"]),
        lambda papers: None,
    ],
    ids=["another authority", "expired", "the server's own kind", "no TLS"],
)
def test_certificates_that_prove_nothing_do_not_get_in(beside, identity):
    assert isinstance(ends(stranger(beside, identity(beside.papers))), DisconnectedError)


def test_a_server_that_proves_nothing_is_not_talked_to(beside):
    own = beside.papers.identity("c1")
    other = ends(stranger(beside, replace(own, authority=Papers().authority)))
    assert isinstance(other, RefusedError)
    assert "not vouched for" in str(other)
    elsewhere = connect(f"localhost:{beside.port}", own, "elsewhere.example.org", Limits())
    assert "not for this address" in str(ends(elsewhere))


def test_a_name_that_is_not_in_the_plan_is_refused_and_logged(beside, caplog):
    with caplog.at_level(logging.WARNING, "cutlayer"):
        error = ends(stranger(beside, beside.papers.identity("mallory")))
    assert "'mallory' is not a party of this plan" in str(error)
    assert "refused mallory" in caplog.text


def test_a_client_cannot_speak_in_the_name_of_another(beside):
    link = stranger(beside, beside.papers.identity("c1"))
    hello = greeting(beside, "c0")
    link.tell("hello", **hello)
    assert "'c0' is not 'c1'" in str(ends(link))


def greeting(deployed: Deployment, name: str, **changes: object) -> dict[str, object]:
    plain = {"name": name, "language": 1, "version": "0", "plan": deployed.plan.agreed(), "turn": 0, "step": 0}
    return {**plain, "reach": 0, "rows": 22, "dataset": [44, 16], **changes}


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"[]",
        b'{"verb":1}',
        b'{"verb":"hello"}',
        b"{" * 5000,
        b"\0" * 100,
        b"\xff" * 100,
        b"{" + b" " * MAX_CONTROL,
        encode(Message(Kind.TRAIN, "c1", 0, {})),
    ],
    ids=["nothing", "half", "list", "number", "bare", "deep", "zeros", "ones", "long", "out of turn"],
)
def test_first_words_that_are_no_greeting_end_the_stream(beside, frame):
    link = stranger(beside, beside.papers.identity("c1"))
    link.send(frame)
    ends(link)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": -1}, "not a greeting"),
        ({"rows": 1 << 39}, "turns of one client"),
        ({"step": "0"}, "not a greeting"),
        ({"plan": {}}, "the plans differ"),
        ({"plan": {str(n): [] for n in range(500)}}, "and 5.. more"),
        ({"language": 2}, "language 2"),
    ],
)
def test_a_greeting_that_cannot_be_true_is_refused(beside, change, message):
    link = stranger(beside, beside.papers.identity("c1"))
    link.tell("hello", **greeting(beside, "c1", **change))
    error = ends(link)
    assert isinstance(error, RefusedError)
    assert re.search(message, str(error))


def test_who_sends_out_of_turn_is_refused_and_logged(beside, caplog):
    link = stranger(beside, beside.papers.identity("c1"))
    with caplog.at_level(logging.WARNING, "cutlayer"):
        link.tell("hello", **greeting(beside, "c1"))
        deadline = time.monotonic() + SOON
        while link.alive and time.monotonic() < deadline:
            link.send(encode(Message(Kind.TRAIN, "c1", 0, {})))
            time.sleep(0.02)
        error = ends(link)
    assert "c1 sends out of turn" in str(error)
    assert "refused c1" in caplog.text


def test_a_frame_over_the_bound_ends_the_stream(beside):
    link = stranger(beside, beside.papers.identity("c1"))
    link.send(b"\0" * (8 << 20))
    ends(link)


def test_streams_that_say_nothing_do_not_keep_others_out(beside):
    silent = [stranger(beside, beside.papers.identity("c1")) for _ in range(12)]
    time.sleep(0.3)
    assert sum(link.alive for link in silent) <= 4
    for link in silent:
        link.close()
    time.sleep(0.2)


@pytest.mark.parametrize("address", ["10.0.0.1:1", "example.org:1", "0.0.0.0:1", "[::]:1", "192.168.1.7:7443"])
def test_without_certificates_only_this_machine_is_reached(address):
    with pytest.raises(RefusedError, match="only this machine"):
        only_loopback(address)
    for inside in ("127.0.0.1:1", "localhost:1", "[::1]:1"):
        only_loopback(inside)


def test_a_message_that_was_seen_before_is_not_applied_again(tmp_path, monkeypatch, caplog):
    """A client sends the first request of its turn once more in the third: refused, and nothing has changed by it."""
    deployed = Deployment(plan_of(epochs=3), tmp_path)
    carry, seen = Grpc.carry, []

    def replaying(channel, frame):
        seen.append(frame)
        return carry(channel, seen[0] if len(seen) == 3 else frame)

    monkeypatch.setattr(Grpc, "carry", replaying)
    with caplog.at_level(logging.WARNING, "cutlayer"):
        threads = [deployed.serve(), deployed.join("c0")]
        threads[1].join()
    assert "wrong step 0, this party is at step 2" in str(deployed.errors.pop())
    assert "refused c0" in caplog.text
    threads[1] = deployed.join("c0")
    try:
        deployed.wait(*threads)
    finally:
        deployed.stop()
    assert_same_bits(deployed)
