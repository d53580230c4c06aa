from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cutlayer.codec import encode
from cutlayer.deploying.seal import Context, SealError, Taker, seal
from cutlayer.message import Kind, Message
from cutlayer.transport.certificate import fingerprint
from tests.deployments import Papers

WEIGHTS = Message(Kind.WEIGHTS, "alice", 7, {"weight": torch.arange(600.0), "bias": torch.tensor([3.5])})


@pytest.fixture(scope="module")
def papers():
    return Papers()


CONTEXT = Context("plan", 3, "alice", "bob")


def test_only_the_taker_reads_what_is_sealed_for_it(papers):
    alice, taker = papers.identity("alice"), Taker(papers.identity("bob"), CONTEXT)
    sealed = seal(WEIGHTS, taker.offer, alice, CONTEXT, {})
    frame = encode(sealed)
    assert WEIGHTS["weight"].numpy().tobytes()[:64] not in frame
    opened = taker.open(sealed, {})
    assert (opened.kind, opened.sender, opened.step) == (Kind.WEIGHTS, "alice", 7)
    assert all(torch.equal(opened[name], WEIGHTS[name]) for name in WEIGHTS)
    other = Taker(papers.identity("bob"), CONTEXT)
    with pytest.raises(SealError):
        other.open(sealed, {})


@pytest.mark.parametrize("name", ["public", "signature", "sealed", "certificate"])
def test_a_changed_bit_is_noticed(papers, name):
    taker = Taker(papers.identity("bob"), CONTEXT)
    sealed = seal(WEIGHTS, taker.offer, papers.identity("alice"), CONTEXT, {})
    changed = sealed[name].clone()
    changed[len(changed) // 2] ^= 1
    with pytest.raises(SealError):
        taker.open(sealed.replace(**{name: changed}), {})


def test_what_was_sealed_for_another_turn_or_plan_is_refused(papers):
    alice, bob = papers.identity("alice"), papers.identity("bob")
    taker = Taker(bob, CONTEXT)
    for other in (replace(CONTEXT, turn=4), replace(CONTEXT, plan="other")):
        stale = seal(WEIGHTS, Taker(bob, other).offer, alice, other, {})
        with pytest.raises(SealError):
            taker.open(stale, {})


def test_nothing_is_sealed_for_somebody_else_than_the_taker(papers):
    mallory = Taker(papers.identity("mallory"), CONTEXT)
    with pytest.raises(SealError, match="is that of 'mallory'"):
        seal(WEIGHTS, mallory.offer, papers.identity("alice"), CONTEXT, {})
    stranger = Taker(Papers().identity("bob"), CONTEXT)
    with pytest.raises(SealError, match="not issued by the authority"):
        seal(WEIGHTS, stranger.offer, papers.identity("alice"), CONTEXT, {})


def test_nothing_is_taken_from_somebody_else_than_the_giver(papers):
    taker = Taker(papers.identity("bob"), CONTEXT)
    with pytest.raises(SealError, match="is that of 'mallory'"):
        taker.open(seal(WEIGHTS, taker.offer, papers.identity("mallory"), CONTEXT, {}), {})
    with pytest.raises(SealError, match="not sealed"):
        taker.open(WEIGHTS, {})


def test_a_pinned_certificate_protects_from_who_holds_the_authority(papers):
    real, forged = papers.identity("bob"), papers.identity("bob")
    pins = {"bob": fingerprint(real.certificate)}
    seal(WEIGHTS, Taker(real, CONTEXT).offer, papers.identity("alice"), CONTEXT, pins)
    with pytest.raises(SealError, match="not the one pinned"):
        seal(WEIGHTS, Taker(forged, CONTEXT).offer, papers.identity("alice"), CONTEXT, pins)
