"""Real processes of a deployment that start fast: one process imports everything once and forks each party.

Run as ``python -m tests.nursery``: reads a JSON line for each party to start, answers with its process id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass
class Nursery:
    """The caller's end."""

    before: Sequence[str] = ()
    """Words before the command: `ip netns exec`, say."""
    pids: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Nursery:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GRPC_VERBOSITY": "ERROR"}
        self._process = subprocess.Popen(
            [*self.before, sys.executable, "-m", "tests.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.pids):
            self.kill(name)
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def start(self, name: str, command: str, file: Path, logs: Path, changes: Sequence[str] = ()) -> None:
        """``cutlayer serve`` or ``join`` with ``file``; what it prints is added to ``<name>.log`` in ``logs``."""
        order = {"command": command, "file": str(file), "changes": list(changes), "log": str(logs / f"{name}.log")}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self.pids[name] = int(self._process.stdout.readline())

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


def _serve(orders: Any) -> None:
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
            print(pid, flush=True)
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
    _serve(sys.stdin)
