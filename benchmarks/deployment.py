"""Two processes on one machine, over gRPC with and without TLS, against a plain loop over the whole model.

A step of the plain loop and of both deployments is timed without the start of the processes (a client's record says how
long its turn took, hand-overs and evaluation apart); printed are milliseconds a step, the median over the runs. Bytes:
tensors as they lie in memory, frames as the codec makes them, and what a relay between the two processes counts on the
socket: HTTP/2, TLS records and keepalive included, TCP and IP headers not. ``checkpoint`` says how often state is
flushed to the disk; journals are written at every step in all of them. The data is noise: time does not depend on it.

``link`` is the deployment in the clear with a relay that holds everything back for so long, each way, at any bandwidth.
``pipelined`` is the same plan with the client's next forward pass made while the server and the link are at work: what
that wins is at most the pass itself, and nothing where both processes share one core without a wait on the link.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from cutlayer.deploying.outcome import PartyRecord, read_party_record
from cutlayer.network import build
from cutlayer.optimization import Optimization

ROOT = Path(__file__).parent.parent
DATA = """
from pathlib import Path

import torch
from cutlayer.dataset import Dataset, Split


def load(data_dir: Path | None = None, *, shape: str = "1x28x28", rows: int = 64) -> Dataset:
    draw = torch.Generator().manual_seed(0)
    size = tuple(int(side) for side in shape.split("x"))
    inputs = torch.randint(0, 256, (rows, *size), generator=draw, dtype=torch.uint8)
    labels = torch.randint(0, 10, (rows,), generator=draw)
    return Dataset("noise", Split(inputs, labels), Split(inputs[:2], labels[:2]), tuple("0123456789"), source="drawn")
"""


@dataclass(frozen=True)
class Case:
    """A network, where it is cut, and how long it runs."""

    model: str
    cut: str
    shape: tuple[int, ...]
    batch: int
    steps: int


CASES = [
    Case("lenet", "2", (1, 28, 28), 64, 200),
    Case("lenet", "0", (1, 28, 28), 64, 200),
    Case("resnet18", "0", (3, 32, 32), 16, 6),
]


class Relay:
    """Stands between client and server, passes everything on, after ``latency`` seconds, and counts it."""

    def __init__(self, port: int, latency: float = 0.0) -> None:
        self._to, self._latency, self.counted = port, latency, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            one, _ = self._listening.accept()
            try:
                other = socket.create_connection(("127.0.0.1", self._to))
            except ConnectionRefusedError:
                # The server is still starting; the client tries again.
                one.close()
                continue
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        on_the_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        threading.Thread(target=self._arrive, args=(on_the_way, sink), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.counted += len(data)
                on_the_way.put((time.monotonic() + self._latency, data))
        on_the_way.put((0.0, b""))

    def _arrive(self, on_the_way: queue.SimpleQueue[tuple[float, bytes]], sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (sent := on_the_way.get())[1]:
                time.sleep(max(0.0, sent[0] - time.monotonic()))
                sink.sendall(sent[1])
        sink.close()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def plain(case: Case) -> float:
    """Seconds a step of the whole model in one loop."""
    model = build(case.model, case.shape, 10, 0)
    optimizer = Optimization().make(model.parameters())
    inputs, labels = torch.rand(case.batch, *case.shape), torch.randint(0, 10, (case.batch,))
    begun = time.perf_counter()
    for step in range(case.steps + 1):
        if step == 1:
            begun = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (time.perf_counter() - begun) / case.steps


def deployed(
    case: Case, secure: bool, every: int, latency: float | None = None, pipelined: bool = False
) -> tuple[float, int, PartyRecord]:
    """Seconds a step of two processes, bytes on the socket, and the client's record.

    With a ``latency`` in seconds, 0 or more, they are connected by a relay, which counts the bytes.
    """
    folder = Path(tempfile.mkdtemp(prefix="cutlayer-bench-"))
    cutlayer = [sys.executable, "-c", "from cutlayer.cli import main; main()"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    try:
        subprocess.run(
            [*cutlayer, "certs", "trial", "alice"], cwd=folder, env=environment, check=True, capture_output=True
        )
        (folder / "datasets").mkdir()
        (folder / "datasets" / "noise.py").write_text(DATA)
        shape = "x".join(map(str, case.shape))
        plan = {"model": case.model, "cut": case.cut, "inputs": list(case.shape), "batch_size": case.batch, "epochs": 1}
        plan["pipelined"] = pipelined
        port = free_port()
        relay = None if latency is None else Relay(port, latency)
        common = {"plugins": folder, "checkpoint_every": every, "insecure": not secure, **_dotted("plan", plan)}
        own = {"dataset": "noise", "noise.shape": shape, "noise.rows": case.batch * case.steps, "name": "alice"}
        at = f"127.0.0.1:{relay.port if relay else port}"
        orders = {
            "server": ["serve", "trial/server/server.toml", *_words({**common, "listen": f"127.0.0.1:{port}"})],
            "alice": ["join", "trial/alice/client.toml", *_words({**common, **own, "server": at})],
        }
        running = []
        for name, order in orders.items():
            with (folder / f"{name}.log").open("w") as log:
                running.append(
                    subprocess.Popen([*cutlayer, *order], cwd=folder, env=environment, stdout=log, stderr=log)
                )
        try:
            while any(process.poll() is None for process in running):
                if any(process.poll() for process in running):
                    raise RuntimeError("".join(log.read_text() for log in folder.glob("*.log")))
                time.sleep(0.05)
        finally:
            for process in running:
                process.kill()
        record = read_party_record(folder / "trial" / "alice" / "run")
        assert record
        assert record.turns[0].seconds
        return record.turns[0].seconds / case.steps, relay.counted if relay else 0, record
    finally:
        shutil.rmtree(folder)


def _dotted(table: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{table}.{key}": value for key, value in values.items()}


def _words(values: dict[str, Any]) -> list[str]:
    plain_words = {key: value if isinstance(value, str | Path) else json.dumps(value) for key, value in values.items()}
    return [f"{key}={value}" for key, value in plain_words.items()]


def tensor_bytes(case: Case) -> int:
    """Of one training step: what the client sends and gets, in vanilla."""
    first = build(case.model, case.shape, 10, 0)[: int(case.cut) + 1].eval()
    smashed = first(torch.zeros(1, *case.shape))
    return int(case.batch * (2 * smashed.nbytes + 8) + 4)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="runs of each way, of which the median is printed")
    parser.add_argument("--models", default="lenet,resnet18")
    parser.add_argument("--links", type=float, nargs="*", default=[20], help="latencies in ms, one way")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'network':<10}{'cut':>4}  {'way':<34}{'ms/step':>9}{'x plain':>9}")
    for case in CASES:
        if case.model not in arguments.models.split(","):
            continue
        base = median(plain(case) for _ in range(arguments.runs))
        print(f"{case.model:<10}{case.cut:>4}  {'plain loop':<34}{base * 1e3:>9.2f}{1:>9.2f}", flush=True)
        ways: list[tuple[str, tuple[Any, ...]]]
        ways = [("in the clear, checkpoint 100", (False, 100)), ("TLS, checkpoint 100", (True, 100))]
        ways += [("TLS, checkpoint 1", (True, 1))] if case.model == "lenet" else []
        ways += [("in the clear, pipelined", (False, 100, None, True))]
        for milliseconds in arguments.links:
            for pipelined in (False, True):
                name = f"link {milliseconds:g} ms" + (", pipelined" if pipelined else "")
                ways.append((name, (False, 100, milliseconds / 1e3, pipelined)))
        for name, way in ways:
            spent = median(deployed(case, *way)[0] for _ in range(arguments.runs))
            print(f"{case.model:<10}{case.cut:>4}  {name:<34}{spent * 1e3:>9.2f}{spent / base:>9.2f}", flush=True)
        for name, secure in (("clear", False), ("TLS", True)):
            _, sent, record = deployed(case, secure, 100, latency=0.0)
            frames, tensors = record.bytes_sent + record.bytes_received, tensor_bytes(case) * case.steps
            print(
                f"{case.model:<10}{case.cut:>4}  bytes, {name}: tensors {tensors:,}, "
                f"frames +{100 * (frames / tensors - 1):.2f} %, on the socket +{100 * (sent / tensors - 1):.2f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
