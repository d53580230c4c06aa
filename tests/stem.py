"""Processes of the package that start fast: forked from one that has imported everything, which takes seconds.

Run as ``python -m tests.stem`` with the number of a socket: takes a JSON order and open files for each one. What is
forked there has nothing of the caller's memory, as little as a process that is started anew.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
_LONGEST, _MOST = 1 << 17, 8  # bytes of an order, files that come with it
_NUMBER = 4  # bytes of a process id or exit code on its way back


class Stem:
    """The caller's end; the process begins with the first that is forked from it."""

    def __init__(self) -> None:
        self.subprocess = SimpleNamespace(
            Popen=self.fork, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
        )
        self._process: subprocess.Popen[bytes] | None = None

    def fork(self, command: Sequence[str], pass_fds: Sequence[int] = (), **_: Any) -> Offshoot:
        """In place of ``Popen`` as the package calls it, with ``python -P -m module ...``."""
        assert list(command[:3]) == [sys.executable, "-P", "-m"]
        if self._process is None:
            self._begin()
        order = {"words": command[3:], "ends": pass_fds, "folder": str(Path.cwd()), "environment": {**os.environ}}
        told, telling = os.pipe()
        # Standard error, too: pytest may have turned it elsewhere since the process began.
        socket.send_fds(self._line, [json.dumps(order).encode()], [telling, 2, *pass_fds])
        os.close(telling)
        return Offshoot(told)

    def close(self) -> None:
        """End the process; what was forked from it goes on."""
        if self._process:
            self._line.close()
            self._process.wait()

    def _begin(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.stem", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
            )


class Offshoot:
    """What the package uses of a ``subprocess.Popen``."""

    def __init__(self, told: int) -> None:
        self._told = os.fdopen(told, "rb", buffering=0)
        self.pid = self._number()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("an offshoot", timeout or 0)
        return code

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def _signal(self, what: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, what)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
            self.returncode = self._number()
            self._told.close()
        return self.returncode

    def _number(self) -> int:
        return int.from_bytes(self._told.read(_NUMBER) or b"", sys.byteorder, signed=True)


def _await_order(line: socket.socket) -> list[str] | None:
    """In a forked process the words after ``python -m``; in this one nothing, when the caller is gone."""
    while True:
        content, files, _, _ = socket.recv_fds(line, _LONGEST, _MOST)
        if not content:
            return None
        order, (telling, errors, *ends) = json.loads(content), files
        if order["words"][0] == "cutlayer.sweeping.worker":
            # It judges, too: what that takes is imported before the first of them.
            import_module("torchmetrics.functional.image")
        if os.fork() == 0:
            line.close()
            return _forked(order, telling, errors, ends)
        for file in files:
            os.close(file)
        _bury()


def _forked(order: Any, telling: int, errors: int, ends: Sequence[int]) -> list[str]:
    """Fork once more: the first process tells how the second one ends, which its caller is no parent of."""
    pid = os.fork()
    if pid:
        for file in (errors, *ends):
            os.close(file)
        os.write(telling, pid.to_bytes(_NUMBER, sys.byteorder))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.write(telling, code.to_bytes(_NUMBER, sys.byteorder, signed=True))
        os._exit(0)
    os.close(telling)
    os.setsid()
    for standard in (1, 2):
        os.dup2(errors, standard)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    # The same open files have other numbers here.
    numbers = dict(zip(map(str, order["ends"]), map(str, ends), strict=True))
    return [numbers.get(word, word) for word in order["words"]]


def _bury() -> None:
    """Take note of those that have ended, and of the time they took."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _import() -> None:
    import torch

    from cutlayer.isolated import grpc_process
    from cutlayer.sweeping import worker

    # Torch imports half of its compiler with the first optimizer.
    torch.optim.SGD([torch.zeros(1)])
    for module in (grpc_process, worker, sys.modules["cutlayer.isolated.isolation"]):
        # These are run, each as a program.
        del sys.modules[module.__name__]
    # A forked process that looks for garbage copies the pages it looks at.
    gc.freeze()


def _run(words: list[str]) -> NoReturn:
    """A module as a program, to its exit code; ends at once, as taking apart all that was imported takes long."""
    sys.argv, code = words, 1
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, as an interpreter tells it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _import()
    if order := _await_order(socket.socket(fileno=int(sys.argv[1]))):
        _run(order)
