"""Who is let in counts as there until his call ends, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue

import pytest

from cutlayer.transport.duplex import Duplex
from cutlayer.transport.rpc import _STREAMS, _Entrance


class Aborted(Exception):
    """What gRPC raises where a call is ended on this side."""


class Call:
    """The server's end of c0's call; one that is over takes no callback any more."""

    def __init__(self, over: bool) -> None:
        self.over, self.why = over, ""
        self.callbacks: list[Callable[[], None]] = []
        self.frames: SimpleQueue[bytes | None] = SimpleQueue()

    def enter(self, entrance: _Entrance) -> bytes:
        """The first thing that is said to the client."""
        return next(entrance.exchange(iter(self.frames.get, None), self))

    def add_callback(self, callback: Callable[[], None]) -> bool:
        if not self.over:
            self.callbacks.append(callback)
        return not self.over

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_common_name": [b"c0"]}

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def abort(self, code: object, why: str) -> None:
        self.why = why
        raise Aborted

    def end(self) -> None:
        self.frames.put(None)
        for callback in self.callbacks:
            callback()


def test_a_call_that_was_over_before_it_began_takes_no_place() -> None:
    def admit(link: Duplex) -> None:
        raise AssertionError("nobody is there any more")

    entrance = _Entrance(frozenset({"c0"}), admit, encrypted=True)
    for _ in range(2 * _STREAMS):
        over = Call(over=True)
        with pytest.raises(Aborted):
            over.enter(entrance)
        assert over.why == "the call has ended before it began"
    assert entrance._open["c0"] == 0


def test_a_place_is_taken_until_the_call_ends() -> None:
    entrance = _Entrance(frozenset({"c0"}), lambda link: link.tell("welcome"), encrypted=True)
    calls = [Call(over=False) for _ in range(_STREAMS)]
    for call in calls:
        assert call.enter(entrance) == b'{"verb":"welcome"}'
    crowded = Call(over=False)
    with pytest.raises(Aborted):
        crowded.enter(entrance)
    assert crowded.why == "'c0' has 4 streams open already"
    for call in (*calls, crowded):
        call.end()
    assert entrance._open["c0"] == 0
