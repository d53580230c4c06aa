"""Several cells at once: the same records as one after another, whatever happens to a worker."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from rich.console import Console

from cutlayer.commands.audit import _estimated
from cutlayer.grid import grid
from cutlayer.record import DONE, FAILED, Record
from cutlayer.sweeping import sweep
from cutlayer.sweeping.folder import cell_folder
from cutlayer.sweeping.pool import News, Pool
from cutlayer.sweeping.sweep import Sweep, scenes
from cutlayer.sweeping.watcher import Unwatched
from tests.cells import attacks

SMALL = (
    *("dataset=digits", "train_rows=60", "test_rows=20", "model=unsplit_mnist", "epochs=1", "attack=unsplit"),
    *("unsplit.rounds=1", "unsplit.input_steps=2", "unsplit.model_steps=2", "unsplit.restarts=1", "targets=2"),
    *("cut=1,2", "seed=1,2", "isolate=false"),
)
OFFERED = ("offers=aux_inputs,aux_labels,peer_architecture", "injector_autoencoder.autoencoder_epochs=1")
# Imports nothing that takes long.
ECHO = """
import json, sys
from multiprocessing.connection import Connection
line = Connection(int(sys.argv[1]))
line.send_bytes(json.dumps(["progress", json.loads(line.recv_bytes())]).encode())
sys.exit(5)
"""
KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any machine."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def cells_of(*overrides: str) -> list[sweep.Scene]:
    """Without UnSplit's options where another attack is asked for."""
    another = any(text.startswith("attack=") for text in overrides)
    kept = [text for text in SMALL if not (another and text.startswith("unsplit."))]
    return scenes(grid(None, [*kept, *overrides]))


def told(record: Record) -> dict[str, Any]:
    """What a record says but for clocks and the state of the checkout."""
    return record.model_dump(exclude={"seconds", "attack_seconds", "started", "code"})


class Log(Unwatched):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []
        self.trained: list[int] = []

    def begin(self, number: int) -> None:
        self.said.append(("begin", number))

    def progress(self, number: int, what: str, done: int, total: int) -> None:
        if what == "training" and number not in self.trained:
            self.trained.append(number)

    def end(self, number: int) -> None:
        self.said.append(("end", number))


def test_two_workers_leave_the_records_of_one_process(tmp_path: Path) -> None:
    cells, log = cells_of(), Log()
    assert [scene.experiment.seed for scene in cells] == [1, 2, 1, 2]
    serial = dict(Sweep(cells, tmp_path / "serial", "same").records(Unwatched()))
    at_once = dict(Sweep(cells, tmp_path / "pool", "same", jobs=2).records(log))
    assert sorted(at_once) == sorted(serial) == [0, 1, 2, 3]
    assert {record.status for record in at_once.values()} == {DONE}
    for number, record in at_once.items():
        assert told(record) == told(serial[number])
    # Two seeds and two cuts: each victim was trained once, and the first two cells were at work at once.
    assert len(list((tmp_path / "pool" / "victims").iterdir())) == 2
    assert sorted(log.trained) == [0, 1]
    assert {number for _, number in log.said[:2]} == {0, 1}
    again = Log()
    assert dict(Sweep(cells, tmp_path / "pool", "same", jobs=2).records(again)) == at_once
    assert {kind for kind, _ in again.said} == {"end"}


def test_a_worker_that_dies_fails_its_cell_alone(tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", dies=KILL)
    cells = [*cells_of("cut=1", "seed=1", f"plugins={plugins}", "attack=dies"), *cells_of("cut=1", "seed=2")]
    found = dict(Sweep(cells, tmp_path / "run", "", jobs=2).records(Unwatched()))
    assert [found[number].status for number in sorted(found)] == [FAILED, DONE]
    assert found[0].reason == "the worker's process ended with exit code -9"
    assert (cell_folder(cells[0], tmp_path / "run") / "error.txt").is_file()


@pytest.mark.usefixtures("started_anew")
def test_a_worker_is_a_process_that_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pool = Pool("echo")
    try:
        pool.give(7, {"sent": 3})
        assert pool.news() == News(7, "progress", ({"sent": 3},))
        assert pool.news() == News(7, "lost", (5,))
    finally:
        pool.close()


@pytest.mark.slow
@pytest.mark.usefixtures("started_anew")
def test_a_worker_starts_by_itself() -> None:
    pool = Pool("cutlayer.sweeping.worker")
    try:
        pool.give(7, {"experiment": {"attack": "none"}})
        news = pool.news()
        assert (news.number, news.kind) == (7, "refused")
        assert news.content[0].startswith("ExperimentError: unknown attack 'none'")
    finally:
        pool.close()


def test_after_its_time_no_cell_is_begun(tmp_path: Path) -> None:
    cells = cells_of("cut=1")
    for jobs in (1, 2):
        over = Sweep(cells, tmp_path, "", jobs, until=time.monotonic())
        assert dict(over.records(Unwatched())) == {}
    assert not tmp_path.joinpath("cells").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_after_its_time_a_cell_under_way_is_left(jobs: int, tmp_path: Path) -> None:
    cells, seen = cells_of("cut=1", "epochs=300"), set[int]()

    class Clock(Unwatched):
        def progress(self, number: int, what: str, done: int, total: int) -> None:
            seen.add(number)

    with patch("cutlayer.sweeping.sweep.time.monotonic", lambda: float(bool(seen))):
        assert dict(Sweep(cells, tmp_path, "", jobs, until=1.0).records(Clock())) == {}
    assert len(seen) == 1
    assert not tmp_path.joinpath("cells").exists()


def test_a_cell_left_after_its_time_is_taken_up_the_next_time(tmp_path: Path) -> None:
    (cell,) = cells_of("cut=1", "seed=1", "epochs=3", "attack=injector_autoencoder", "aux=share", *OFFERED)
    told: list[tuple[str, int]] = []

    class Clock(Unwatched):
        def progress(self, number: int, what: str, done: int, total: int) -> None:
            told.append((what, done))

    with patch("cutlayer.sweeping.sweep.time.monotonic", lambda: float(("training under attack", 2) in told)):
        assert dict(Sweep([cell], tmp_path, "", until=1.0).records(Clock())) == {}
    told.clear()
    (record,) = dict(Sweep([cell], tmp_path, "").records(Clock())).values()
    assert record.status == DONE, record.reason
    assert [done for what, done in told if what == "training under attack"] == [2, 3]


@pytest.mark.slow
@pytest.mark.usefixtures("started_anew")
def test_whoever_stops_looking_leaves_no_process_behind(tmp_path: Path) -> None:
    cells = cells_of("epochs=300", "isolate=true")
    before, running = children(), set[int]()

    class Impatient(Unwatched):
        def progress(self, number: int, what: str, done: int, total: int) -> None:
            running.update(children() - before)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dict(Sweep(cells, tmp_path, "", jobs=2).records(Impatient()))
    assert running
    assert not [pid for pid in running if alive(pid)]


class Bench:
    """In place of a pool: the cell that began first ends first, and how many threads were at work is noted."""

    began: list[int]
    threads: list[int]

    def __init__(self, module: str) -> None:
        Bench.began, Bench.threads = [], []
        self._at_work: dict[int, int] = {}

    @property
    def busy(self) -> bool:
        return bool(self._at_work)

    def give(self, number: int, task: dict[str, Any]) -> None:
        Bench.began.append(number)
        self._at_work[number] = task["experiment"]["threads"]
        Bench.threads.append(sum(self._at_work.values()))

    def news(self) -> News:
        number = next(iter(self._at_work))
        del self._at_work[number]
        return News(number, "done")

    def close(self) -> None:
        """Nothing was started."""


def began(cells: list[sweep.Scene], run: Path, jobs: int) -> tuple[list[int], list[int]]:
    """The cells in the order in which they began, and the threads at work when each one did."""
    with patch.object(sweep, "Pool", Bench):
        ended = list(Sweep(cells, run, "", jobs)._at_once(dict(enumerate(cells)), Unwatched(), []))
    assert sorted(ended) == list(range(len(cells)))
    return Bench.began, Bench.threads


def test_small_cells_share_the_cores_and_one_that_takes_all_runs_alone(tmp_path: Path) -> None:
    cells = [*cells_of("threads=2", "cut=1"), *cells_of("threads=1"), *cells_of("threads=4", "cut=2", "seed=1")]
    assert [scene.experiment.threads for scene in cells] == [2, 2, 1, 1, 1, 1, 4]
    assert began(cells, tmp_path, 0) == ([0, 1, 2, 3, 4, 5, 6], [2, 2, 1, 2, 2, 2, 4])
    # Whoever finds no room is not waited for.
    mixed = [cells[number] for number in (2, 0, 3, 4, 5)]
    assert began(mixed, tmp_path, 0) == ([0, 2, 3, 4, 1], [1, 2, 2, 2, 2])


def test_jobs_limit_the_cells_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    # Seeds share no victim: cells that do wait for the one that trains it.
    for threads, jobs, at_work in ((1, 0, [1, 2, 3, 4]), (1, 2, [1, 2, 2, 2]), (3, 0, [3, 6, 6, 6])):
        assert began(cells_of(f"threads={threads}", "cut=1", "seed=1,2,3,4"), tmp_path, jobs)[1] == at_work
    assert began(cells_of("threads=1", "seed=1"), tmp_path, 0)[1] == [1, 1]


def test_the_estimated_time_is_that_of_cells_on_the_same_cores(tmp_path: Path) -> None:
    cells, console = [*cells_of("threads=1", "seed=1"), *cells_of("threads=2", "cut=1")], Console(record=True)
    with patch("cutlayer.commands.audit.estimates", lambda cells, run: [40.0, 10.0, 30.0, 5.0]):
        for jobs in (0, 1):
            assert _estimated(Sweep(cells, tmp_path, "", jobs), console) == [40, 10, 30, 5]
    told = console.export_text().splitlines()
    assert told[1::2] == ["estimated time: 75 s, up to 2 cells at once", "estimated time: 85 s"]
    assert told[::2] == ["rehearsing on this machine, to estimate the time ..."] * 2


def test_another_device_is_shared_by_as_many_as_are_asked_for() -> None:
    moved = [
        dataclasses.replace(scene, experiment=scene.experiment.with_values(device="cuda", threads=2))
        for scene in cells_of("cut=1")
    ]
    assert [Sweep(moved, Path(), "", jobs).cores([0, 1]) for jobs in (0, 2)] == [[2, 2], [1, 1]]


def children() -> set[int]:
    """Processes that this one started, and those that they started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def alive(pid: int) -> bool:
    """Whether the process is still at work a moment later."""
    for _ in range(100):
        try:
            os.kill(pid, signal.SIG_DFL)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except (ProcessLookupError, FileNotFoundError):
            return False
        time.sleep(0.1)
    return True
