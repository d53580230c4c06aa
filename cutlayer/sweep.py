"""Runs cells: looks up what is finished, takes up what was interrupted, goes on where one fails."""

from __future__ import annotations

import re
import shlex
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cutlayer.audit import Outcome, fingerprint, outline, run_cell
from cutlayer.experiment import Experiment, grid
from cutlayer.isolation import Residence
from cutlayer.record import DONE, FAILED, NOT_APPLICABLE, Record, read_record, write_record
from cutlayer.scene import Scene, settle
from cutlayer.victim import Progress


def scenes(experiments: Sequence[Experiment]) -> list[Scene]:
    """The cells of all ``experiments``, each once; ``ExperimentError`` for the first that cannot be run."""
    found: dict[str, Scene] = {}
    for experiment in experiments:
        for scene in settle(experiment):
            found.setdefault(fingerprint(scene), scene)
    return list(found.values())


def audit(
    *overrides: str, file: Path | None = None, progress: Progress = lambda what, done, total: None
) -> list[Record]:
    """The records of all cells that `cutlayer audit` would run for the same ``file`` and ``key=value`` texts.

    They are left in the run folder, where finished cells are looked up. A value or a combination that cannot be run is
    an ``ExperimentError``, before anything has run; a cell that fails leaves a record that says why.
    """
    cells = scenes(grid(file, overrides))
    command = shlex.join(["cutlayer", "audit", *([str(file)] if file else []), *overrides])
    return list(run_cells(cells, run_folder(cells), command, progress, lambda number, scene: None))


def run_folder(cells: Sequence[Scene]) -> Path:
    """Where the run's records go: the experiment's name, or one made of what the cells have in common."""
    first = cells[0].experiment
    return first.out / (first.name or _named(cells))


def cell_folder(scene: Scene, run: Path) -> Path:
    """Where one cell's record goes."""
    experiment = scene.experiment
    model = Path(experiment.model.rpartition(":")[0]).stem or experiment.model
    parts = [experiment.protocol, experiment.dataset, model, f"cut{experiment.cut}", experiment.attack]
    if experiment.defenses:
        parts.append(experiment.defense)
    parts += [f"seed{experiment.seed}", fingerprint(scene)[:8]]
    return run / "cells" / re.sub(r"[^\w.+-]+", "_", "-".join(parts))


def finished(scene: Scene, run: Path) -> Record | None:
    """The record of the cell, where it has been run before and did not fail."""
    try:
        record = read_record(cell_folder(scene, run))
    except ValueError:
        return None
    done = record is not None and record.status in {DONE, NOT_APPLICABLE} and record.fingerprint == fingerprint(scene)
    return record if done else None


def run_cells(
    cells: Sequence[Scene], run: Path, command: str, progress: Progress, begin: Callable[[int, Scene], None]
) -> Iterator[Record]:
    """Each cell's record, as soon as it is written; ``begin`` is told which cell comes next.

    The process of the next isolated cell starts while the present one runs.
    """
    spare: Residence | None = None
    try:
        for number, scene in enumerate(cells):
            begin(number, scene)
            record = finished(scene, run)
            if record is None:
                isolated = scene.experiment.isolate
                residence = (spare or Residence()) if isolated else None
                rest = cells[number + 1 :]
                spare = Residence() if any(s.experiment.isolate and not finished(s, run) for s in rest) else None
                outcome = _run(scene, run, progress, residence)
                record = outcome.record.model_copy(update={"command": command})
                write_record(cell_folder(scene, run), record, outcome.images)
            yield record
    finally:
        if spare:
            spare.close()


def _run(scene: Scene, run: Path, progress: Progress, residence: Residence | None) -> Outcome:
    try:
        return run_cell(scene, run, progress, residence)
    except Exception as error:  # noqa: BLE001 - a cell that fails is a result of the run, not its end
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        record = outline(scene).model_copy(update={"status": FAILED, "verdict": FAILED, "reason": reason})
        cell_folder(scene, run).mkdir(parents=True, exist_ok=True)
        (cell_folder(scene, run) / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        return Outcome(record, {})
    finally:
        if residence:
            residence.close()


def _named(cells: Sequence[Scene]) -> str:
    def common(key: str) -> list[str]:
        return sorted({str(getattr(scene.experiment, key)) for scene in cells})

    words = [*common("dataset"), *(Path(model.rpartition(":")[0]).stem or model for model in common("model"))]
    words += common("attack") if len(common("attack")) == 1 else []
    return re.sub(r"[^\w.+-]+", "_", "-".join(words))
