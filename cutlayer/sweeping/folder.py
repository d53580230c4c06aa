"""Where a run's records go, and where finished cells are looked up."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from cutlayer.auditing import victim
from cutlayer.auditing.audit import leaves, shared
from cutlayer.auditing.outline import fingerprint
from cutlayer.experiment import ExperimentError
from cutlayer.layout import RunFolder, file_name, model_name
from cutlayer.record import DONE, NOT_APPLICABLE, RECORD, Record, read_record, write_record
from cutlayer.scene.scene import Scene


def run_folder(cells: Sequence[Scene]) -> Path:
    """Where the run's records go: the experiment's name, or one made of what the cells have in common.

    ``ExperimentError`` where a file stands in the way, there or further down, or nothing can be written there: better
    now than after the first training.
    """
    first = cells[0].experiment
    run = first.out / (first.name or _named(cells))
    there = next(place for place in (run, *run.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ExperimentError(f"the run's folder would be {run}, and {there} is a file; keys name and out")
    try:
        # What the system grants is known by trying: root is refused elsewhere than others.
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise ExperimentError(
            f"the run's folder would be {run}, and {there} cannot be written to ({reason}); keys name and out"
        ) from None
    for scene in cells:
        _check_free(scene, run)
    return run


def cell_folder(scene: Scene, run: Path) -> Path:
    """Where one cell's record goes."""
    experiment = scene.experiment
    model = model_name(experiment.model)
    parts = [experiment.protocol, experiment.dataset, model, f"cut{experiment.cut}", experiment.attack]
    if experiment.defenses:
        parts.append(experiment.defense)
    parts += [f"seed{experiment.seed}", fingerprint(scene)[:8]]
    return RunFolder(run).cell(file_name(*parts))


def finished(scene: Scene, run: Path) -> Record | None:
    """The record of the cell, where it has been run before and did not fail."""
    try:
        record = read_record(cell_folder(scene, run))
    except ValueError:
        return None
    done = record is not None and record.status in {DONE, NOT_APPLICABLE} and record.fingerprint == fingerprint(scene)
    if record is None or not done:
        return None
    link = scene.experiment.link
    if link and link != record.link:
        # Another link changes nothing but what is worked out from the same traffic.
        record = record.on(link)
        write_record(cell_folder(scene, run), record)
    return record


def _check_free(scene: Scene, run: Path) -> None:
    """``ExperimentError`` where what a cell leaves behind has no room, for a file where a folder goes or a folder."""
    cell = cell_folder(scene, run)
    folders, files = [cell], [cell / RECORD]
    for key in (*shared(scene), *leaves(scene), victim.key(scene)):
        trained = RunFolder(run).victim(key)
        folders.append(trained.path)
        files += [trained.weights, trained.history]
    for folder in folders:
        for place in (folder.parent, folder):
            if place.exists() and not place.is_dir():
                raise ExperimentError(f"{place} is a file, and a folder goes there: remove it")
    if taken := next(filter(Path.is_dir, files), None):
        raise ExperimentError(f"{taken} is a folder, and a file goes there: remove it")


def _named(cells: Sequence[Scene]) -> str:
    def common(key: str) -> list[str]:
        return sorted({str(getattr(scene.experiment, key)) for scene in cells})

    words = [*common("dataset"), *map(model_name, common("model"))]
    words += common("attack") if len(common("attack")) == 1 else []
    return file_name(*words)
