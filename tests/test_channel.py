"""Channels: bytes and copies bring the same, count the same, and share nothing."""

from __future__ import annotations

import pytest
import torch

from cutlayer.channel import Direct, Loopback
from cutlayer.codec import FrameError, decode, encode
from cutlayer.message import Kind, Message
from tests.parties import batches
from tests.splitting import CHANNELS, data, state, victim

PROTOCOLS = {"vanilla": ("relu1",), "u_shaped": ("relu1", "fc1"), "label_only": ("relu1",)}


def request(**tensors: torch.Tensor) -> Message:
    return Message(Kind.TRAIN, "client", 3, tensors)


def trained(name: str, channel: str):
    """A pair after five steps and a prediction over one channel, and that channel."""
    split, made = victim(name, PROTOCOLS[name]), []
    split.carrier = lambda handler: made.append(CHANNELS[channel](handler)) or made[-1]
    peer = split.peer
    run = batches(*data(36), 8)
    for batch in run:
        split.protocol.train(split.driver, peer, batch)
    split.protocol.predict(split.driver, peer, run[0])
    return split, made[0]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_loopback_is_bit_equal_to_direct_and_counts_the_same_bytes(name):
    (direct, copies), (loopback, frames) = trained(name, "direct"), trained(name, "loopback")
    before, after = state(direct), state(loopback)
    assert before.keys() == after.keys()
    assert [key for key in before if not torch.equal(before[key], after[key])] == []
    assert direct.parties["client"].losses == loopback.parties["client"].losses
    assert copies.meter == frames.meter
    assert frames.meter.sent > 0
    assert frames.meter.received > 0


def test_round_trips_are_counted_by_kind():
    _, channel = trained("u_shaped", "loopback")
    assert channel.meter.round_trips == {Kind.FORWARD: 5, Kind.BACKWARD: 5, Kind.PREDICT: 1}


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_meter_counts_the_bytes_of_the_frames(channel):
    one, other = request(a=torch.rand(2, 3)), request(a=torch.rand(4, 3), labels=torch.tensor(2))
    carried = CHANNELS[channel](lambda message: message.reply("server", grad=torch.zeros(len(message["a"]))))
    sent = received = 0
    for message in (one, other, one):
        reply = carried(message)
        sent, received = sent + len(encode(message)), received + len(encode(reply))
    assert (carried.meter.sent, carried.meter.received) == (sent, received)


@pytest.mark.parametrize("channel", CHANNELS)
def test_nothing_is_shared(channel):
    kept, inside = torch.ones(2, 3), torch.full((2,), 5.0)
    arrived = []

    def handler(message: Message) -> Message:
        arrived.append(message["a"].clone())
        message["a"].zero_()
        return message.reply("server", grad=inside)

    carried = CHANNELS[channel](handler)
    reply = carried(request(a=kept))
    reply["grad"].zero_()
    assert torch.equal(arrived[0], torch.ones(2, 3))
    assert torch.equal(kept, torch.ones(2, 3))
    assert torch.equal(inside, torch.full((2,), 5.0))


@pytest.mark.parametrize("channel", CHANNELS)
def test_no_graph_crosses(channel):
    weights = torch.ones(3, requires_grad=True)
    graphs = []

    def handler(message: Message) -> Message:
        graphs.append(message["a"].requires_grad)
        return message.reply("server", grad=weights * 2)

    reply = CHANNELS[channel](handler)(request(a=weights * 3))
    assert graphs == [False]
    assert not reply["grad"].requires_grad


@pytest.mark.parametrize("channel", CHANNELS)
def test_views_arrive_as_plain_tensors(channel):
    whole = torch.rand(4, 6)
    sent = request(a=whole.T, b=whole[1:3], c=whole[0].expand(3, 6), d=whole)
    got = CHANNELS[channel](lambda message: message.reply("server", **message.tensors))(sent)
    assert all(torch.equal(got[name], sent[name]) and got[name].is_contiguous() for name in sent)


def test_a_transport_that_breaks_frames_is_noticed():
    class Torn(Loopback):
        def carry(self, frame: bytes) -> bytes:
            return super().carry(frame)[:-1]

    with pytest.raises(FrameError):
        Torn(lambda message: message)(request(a=torch.rand(3)))


def test_only_bytes_reach_the_transport():
    frames = []

    class Seen(Loopback):
        def carry(self, frame: bytes) -> bytes:
            frames.extend([frame, super().carry(frame)])
            return frames[-1]

    Seen(lambda message: message.reply("server", grad=torch.zeros(1)))(request(a=torch.rand(3)))
    assert [type(frame) for frame in frames] == [bytes, bytes]
    assert [decode(frame).sender for frame in frames] == ["client", "server"]


def test_direct_meters_kinds_and_shapes_apart():
    carried = Direct(lambda message: message)
    for count in (1, 2, 1):
        carried(request(a=torch.rand(count)))
    once, twice = (len(encode(request(a=torch.rand(count)))) for count in (1, 2))
    assert carried.meter.sent == 2 * once + twice


def test_a_copy_keeps_its_channels_innermost_and_nobody_else_is_shown_that():
    images = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    table = torch.rand(4, 2).T
    came = []
    reply = Direct(lambda message: came.append(message) or message)(request(smashed=images, table=table))
    for message in (came[0], reply):
        assert message["smashed"].is_contiguous(memory_format=torch.channels_last)
        assert message["table"].is_contiguous(), "as bytes would give it"
        assert torch.equal(message["smashed"], images)
        # What adversaries and defenses are given is a copy of their own.
        assert message.copy()["smashed"].is_contiguous()
    places = {tensor.data_ptr() for tensor in (images, came[0]["smashed"], reply["smashed"])}
    assert len(places) == 3


@pytest.mark.parametrize("shape", [(4, 24, 1, 1), (4, 1, 6, 6)])
def test_an_image_that_lies_both_ways_arrives_as_bytes_give_it(shape):
    """Kernels are chosen by strides, and those of one pixel or one channel say nothing of how it lies."""
    image = torch.rand(shape).contiguous(memory_format=torch.channels_last)
    image = image.as_strided(shape, (shape[1] * shape[2] * shape[3], 1, shape[3] * shape[1], shape[1]))
    copied, carried = (CHANNELS[name](lambda message: message)(request(smashed=image)) for name in CHANNELS)
    assert copied["smashed"].stride() == carried["smashed"].stride()
