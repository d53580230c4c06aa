"""Real processes of a deployment that start fast: one process imports everything once and forks each party.

Run as ``python -m tests.nursery`` with the numbers of two pipes: reads a JSON line for each party to start from one,
writes its process id to the other.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).parent.parent


@dataclass
class Nursery:
    """The caller's end."""

    before: Sequence[str] = ()
    """Words before the command: `ip netns exec`, say."""
    begin: Callable[..., Any] = subprocess.Popen
    """``Stem.fork`` where nothing comes before the command: faster."""
    pids: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Nursery:
        (orders, ours), (answers, theirs) = os.pipe(), os.pipe()
        command = [*self.before, sys.executable, "-P", "-m", "tests.nursery", str(orders), str(theirs)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = self.begin(command, pass_fds=(orders, theirs), env=environment)
        for end in (orders, theirs):
            os.close(end)
        self._orders, self._answers = os.fdopen(ours, "w"), os.fdopen(answers)
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.pids):
            self.kill(name)
        self._orders.close()
        self._answers.close()
        self._process.wait(10)

    def start(self, name: str, command: str, file: Path, logs: Path, changes: Sequence[str] = ()) -> None:
        """``cutlayer serve`` or ``join`` with ``file``; what it prints is added to ``<name>.log`` in ``logs``."""
        order = {"command": command, "file": str(file), "changes": list(changes), "log": str(logs / f"{name}.log")}
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        self.pids[name] = int(self._answers.readline())

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill a party, and wait until it is gone."""
        pid = self.pids.pop(name)
        try:
            os.kill(pid, how)
            self._gone(pid)
        except ProcessLookupError:
            pass

    def alive(self, name: str) -> bool:
        """Whether its process runs."""
        try:
            os.kill(self.pids[name], 0)
        except (ProcessLookupError, KeyError):
            return False
        return True

    def _gone(self, pid: int) -> None:
        for _ in range(1000):
            os.kill(pid, 0)
            time.sleep(0.01)
        raise TimeoutError(f"process {pid} does not end")


def _serve(orders: TextIO, answers: TextIO) -> None:
    os.environ |= {"OMP_NUM_THREADS": "1", "GRPC_VERBOSITY": "ERROR"}
    # Imported before any fork, and nothing of them used: no thread, no gRPC object crosses one.
    import torch
    from rich.console import Console

    from cutlayer.commands.deploy import join_one, serve_one
    from cutlayer.provenance import code
    from tests import scenes  # noqa: F401 - the made data

    code()  # asks git, once
    # Torch imports half of its compiler with the first optimizer.
    torch.optim.Adam([torch.zeros(1)])

    torch.set_num_threads(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in orders:
        order = json.loads(line)
        pid = os.fork()
        if pid:
            print(pid, file=answers, flush=True)
            continue
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What runs in the background of a script has been told to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        one = serve_one if order["command"] == "serve" else join_one
        code = 1
        try:
            one(Path(order["file"]), order["changes"], Console(stderr=True, width=200))
            code = 0
        except BaseException as error:  # noqa: BLE001 - into the log, whatever it is
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)


if __name__ == "__main__":
    _serve(*(os.fdopen(int(number), mode) for number, mode in zip(sys.argv[1:], "rw", strict=True)))
