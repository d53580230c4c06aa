"""One open stream between two parties: frames and control messages, in order, both ways."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, final

from cutlayer.codec import FrameError

MAX_CONTROL = 1 << 20
"""Bytes of a control message; tensors travel in frames."""
_OPENING = b"{"
# A frame starts with the length of its header, a multiple of eight: no frame starts with this byte.
_WAITING = 4


class DisconnectedError(ConnectionError):
    """The other side cannot be reached any more, or did not answer in time; worth another attempt."""


class SilentError(DisconnectedError):
    """The other side did not answer in time."""


class RefusedError(Exception):
    """One side will not talk to the other; the message says why. Another attempt would end alike."""


@final
class Duplex:
    """One open stream: frames and control messages, in order, both ways."""

    def __init__(self, name: str, end: Callable[[], None] = lambda: None) -> None:
        self.name = name
        """Who is at the other end, by its certificate."""
        self.alive = True
        self.listening = True
        """Whether it is the other side's turn to speak; what it says out of turn ends the link."""
        self._end = end
        # Bounded: who sends faster than he is answered waits in his own network buffers.
        self._came: queue.Queue[bytes | Exception] = queue.Queue(_WAITING)
        self._leaving: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self.why: Exception = DisconnectedError(f"the connection to {name} is lost")

    def send(self, frame: bytes) -> None:
        """Send one frame or control message."""
        if not self.alive:
            raise self.why
        self._leaving.put(frame)

    def receive(self, seconds: float | None = None) -> bytes:
        """What came next; ``DisconnectedError`` where nothing comes in ``seconds``, or ever again."""
        try:
            came = self._came.get(timeout=seconds) if self.alive or not self._came.empty() else self.why
        except queue.Empty:
            self.lost(SilentError(f"{self.name} has not answered for {seconds:g} s"))
            self.close()
            raise self.why from None
        if isinstance(came, Exception):
            raise came
        return came

    def tell(self, verb: str, **fields: Any) -> None:
        """Send a control message."""
        self.send(worded(verb, **fields))

    def close(self, why: Exception | None = None) -> None:
        """End the stream; with a ``RefusedError`` the other side is told the reason."""
        if not self._closing.is_set():
            self._closing.set()
            self._leaving.put(why)
            self.lost(why or self.why)
            self._end()

    def lost(self, why: Exception) -> None:
        """Nothing will come any more."""
        if self.alive:
            self.alive, self.why = False, why
            with contextlib.suppress(queue.Full):
                self._came.put_nowait(why)

    def came(self, frame: bytes) -> None:
        """Hand in what the network brought."""
        if not self.listening:
            raise RefusedError(f"{self.name} sends out of turn")
        while self.alive:
            with contextlib.suppress(queue.Full):
                self._came.put(frame, timeout=1)
                return

    def leaving(self) -> Iterator[bytes]:
        """What is to go out, until the link is closed."""
        while (frame := self._leaving.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            yield frame


def worded(verb: str, **fields: Any) -> bytes:
    """A control message."""
    return json.dumps({"verb": verb, **fields}, separators=(",", ":")).encode()


def control(frame: bytes) -> dict[str, Any] | None:
    """The control message in ``frame``; ``None`` where it is a protocol frame. Malformed ones are a ``FrameError``."""
    if frame[:1] != _OPENING:
        return None
    if len(frame) > MAX_CONTROL:
        raise FrameError(f"a control message of {len(frame)} bytes is over the limit of {MAX_CONTROL}")
    try:
        said = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a control message is not JSON: {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("verb"), str):
        raise FrameError("a control message names no verb")
    return said


def printable(text: str) -> str:
    """Another party's words for a terminal or a log: what is no printable character stands there as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
