"""The process that an attacked party moves into: how it is started, reached and ended, and what is said to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from multiprocessing.connection import Pipe
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from cutlayer.isolated.lines import Line, Lines, Pipes

_CLOSING_SECONDS = 5


class IsolatedError(RuntimeError):
    """The other process failed; its own traceback is in the message."""


class OtherProcess(ABC):
    """A process that waits to be told whom to host: started ahead of time, its imports cost nobody a wait."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._lines: Lines | None = None

    @property
    def lines(self) -> Lines:
        """The caller's end of both lines."""
        if self._lines is None:
            self._lines = self.open()
        return self._lines

    @abstractmethod
    def open(self) -> Lines:
        """Reach the process."""

    def tell(self, verb: str, content: Any = None, tensors: Mapping[str, Tensor] | None = None) -> None:
        """Say something on the control line."""
        self.lines.send(Line.CONTROL, pack(verb, content, tensors or {}))

    def close(self) -> None:
        """End the process; it has a few seconds to end by itself."""
        if self._lines:
            with contextlib.suppress(OSError):
                self.tell("close")
        else:
            self.process.kill()
        try:
            self.process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._lines:
            self._lines.close()


class PipedProcess(OtherProcess):
    """A process on this machine, at the other end of two pipes."""

    def __init__(self) -> None:
        wire, their_wire = Pipe()
        control, their_control = Pipe()
        self._pipes = Pipes(wire, control)
        ends = (their_wire.fileno(), their_control.fileno())
        # The attack's own prints must not mix with what the caller prints: they go to standard error.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cutlayer.isolated.isolation", *map(str, ends)],
            pass_fds=ends,
            stdin=subprocess.DEVNULL,
            stdout=2,
            # Ctrl-C at the terminal is for the caller alone, which closes this process in order.
            start_new_session=True,
        )
        their_wire.close()
        their_control.close()
        super().__init__(process)
        self._lines = self._pipes

    def open(self) -> Lines:
        """The pipes are open."""
        return self._pipes


class Ahead:
    """At most one process that waits for the next cell, so that nobody waits for it."""

    def __init__(self) -> None:
        self._spare: OtherProcess | None = None

    def take(self, isolate: bool, another: bool) -> OtherProcess | None:
        """One for a cell that is to be isolated; ``another``: more such cells follow it."""
        taken = None
        if isolate:
            taken, self._spare = self._spare or PipedProcess(), None
        if another and self._spare is None:
            self._spare = PipedProcess()
        return taken

    def close(self) -> None:
        """End the one that waits."""
        if self._spare:
            self._spare.close()


def pack(verb: str, content: Any, tensors: Mapping[str, Tensor]) -> bytes:
    """A message on the control line: a verb, anything JSON holds, tensors."""
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    packed: bytes = save(whole, metadata={"verb": verb, "content": json.dumps(content)})
    return packed


def unpack(packed: bytes) -> tuple[str, Any, dict[str, Tensor]]:
    """Verb, content and tensors of a message on the control line."""
    length = int.from_bytes(packed[:8], "little")
    fields = json.loads(packed[8 : 8 + length])["__metadata__"]
    return fields["verb"], json.loads(fields["content"]), load(packed)
