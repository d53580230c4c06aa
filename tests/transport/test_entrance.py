"""Who is let in counts as there until his call ends, however it ends, and what he sends fits the plan."""

from __future__ import annotations

import logging
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from cutlayer.transport.duplex import DisconnectedError, Duplex, RefusedError
from cutlayer.transport.rpc import _STREAMS, Limits, _Entrance, connect, serve
from tests.deployments import Papers

SMALL = Limits(frame=0)


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

    entrance = _Entrance(frozenset({"c0"}), admit, encrypted=True, most=100)
    for _ in range(2 * _STREAMS):
        over = Call(over=True)
        with pytest.raises(Aborted):
            over.enter(entrance)
        assert over.why == "the call has ended before it began"
    assert entrance._open["c0"] == 0


def test_a_place_is_taken_until_the_call_ends() -> None:
    entrance = _Entrance(frozenset({"c0"}), lambda link: link.tell("welcome"), encrypted=True, most=100)
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


@pytest.fixture
def listening() -> Iterator[tuple[Papers, int, list[Duplex]]]:
    """A server for messages of a megabyte, the port that it listens at, and whom it has let in."""
    papers, there = Papers(), list[Duplex]()
    server, port = serve("127.0.0.1:0", papers.identity("server", ["127.0.0.1"]), ["c0"], there.append, SMALL)
    yield papers, port, there
    server.stop(0).wait()


@pytest.mark.parametrize("sender", ["c0", "the server"])
def test_a_message_that_is_too_long_is_a_refusal_that_both_sides_are_told(
    listening: tuple[Papers, int, list[Duplex]], sender: str, caplog: pytest.LogCaptureFixture
) -> None:
    papers, port, there = listening
    client = connect(f"127.0.0.1:{port}", papers.identity("c0"), "", SMALL)
    why = f"a message of {sender} is longer than {SMALL.most} bytes"
    with caplog.at_level(logging.WARNING, "cutlayer"):
        client.tell("hello")
        end = time.monotonic() + 10
        while not there and time.monotonic() < end:
            time.sleep(0.01)
        server = there[0]
        assert server.receive(10) == b'{"verb":"hello"}'
        one, other = (client, server) if sender == "c0" else (server, client)
        one.send(b"\0" * SMALL.most)
        assert len(other.receive(10)) == SMALL.most
        one.send(b"\0" * (2 * SMALL.most))
        for link in (client, server):
            with pytest.raises(RefusedError, match=why):
                link.receive(10)
    assert "refused c0 at ipv4:127.0.0.1" in caplog.text
    assert why in caplog.text
    client.close()


def test_a_port_without_tls_is_told_by_that_and_floods_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        link = connect(f"127.0.0.1:{server.server_address[1]}", Papers().identity("c0"), "", Limits())
        with pytest.raises(DisconnectedError, match="what answers at this address does not speak TLS"):
            link.receive(10)
        link.close()
        server.shutdown()
    assert capfd.readouterr() == ("", "")


class _Plain(socketserver.BaseRequestHandler):
    """A server of something else."""

    def handle(self) -> None:
        self.request.recv(64)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
