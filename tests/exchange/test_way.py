"""The way between a party and the wire: the order in which what is sent passes what stands there, at either end."""

from __future__ import annotations

import pytest
import torch

from cutlayer.channel import Handler
from cutlayer.exchange.way import guarded
from cutlayer.message import Kind, Message
from cutlayer.tap import Tap


def marking(name: str, requests: bool) -> Tap:
    """Multiplies by ten and adds its number to what passes: requests, or replies."""

    def mark(message: Message) -> Message:
        return message.replace(smashed=message["smashed"] * 10 + int(name))

    def tap(request: Message, handler: Handler) -> Message:
        return handler(mark(request)) if requests else mark(handler(request))

    return tap


@pytest.mark.parametrize("drives", [True, False])
def test_what_is_sent_passes_the_taps_in_their_order(drives: bool) -> None:
    """A party that drives sends requests, one that answers sends replies."""
    arrived: list[Message] = []

    def peer(request: Message) -> Message:
        arrived.append(request)
        return request

    way = guarded(peer, [marking("1", drives), marking("2", drives), marking("3", drives)], drives)
    reply = way(Message(Kind.PREDICT, "client-0", 0, {"smashed": torch.zeros(1)}))
    (sent,) = arrived
    assert (sent["smashed"].item(), reply["smashed"].item()) == ((123, 123) if drives else (0, 123))


@pytest.mark.parametrize("drives", [True, False])
def test_what_comes_passes_them_the_other_way_round(drives: bool) -> None:
    def peer(request: Message) -> Message:
        return request

    way = guarded(peer, [marking("1", not drives), marking("2", not drives)], drives)
    assert way(Message(Kind.PREDICT, "client-0", 0, {"smashed": torch.zeros(1)}))["smashed"].item() == 21
