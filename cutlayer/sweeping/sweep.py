"""Runs cells, one after another or several at once: looks up what is finished and goes on where one fails."""

from __future__ import annotations

import os
import shlex
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from cutlayer.auditing import victim
from cutlayer.auditing.audit import inapplicable, leaves, run_cell, shared
from cutlayer.auditing.company import attended, company, course_key, shares
from cutlayer.auditing.outline import begun, fingerprint, outline
from cutlayer.auditing.result import Result
from cutlayer.disk import write_whole
from cutlayer.experiment import Experiment
from cutlayer.grid import grid
from cutlayer.isolated.process import Ahead, OtherProcess
from cutlayer.layout import RunFolder
from cutlayer.record import FAILED, Record, read_record, write_record
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.sweeping.folder import cell_folder, finished, run_folder
from cutlayer.sweeping.once import Kind, Pair, Proof, checked, kind, pairs, spelled_out
from cutlayer.sweeping.pool import Pool
from cutlayer.sweeping.room import Room
from cutlayer.sweeping.watcher import Unwatched, Watcher
from cutlayer.threat import Progress

_ERROR = "error.txt"  # beside the record of a cell that has failed


class _TimeIsUp(BaseException):
    """Ends a cell in the middle of anything: unlike ``SystemExit``, no attack brings it about."""


@dataclass(frozen=True)
class Sweep:
    """Cells that share a run folder."""

    cells: Sequence[Scene]
    run: Path
    command: str
    """What the user typed; it goes into the records."""
    jobs: int = 1
    """Cells at once, at most, each in a process of its own; 1: one after another in this process; 0: no limit but the
    machine's cores."""
    until: float | None = None
    """The time (``time.monotonic()``) after which nothing goes on; a training under way is taken up the next time."""

    @property
    def room(self) -> Room:
        """For cells on this machine."""
        cores = os.cpu_count() or 1
        return Room(cores, self.jobs or cores)

    def cores(self, numbers: Iterable[int]) -> list[int]:
        """How many cores each of the cells with these ``numbers`` is given: one for every thread, but no more than all.

        Whether another device has room for two cells only the user can say: they go one after another by default.
        """
        most = self.room.cores
        found = (self.cells[number].experiment for number in numbers)
        return [min(e.threads, most) if e.device == "cpu" else 1 if self.jobs else most for e in found]

    def records(self, watcher: Watcher) -> Iterator[tuple[int, Record]]:
        """Each cell's place and record, as soon as it is there: what is finished first, then what speaks for others."""
        names = [cell_folder(scene, self.run).name for scene in self.cells]
        write_whole(RunFolder(self.run).request, "".join(f"{name}\n" for name in names))
        shown = pairs(self.cells)
        speaking = {number for pair in chain(*shown.values()) for number in (pair.isolated, pair.beside)}
        known: dict[int, Record] = {}
        for number, record in self._there(watcher):
            known[number] = record
            if number not in speaking:
                yield number, record
        both = {number: record for number, record in known.items() if number in speaking}
        left = set(range(len(self.cells))) - known.keys()
        both |= dict(self._ran(left & speaking, watcher, left - speaking))
        for number, record in both.items():
            yield number, self._checked(number, record, shown, both)
        for number, record in self._ran(left - speaking, watcher):
            yield number, self._checked(number, record, shown, both)
        for number in known.keys() - speaking:
            self._checked(number, known[number], shown, both)

    def _there(self, watcher: Watcher) -> Iterator[tuple[int, Record]]:
        for number, scene in enumerate(self.cells):
            if record := finished(scene, self.run):
                # Another command may have kept what a cell was at beside the one that ended it.
                begun(scene, self.run).discard()
                watcher.end(number)
                yield number, record

    def _ran(self, numbers: Iterable[int], watcher: Watcher, later: Iterable[int] = ()) -> Iterator[tuple[int, Record]]:
        """``later``: the cells that are to be run after these."""
        waiting, after = ({number: self.cells[number] for number in sorted(given)} for given in (numbers, later))
        # Known before anything is loaded: no process is started for it.
        for number in [number for number, scene in waiting.items() if inapplicable(scene)]:
            scene = waiting.pop(number)
            attempt(scene, self.run, self.command, partial(watcher.progress, number), None)
            watcher.end(number)
            yield number, self._kept(scene)
        several = self.room.most(self.cores(waiting)) > 1
        ran = (self._at_once if several else self._in_turn)(waiting, watcher, list(after.values()))
        for number in ran:
            watcher.end(number)
            yield number, self._kept(self.cells[number])

    def _checked(
        self, number: int, record: Record, shown: Mapping[Kind, Sequence[Pair]], both: Mapping[int, Record]
    ) -> Record:
        proofs = [
            Proof(both[pair.isolated], both[pair.beside], cell_folder(self.cells[pair.isolated], self.run).name)
            for pair in shown.get(kind(self.cells[number]), ())
            if {pair.isolated, pair.beside} <= both.keys()
        ]
        said = checked(record, proofs) if proofs else record
        if said != record:
            write_record(cell_folder(self.cells[number], self.run), said)
        return said

    def _kept(self, scene: Scene) -> Record:
        """The record that a cell has left; where it cannot be read the cell has failed, and the rest goes on."""
        try:
            record = read_record(cell_folder(scene, self.run))
            if record is None:
                raise ValueError("there is none of this name; have its data changed since it was settled?")
        except ValueError as error:
            return outline(scene).ended(FAILED, f"its record cannot be read: {error}")
        return record

    def _over(self) -> bool:
        return self.until is not None and time.monotonic() >= self.until

    def _progress(self, watcher: Watcher, number: int, what: str, done: int, total: int) -> None:
        watcher.progress(number, what, done, total)
        if self._over():
            raise _TimeIsUp

    def _in_turn(self, waiting: Mapping[int, Scene], watcher: Watcher, later: Sequence[Scene]) -> Iterator[int]:
        ahead = Ahead()
        numbers = list(waiting)
        try:
            for place, number in enumerate(numbers):
                if self._over():
                    return
                scene, rest = waiting[number], [waiting[other] for other in numbers[place + 1 :]]
                watcher.begin(number)
                process = ahead.take(scene.in_a_pipe, any(other.in_a_pipe for other in rest))
                others = company(scene, [*rest, *later], self.run)
                attempt(scene, self.run, self.command, partial(self._progress, watcher, number), process, others)
                yield number
        except _TimeIsUp:
            return
        finally:
            ahead.close()

    def _at_once(self, waiting: Mapping[int, Scene], watcher: Watcher, later: Sequence[Scene]) -> Iterator[int]:
        pool, left = Pool("cutlayer.sweeping.worker"), dict(waiting)
        wanted = {number: set(shared(scene)) | _course(scene) for number, scene in waiting.items()}
        training: dict[int, set[str]] = {}
        try:
            while (left or pool.busy) and not self._over():
                number = self._next(left, wanted, training)
                if number is not None:
                    scene = left.pop(number)
                    training[number] = {*wanted[number], *leaves(scene)}
                    watcher.begin(number)
                    another = any(other.in_a_pipe for other in left.values())
                    others = [_told(other) for other in company(scene, [*left.values(), *later], self.run)]
                    told = {"run": str(self.run), "command": self.command, "another": another, "others": others}
                    pool.give(number, {**_told(scene), **told})
                    continue
                if not pool.busy:
                    return
                news = pool.news()
                if news.kind == "progress":
                    watcher.progress(news.number, *news.content)
                    continue
                training.pop(news.number)
                if news.kind == "lost":
                    self._lost(waiting[news.number], *news.content)
                if news.kind == "refused":
                    _record_failure(waiting[news.number], self.run, self.command, str(news.content[0]), "")
                yield news.number
        finally:
            pool.close()

    def _next(
        self, left: Iterable[int], wanted: Mapping[int, set[str]], training: Mapping[int, set[str]]
    ) -> int | None:
        """The first cell that has room beside those at work; one whose victim they train right now waits for it."""
        busy = {key for n, keys in training.items() for key in keys if not self._made(key, self.cells[n])}
        room, running = self.room, self.cores(training)
        fit = zip(left, self.cores(left), strict=True)
        return next((n for n, cores in fit if room.beside(running, cores) and not wanted[n] & busy), None)

    def _made(self, key: str, scene: Scene) -> bool:
        """Whether the training with the ``key``, which ``scene`` needs, is there by now."""
        return attended(scene, self.run) if key in _course(scene) else victim.trained(key, self.run)

    def _lost(self, scene: Scene, code: int) -> None:
        _record_failure(scene, self.run, self.command, f"the worker's process ended with exit code {code}", "")


def scenes(experiments: Sequence[Experiment]) -> list[Scene]:
    """The cells of all ``experiments``, each once; ``ExperimentError`` for the first that cannot be run."""
    found: dict[str, Scene] = {}
    for experiment in experiments:
        for scene in settle(experiment):
            found.setdefault(fingerprint(scene), scene)
    return list(found.values())


def audit(*overrides: str, file: Path | None = None, jobs: int = 1, watcher: Watcher | None = None) -> list[Record]:
    """The records of all cells that `cutlayer audit` would run for the same ``file`` and ``key=value`` texts.

    They are left in the run folder, where finished cells are looked up. A value or a combination that cannot be run is
    an ``ExperimentError``, before anything has run; a cell that fails leaves a record that says why.
    """
    cells = spelled_out(scenes(grid(file, overrides)))
    command = shlex.join(["cutlayer", "audit", *([str(file)] if file else []), *overrides])
    found = dict(Sweep(cells, run_folder(cells), command, jobs).records(watcher or Unwatched()))
    return [found[number] for number in sorted(found)]


def attempt(
    scene: Scene,
    run: Path,
    command: str,
    progress: Progress,
    process: OtherProcess | None,
    others: Sequence[Scene] = (),
) -> None:
    """Run one cell and leave its record behind, also where it fails; ``others``: its company."""
    try:
        scene.check_files()
        # What cannot be kept has failed, too.
        _keep(scene, run, command, run_cell(scene, run, progress, process, others))
        begun(scene, run).discard()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a cell that fails is a result of the run, not its end
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        _record_failure(scene, run, command, reason, traceback.format_exc())
    else:
        (cell_folder(scene, run) / _ERROR).unlink(missing_ok=True)
    finally:
        if process:
            process.close()


def _course(scene: Scene) -> set[str]:
    """The key of the training that the cell's adversary attends, where others can attend it."""
    return {course_key(scene)} if shares(scene) else set()


def _told(scene: Scene) -> dict[str, Any]:
    files = [(str(file), *state) for file, state in scene.files.items()]
    return {"experiment": scene.experiment.model_dump(mode="json"), "files": files}


def _record_failure(scene: Scene, run: Path, command: str, reason: str, details: str) -> None:
    if finished(scene, run):
        # By another command meanwhile, or by a worker that was lost behind its last cell.
        return
    folder = cell_folder(scene, run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _ERROR).write_text(details or reason, encoding="utf-8")
    _keep(scene, run, command, Result(outline(scene).ended(FAILED, reason), {}))


def _keep(scene: Scene, run: Path, command: str, result: Result) -> None:
    write_record(cell_folder(scene, run), result.record.changed(command=command), result.images)
