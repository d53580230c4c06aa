"""Vanilla: split equals whole, and what each message carries."""

from __future__ import annotations

import pytest
import torch

from cutlayer.message import Kind
from cutlayer.threat import Knows, Seat
from tests.parties import batches
from tests.splitting import CHANNELS, OPTIMIZERS, assert_split_equals_whole, data, victim


@pytest.mark.parametrize(("optimizer", "channel"), [*zip(OPTIMIZERS, CHANNELS, strict=True)])
@pytest.mark.parametrize("cut", ["conv1", "norm1", "relu1", "drop1", "relu2", "norm3", "drop3"])
def test_splitting_changes_nothing(cut, optimizer, channel):
    assert_split_equals_whole("vanilla", (cut,), optimizer, channel)


def test_messages_carry_what_the_protocol_says():
    seen = []
    split = victim("vanilla", ("relu1",))
    split.tap = lambda request, handler: seen.append(request) or seen.append(reply := handler(request)) or reply
    (batch,) = batches(*data(8), 8)
    split.train([batch, batch])
    split.predict(batch)
    assert [(message.kind, message.sender, message.step, set(message)) for message in seen] == [
        (Kind.TRAIN, "client", 0, {"smashed", "labels"}),
        (Kind.TRAIN, "server", 0, {"grad", "loss"}),
        (Kind.TRAIN, "client", 1, {"smashed", "labels"}),
        (Kind.TRAIN, "server", 1, {"grad", "loss"}),
        (Kind.PREDICT, "client", 0, {"smashed"}),
        (Kind.PREDICT, "server", 0, {"logits"}),
    ]


def test_the_ledger_says_which_rows_went_in():
    split = victim("vanilla", ("relu1",))
    first, second = batches(*data(16), 8)
    split.train([first, second])
    split.predict(first)
    ledger = split.parties[Seat.CLIENT].ledger
    assert {key: rows.tolist() for key, rows in ledger.items()} == {
        (Kind.TRAIN, 0): list(range(8)),
        (Kind.TRAIN, 1): list(range(8, 16)),
        (Kind.PREDICT, 0): list(range(8)),
    }
    assert split.parties[Seat.SERVER].ledger == {}


def test_the_server_learns_the_labels():
    assert Knows.LABELS in victim("vanilla", ("relu1",)).protocol.exposes[Seat.SERVER]


def test_a_prediction_changes_no_party():
    split = victim("vanilla", ("relu1",))
    (batch,) = batches(*data(8), 8)
    split.train([batch])
    before = {key: value.clone() for key, value in split.weights().items()}
    split.predict(batch)
    assert all(torch.equal(value, before[key]) for key, value in split.weights().items())


def test_needs_one_cut():
    protocol = victim("vanilla", ("relu1",)).protocol
    with pytest.raises(ValueError, match="takes 1 cut, given are 2"):
        victim("vanilla", ("relu1", "relu2"))
    with pytest.raises(ValueError, match="takes 1 cut, given are 0"):
        victim("vanilla", ())
    assert protocol.default_cuts == ()
