"""Label-only: split equals whole, what each message carries; labels, loss and predictions stay at the client."""

from __future__ import annotations

import pytest
import torch

from cutlayer.message import Kind, Message
from cutlayer.threat import Knows, Seat
from cutlayer.wire import WireError
from tests.parties import batches
from tests.splitting import CHANNELS, OPTIMIZERS, assert_split_equals_whole, data, state, victim


@pytest.mark.parametrize(("optimizer", "channel"), [*zip(OPTIMIZERS, CHANNELS, strict=True)])
@pytest.mark.parametrize("cut", ["conv1", "norm1", "relu1", "drop1", "relu2", "norm3", "drop3"])
def test_splitting_changes_nothing(cut, optimizer, channel):
    assert_split_equals_whole("label_only", (cut,), optimizer, channel)


def test_messages_carry_what_the_protocol_says():
    seen = []
    split = victim("label_only", ("relu1",))
    split.tap = lambda request, handler: seen.append(request) or seen.append(reply := handler(request)) or reply
    (batch,) = batches(*data(8), 8)
    split.train([batch])
    split.predict(batch)
    assert [(message.kind, message.sender, message.step, set(message)) for message in seen] == [
        (Kind.TRAIN, "server", 0, {"smashed", "rows"}),
        (Kind.TRAIN, "client", 0, {"grad"}),
        (Kind.PREDICT, "server", 0, {"smashed", "rows"}),
        (Kind.PREDICT, "client", 0, set()),
    ]
    assert split.parties[Seat.SERVER].predicted is None
    assert split.parties[Seat.SERVER].losses == []


def test_the_server_does_not_learn_the_labels():
    assert Knows.LABELS not in victim("label_only", ("relu1",)).protocol.exposes[Seat.SERVER]


def test_the_client_s_ledger_says_which_rows_went_in():
    split = victim("label_only", ("relu1",))
    first, second = batches(*data(16), 8)
    split.train([first, second])
    split.predict(first)
    assert {key: rows.tolist() for key, rows in split.parties[Seat.CLIENT].ledger.items()} == {
        (Kind.TRAIN, 0): list(range(8)),
        (Kind.TRAIN, 1): list(range(8, 16)),
        (Kind.PREDICT, 0): list(range(8)),
    }


def test_the_client_s_part_is_the_last_block_unless_a_cut_is_given():
    split = victim("label_only", ())
    assert [name for part in split.parties[Seat.CLIENT].parts for name, _ in part.named_children()] == ["fc2"]


@pytest.mark.parametrize("rows", [[0, 1, 44], [0, 1, 7], [-1, 0, 1]])
def test_rows_without_a_label_are_refused_before_anything_changes(rows):
    split, (batch,) = victim("label_only", ("relu1",)), batches(*data(3), 3)
    split.train([batch])
    client = split.parties[Seat.CLIENT]
    client.labels[7] = -1
    before, ledger = state(split), dict(client.ledger)
    peer = split.protocol.handler(client, split.agreement)
    smashed = split.driver.forward(batch.inputs).detach()
    with pytest.raises(WireError, match="row"):
        peer(Message(Kind.TRAIN, "server", 1, {"smashed": smashed, "rows": torch.tensor(rows)}))
    after = state(split)
    assert [name for name in before if name.startswith("client") and not torch.equal(before[name], after[name])] == []
    assert client.ledger == ledger
