"""Worker processes that take one task at a time and tell how it goes: tasks and news are JSON, nothing is pickled."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

_CLOSING_SECONDS = 10


@dataclass(frozen=True)
class News:
    """What a worker says about a task."""

    number: int
    """The task's."""
    kind: str
    """``progress``, ``done``, ``refused``, or ``lost``: the process ended, whatever it was doing."""
    content: tuple[Any, ...] = ()
    """``progress``: what, done, total; ``refused``: why; ``lost``: the exit code."""


class Pool:
    """Processes of ``python -m module``, started when none of them is free; close it in any case."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._workers: list[_Worker] = []

    @property
    def busy(self) -> bool:
        """Whether any task has been given that is not done."""
        return any(worker.task is not None for worker in self._workers)

    def give(self, number: int, task: Mapping[str, Any]) -> None:
        """Let a free worker begin ``task``."""
        worker = next((worker for worker in self._workers if worker.task is None), None)
        if worker is None:
            worker = _Worker(self._module)
            self._workers.append(worker)
        worker.begin(number, task)

    def news(self) -> News:
        """Wait for the next news of any task."""
        ready = wait([worker.line for worker in self._workers if worker.task is not None])
        worker = next(worker for worker in self._workers if worker.line in ready)
        # Whoever was heard comes last next time: with many workers none must wait for long.
        self._workers.remove(worker)
        self._workers.append(worker)
        try:
            kind, *content = json.loads(worker.line.recv_bytes())
        except (EOFError, ConnectionError):
            kind, content = "lost", [worker.process.wait()]
            self._workers.remove(worker)
        assert worker.task is not None
        news = News(worker.task, kind, tuple(content))
        if kind != "progress":
            worker.task = None
        return news

    def close(self) -> None:
        """End all processes, in the middle of a task or not."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(_CLOSING_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.line.close()
        self._workers.clear()


class _Worker:
    def __init__(self, module: str) -> None:
        self.task: int | None = None
        self.line, theirs = Pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # What a user's own model or plug-in prints must not mix with what the caller prints.
            stdout=2,
            # Ctrl-C at the terminal is for the caller alone, which ends its workers.
            start_new_session=True,
        )
        theirs.close()

    def begin(self, number: int, task: Mapping[str, Any]) -> None:
        self.task = number
        # A process that is gone is noticed when its news are read.
        with contextlib.suppress(ConnectionError):
            self.line.send_bytes(json.dumps(task).encode())


class Dismissed(BaseException):
    """Ends a worker with ``code`` in the middle of anything: unlike ``SystemExit``, no attack brings it about."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class WorkerEnd:
    """A worker's end: takes tasks, tells news."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._line = Connection(int(arguments[1]))

    def task(self) -> dict[str, Any] | None:
        """The next task; ``None`` when the caller is gone."""
        try:
            found: dict[str, Any] = json.loads(self._line.recv_bytes())
        except (EOFError, ConnectionError):
            return None
        return found

    def tell(self, kind: str, *content: Any) -> None:
        """Send news about the present task; when the caller is gone there is nothing left to do: ``Dismissed``."""
        try:
            self._line.send_bytes(json.dumps([kind, *content]).encode())
        except (BrokenPipeError, ConnectionError):
            raise Dismissed(1) from None
