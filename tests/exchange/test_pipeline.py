"""Predictions made ahead are those made one after another, and they really overlap."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from cutlayer.channel import Loopback
from cutlayer.codec import encode
from cutlayer.exchange.pipeline import predictions
from cutlayer.threat import Seat
from cutlayer.wire import WireError
from tests.parties import batches, pair

CUTS = {"vanilla": (1,), "u_shaped": (1, 2), "label_only": (1,)}


def parties(protocol):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 3))
    run = batches(torch.rand(20, 4, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 3, 5)
    victim = pair(protocol, model, CUTS[protocol], (4,), labels=torch.arange(20) % 3)
    victim.carrier = Loopback
    victim.train(run)
    return victim, run


@pytest.mark.parametrize("protocol", CUTS)
def test_results_and_messages_are_those_of_one_after_another(protocol):
    found, frames = {}, {}
    for way in ("ahead", "in turn"):
        victim, run = parties(protocol)
        peer, sent, logits = victim.peer, [], []

        def noted(request, peer=peer, sent=sent, logits=logits, victim=victim):
            sent.append(encode(request))
            reply = peer(request)
            if victim.protocol.driver is Seat.SERVER:
                logits.append(victim.parties[Seat.CLIENT].predicted)
            return reply

        for batch in predictions(victim.protocol, victim.driver, noted, run) if way == "ahead" else run:
            if way == "in turn":
                victim.protocol.predict(victim.driver, noted, batch)
            if victim.protocol.driver is Seat.CLIENT:
                logits.append(victim.driver.predicted)
        found[way], frames[way] = torch.cat(logits), sent
        assert victim.driver.queries == len(run) == len(sent)
    assert torch.equal(found["ahead"], found["in turn"])
    assert frames["ahead"] == frames["in turn"]


def test_the_next_question_is_made_while_the_last_is_answered():
    """The peer answers only when the driver has been through another forward pass: in turn that would never be."""
    victim, run = parties("vanilla")
    made, peer = threading.Semaphore(0), victim.peer
    question = victim.protocol.question

    class Watched(type(victim.protocol)):
        def question(self, driver, batch, number):
            asked = question(driver, batch, number)
            made.release()
            return asked

    def patient(request):
        assert made.acquire(timeout=10)
        if request.step < len(run) - 1:
            assert made.acquire(timeout=10), "no question was made ahead"
            made.release()
        return peer(request)

    assert [len(batch.rows) for batch in predictions(Watched(), victim.driver, patient, run)] == [5, 5, 5, 5]


def test_an_error_of_the_peer_is_raised_and_no_later_question_is_asked():
    victim, run = parties("vanilla")
    asked = []

    def refuses(request):
        asked.append(request.step)
        raise WireError("no")

    with pytest.raises(WireError, match="no"):
        list(predictions(victim.protocol, victim.driver, refuses, run))
    assert asked == [0]
    assert victim.driver.queries == 0


def test_nothing_to_predict_asks_nothing():
    victim, _ = parties("vanilla")
    assert list(predictions(victim.protocol, victim.driver, None, [])) == []
