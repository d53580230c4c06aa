"""Who should not be here is refused and logged, and the honest training beside him goes on to the same bits."""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import replace

import pytest
import torch

from cutlayer.codec import decode, encode
from cutlayer.deploying.meaning import meaning
from cutlayer.deploying.member import Member
from cutlayer.deploying.roll import Roll
from cutlayer.message import Kind, Message
from cutlayer.transport.duplex import DisconnectedError, Duplex, RefusedError
from cutlayer.transport.rpc import MAX_CONTROL, Grpc, Limits, connect, only_loopback
from cutlayer.wire import WireError
from tests.deploying.test_durable import Pair, recorded
from tests.deployments import Deployment, Papers, ends_well, made_here, plan_of, same
from tests.scenes import made, made_dataset

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
    ends_well(deployed, *threads)


def stranger(deployed: Deployment, identity: object) -> Duplex:
    return connect(f"127.0.0.1:{deployed.port}", identity, "", Limits(ping_seconds=5))


def ends(link: Duplex) -> Exception:
    """How the server ends the stream, which it does soon and on purpose."""
    deadline = time.monotonic() + SOON
    while link.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not link.alive
    link.close()
    assert "Exception iterating" not in str(link.why), "what gRPC tells of an error that nobody has caught"
    return link.why


def test_certificates_that_prove_nothing_do_not_get_in(beside):
    papers = beside.papers
    identities = {
        "another authority": replace(Papers().identity("c1"), authority=papers.authority),
        "expired": papers.identity("c1", days=-0.01),
        "the server's own kind": papers.identity("server", ["localhost"]),
        "no TLS": None,
    }
    for case, identity in identities.items():
        assert isinstance(ends(stranger(beside, identity)), DisconnectedError), case


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
    plain = {"name": name, "language": 2, "version": "0", "plan": deployed.plan.agreed(), "turn": 0, "step": 0}
    meant = meaning(made_dataset(), deployed.plan.fingerprint)
    return {**plain, "reach": 0, "rows": 22, "dataset": [44, 16], "meaning": meant, **changes}


def first_words(deployed: Deployment, name: str, **changes: object) -> bytes:
    return json.dumps({"verb": "hello", **greeting(deployed, name, **changes)}).encode()


def test_first_words_that_are_no_greeting_end_the_stream(beside):
    identity = beside.papers.identity("c1")
    frames = {
        b"": "not a greeting",
        b"{": "is not JSON",
        b"[]": "not a greeting",
        b'{"verb":1}': "names no verb",
        b'{"verb":"hello"}': "not a greeting",
        b'{"a":' * 100_000: "is not JSON",
        b"\0" * 100: "not a greeting",
        b"\xff" * 100: "not a greeting",
        b"{" + b" " * MAX_CONTROL: "is over the limit",
        encode(Message(Kind.TRAIN, "c1", 0, {})): "not a greeting",
    }
    for frame, why in frames.items():
        link = stranger(beside, identity)
        link.send(frame)
        error = ends(link)
        assert isinstance(error, RefusedError), frame[:20]
        assert why in str(error), frame[:20]


def test_a_greeting_that_cannot_be_true_is_refused(beside):
    identity = beside.papers.identity("c1")
    changes = [
        ({"rows": -1}, "not a greeting"),
        ({"rows": 1 << 39}, "turns of one client"),
        ({"step": "0"}, "not a greeting"),
        ({"plan": {}}, "the plans differ"),
        ({"plan": {str(n): [] for n in range(500)}}, "and 5.. more"),
        ({"language": 3}, "language 3"),
        ({"meaning": {str(n): "" for n in range(9)}}, "not a greeting"),
        ({"meaning": {"classes": "0" * 65}}, "not a greeting"),
    ]
    for change, why in changes:
        link = stranger(beside, identity)
        link.tell("hello", **greeting(beside, "c1", **change))
        error = ends(link)
        assert isinstance(error, RefusedError), change
        assert re.search(why, str(error)), change


def refusal(deployed: Deployment, **changes: object) -> str:
    """Why c1 is not let in; empty where it is."""
    link = Duplex("c1")
    link.came(first_words(deployed, "c1", **changes))
    try:
        Roll(deployed.plan, True, deployed.said.append).admit(link)
    except RefusedError as error:
        return str(error)
    return ""


def test_data_that_no_list_of_batches_could_hold_is_refused_before_anything_is_made_of_it(tmp_path):
    """Where a turn is an epoch, there are few turns of any number of rows."""
    deployed, most = Deployment(plan_of(2), tmp_path), 8 << 24
    assert refusal(deployed, rows=most) == ""
    said = f"{most + 1} rows would make 16777217 batches in an epoch of one client, at most 16777216"
    assert refusal(deployed, rows=most + 1) == said
    assert "137438953472 batches" in refusal(deployed, rows=1 << 40)


@pytest.mark.parametrize("change", [{"plan": {"\x1b[2J\n": 1}}, {"language": 3, "version": "\x1b\n"}])
def test_first_words_cannot_steer_a_terminal(tmp_path, change):
    deployed = Deployment(plan_of(2), tmp_path)
    said = refusal(deployed, **{**change, "plan": deployed.plan.agreed() | change.get("plan", {})})
    assert "\\x" in said
    assert said.isprintable()


def test_who_sends_out_of_turn_is_refused_and_logged(beside, caplog):
    link = stranger(beside, beside.papers.identity("c1"))
    with caplog.at_level(logging.WARNING, "cutlayer"):
        link.tell("hello", **greeting(beside, "c1"))
        deadline = time.monotonic() + SOON
        while link.alive and time.monotonic() < deadline:
            link.send(encode(Message(Kind.TRAIN, "c1", 0, {})))
            time.sleep(0.02)
        error = ends(link)
    # By the stream where nobody is heard yet, by the party's record of steps where its first turn has begun.
    assert "out of turn" in str(error)
    assert "c1" in str(error)
    assert "refused c1" in caplog.text


def test_a_frame_over_the_bound_ends_the_stream(beside):
    link = stranger(beside, beside.papers.identity("c1"))
    link.send(b"\0" * (8 << 20))
    error = ends(link)
    assert isinstance(error, RefusedError)
    assert "a message is longer than any of this plan: SERVER: Received message larger than max" in str(error)


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
    ends_well(deployed, *threads)


STEERING = encode(Message(Kind.PREDICT, "c0", 0, {"\x1b[2J": torch.zeros(1)})).replace(b"[0,4]", b"[4,8]")
"""No frame, and its name stands in the reason why."""


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (lambda asked: b"\0" * 100, "the frame's header is not JSON"),
        (lambda asked: STEERING, r"invalid offset for tensor `\\x1b\[2J`"),
        (
            lambda asked: encode(Message(Kind.TRAIN, "c0", decode(asked).step, {})),
            "train message from 'c0': a reply to pr",
        ),
        (lambda asked: encode(Message(Kind.PREDICT, "c0", 7, {})), "wrong step 7"),
        (lambda asked: b'{"verb":"done"}', "cut off in its header"),
    ],
    ids=["no frame", "no frame, and no text", "another kind", "another step", "a word"],
)
def test_a_malformed_answer_in_an_evaluation_ends_the_stream_and_harms_nothing(
    tmp_path, monkeypatch, caplog, reply, why
):
    """Where the server drives, it asks in an evaluation, too."""
    deployed = Deployment(plan_of(protocol="label_only", epochs=1), tmp_path)

    def answering(member, link, channel, epoch):
        link.send(reply(link.receive()))
        link.receive()

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "cutlayer"):
        patched.setattr(Member, "_evaluate", answering)
        threads = [deployed.serve(), deployed.join("c0")]
        threads[1].join(6 * SOON)
    assert re.search(why, str(deployed.errors.pop()))
    assert deployed.errors == []
    assert re.search(f"refused c0: .*{why}", caplog.text)
    threads[1] = deployed.join("c0")
    ends_well(deployed, *threads)


def test_one_sample_that_no_layer_takes_is_refused_and_moves_no_statistics(tmp_path):
    """It fits the plan in every respect; batch normalization needs two."""
    frame = recorded(Pair(tmp_path / "honest", "vanilla"), 1)[0]
    pair, whole = Pair(tmp_path, "vanilla"), decode(frame)
    before = {name: tensor.clone() for name, tensor in pair.answerer.party.weights().items()}
    one = Message(whole.kind, whole.sender, whole.step, {name: tensor[:1] for name, tensor in whole.tensors.items()})
    with pytest.raises(WireError, match="train message of step 0 from 'c0': the network does not take it"):
        pair.answerer.answer(encode(one))
    same(pair.answerer.party.weights(), before)
    assert any("running_mean" in name for name in before)
    assert decode(pair.answerer.answer(frame)).kind is Kind.TRAIN


def test_what_fails_while_a_journal_is_worked_through_is_told_once(tmp_path):
    pair, asked = Pair(tmp_path, "vanilla"), []
    recorded(pair, 1)

    def broken(request):
        asked.append(request)
        raise ValueError("not on this machine")

    pair.answerer._handler = broken
    with pytest.raises(ValueError, match=r"^not on this machine$"):
        pair.answerer.recover()
    assert len(asked) == 1
