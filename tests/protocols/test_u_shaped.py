"""U-shaped: split equals whole, what each message carries, and that the labels and the loss stay at home."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from torch import nn

from cutlayer.message import Kind
from cutlayer.model import CutError
from cutlayer.protocols.u_shaped import UShaped
from cutlayer.threat import Knows, Seat
from cutlayer.wire import WireError
from tests.parties import batches
from tests.splitting import CHANNELS, OPTIMIZERS, assert_split_equals_whole, data, network, victim


@pytest.mark.parametrize(("optimizer", "channel"), [*zip(OPTIMIZERS, CHANNELS, strict=True)])
@pytest.mark.parametrize("cuts", [("conv1", "drop3"), ("relu1", "conv2"), ("drop1", "fc1"), ("norm2", "norm3")])
def test_splitting_changes_nothing(cuts, optimizer, channel):
    assert_split_equals_whole("u_shaped", cuts, optimizer, channel)


def test_messages_carry_what_the_protocol_says():
    seen = []
    split = victim("u_shaped", ("relu1",))
    split.tap = lambda request, handler: seen.append(request) or seen.append(reply := handler(request)) or reply
    (batch,) = batches(*data(8), 8)
    split.train([batch])
    split.predict(batch)
    assert [(message.kind, message.sender, message.step, set(message)) for message in seen] == [
        (Kind.FORWARD, "client", 0, {"smashed"}),
        (Kind.FORWARD, "server", 0, {"features"}),
        (Kind.BACKWARD, "client", 0, {"features_grad"}),
        (Kind.BACKWARD, "server", 0, {"grad"}),
        (Kind.PREDICT, "client", 0, {"smashed"}),
        (Kind.PREDICT, "server", 0, {"features"}),
    ]


def test_the_server_does_not_learn_the_labels():
    assert Knows.LABELS not in victim("u_shaped", ("relu1",)).protocol.exposes[Seat.SERVER]


def test_the_ledger_says_which_rows_went_in():
    split = victim("u_shaped", ("relu1",))
    first, second = batches(*data(16), 8)
    split.train([first, second])
    split.predict(second)
    assert {key: rows.tolist() for key, rows in split.parties[Seat.CLIENT].ledger.items()} == {
        (Kind.FORWARD, 0): list(range(8)),
        (Kind.BACKWARD, 0): list(range(8)),
        (Kind.FORWARD, 1): list(range(8, 16)),
        (Kind.BACKWARD, 1): list(range(8, 16)),
        (Kind.PREDICT, 0): list(range(8, 16)),
    }


def test_the_last_parts_gradients_are_there_when_the_backward_message_leaves():
    """What an attack that observes weights is shown: this step's gradients of the last part, none of the first."""
    split, (batch,) = victim("u_shaped", ("relu1",)), batches(*data(8), 8)
    client, shown = split.parties[Seat.CLIENT], []

    def around(request, handler):
        if request.kind is Kind.BACKWARD:
            shown.append(client.gradients())
        return handler(request)

    split.tap = around
    split.train([batch, batch])
    assert [set(gradients) for gradients in shown] == [{"1.fc2.weight", "1.fc2.bias"}] * 2
    assert not torch.equal(shown[0]["1.fc2.bias"], shown[1]["1.fc2.bias"])


def test_the_output_part_is_the_last_block_unless_another_cut_is_given():
    split = victim("u_shaped", ("relu1",))
    assert [list(dict(part.named_children())) for part in split.parties[Seat.CLIENT].parts][1] == ["fc2"]
    assert split.protocol.cuts(network(), ("relu1", "fc1")) == (2, 8)
    with pytest.raises(CutError, match="ascending"):
        victim("u_shaped", ("fc1", "relu1"))


def test_a_backward_message_needs_the_forward_pass_it_belongs_to():
    split, (batch,) = victim("u_shaped", ("relu1",)), batches(*data(8), 8)
    seen = []
    split.tap = lambda request, handler: seen.append(request.copy()) or handler(request)
    split.train([batch])
    forward, backward = (replace(message, step=1) for message in seen)
    peer = split.protocol.handler(split.answerer, split.agreement)
    with pytest.raises(WireError, match="no forward pass of 8 samples"):
        peer(backward)
    peer(forward)
    with pytest.raises(WireError, match="no forward pass of 4 samples"):
        peer(backward.replace(features_grad=backward["features_grad"][:4]))
    peer(backward)
    assert split.answerer.step == 2


def test_a_step_that_broke_off_leaves_no_gradient_to_the_next():
    """The client's last part has its gradients before the reply that may never come."""
    (batch,), broken = batches(*data(8), 8), []

    def breaks_once(request, handler):
        if request.kind is Kind.BACKWARD and not broken:
            broken.append(request)
            raise ConnectionError("gone")
        return handler(request)

    def trained(tap, steps):
        split = replace(victim("u_shaped", ("conv1",)), tap=tap)
        for _ in range(steps):
            try:
                split.train([batch])
            except ConnectionError:
                assert tap is not None
        return split.parties[Seat.CLIENT].gradients()

    expected = trained(None, 1)
    found = trained(breaks_once, 2)
    assert all(torch.equal(expected[name], found[name]) for name in ("1.fc2.weight", "1.fc2.bias"))


def test_a_block_that_gives_no_tensor_ends_no_part():
    model = nn.Sequential(OrderedDict({"rows": nn.Flatten(2), "memory": nn.LSTM(4, 3), "head": nn.Linear(3, 2)}))
    with pytest.raises(CutError, match="block 'memory' gives a tuple: a part of a network ends in one tensor"):
        UShaped().agree(model, [0, 1], (2, 4))
