"""The two lines between an audit and the process of the attacked party: the protocol's wire, and control."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections import deque
from enum import StrEnum
from multiprocessing.connection import Connection, wait
from typing import final

from cutlayer.transport.duplex import DisconnectedError, Duplex, RefusedError


class Line(StrEnum):
    """Which of the two."""

    WIRE = "wire"
    CONTROL = "control"


class Lines(ABC):
    """One end of both. Whoever is at the other end no longer: ``ConnectionError`` or ``EOFError``."""

    @abstractmethod
    def send(self, line: Line, data: bytes) -> None:
        """Send ``data`` on ``line``."""

    @abstractmethod
    def receive(self, line: Line) -> bytes:
        """What comes next on ``line``."""

    @abstractmethod
    def next(self) -> Line:
        """Wait until something has come, and say on which line; on control first."""

    @abstractmethod
    def close(self) -> None:
        """End both."""


@final
class Pipes(Lines):
    """Within one machine."""

    def __init__(self, wire: Connection, control: Connection) -> None:
        self._ends = {Line.WIRE: wire, Line.CONTROL: control}

    def send(self, line: Line, data: bytes) -> None:
        """Through the pipe."""
        self._ends[line].send_bytes(data)

    def receive(self, line: Line) -> bytes:
        """From the pipe."""
        return self._ends[line].recv_bytes()

    def next(self) -> Line:
        """Asks both pipes."""
        control = self._ends[Line.CONTROL]
        return Line.CONTROL if control in wait(list(self._ends.values())) else Line.WIRE

    def close(self) -> None:
        """Close both pipes."""
        for end in self._ends.values():
            end.close()


@final
class Streams(Lines):
    """Over gRPC: two streams, each with a thread that brings what comes to one place."""

    def __init__(self, wire: Duplex, control: Duplex) -> None:
        self._ends = {Line.WIRE: wire, Line.CONTROL: control}
        self._came: queue.SimpleQueue[tuple[Line, bytes | None]] = queue.SimpleQueue()
        self._waiting: dict[Line, deque[bytes | None]] = {line: deque() for line in Line}
        for line in Line:
            threading.Thread(target=self._pump, args=(line,), daemon=True).start()

    def send(self, line: Line, data: bytes) -> None:
        """Over the stream."""
        self._ends[line].send(data)

    def receive(self, line: Line) -> bytes:
        """What came on the stream."""
        while not self._waiting[line]:
            self._fetch()
        data = self._waiting[line].popleft()
        if data is None:
            self._waiting[line].append(None)
            raise EOFError
        return data

    def next(self) -> Line:
        """Looks at what has come."""
        while not any(self._waiting.values()):
            self._fetch()
        return Line.CONTROL if self._waiting[Line.CONTROL] else Line.WIRE

    def close(self) -> None:
        """End both streams."""
        for end in self._ends.values():
            end.close()

    def _fetch(self) -> None:
        line, data = self._came.get()
        self._waiting[line].append(data)

    def _pump(self, line: Line) -> None:
        data: bytes | None = b""
        while data is not None:
            try:
                data = self._ends[line].receive()
            except (DisconnectedError, RefusedError):
                data = None
            self._came.put((line, data))
