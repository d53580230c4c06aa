"""`cutlayer audit`: settle, estimate, run, tell."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console

from cutlayer import victim
from cutlayer.display import Display, duration
from cutlayer.estimate import attack_seconds, training_seconds
from cutlayer.experiment import grid
from cutlayer.record import FAILED, Record
from cutlayer.report import summary_table, write_report
from cutlayer.scene import Scene
from cutlayer.sweep import finished, run_cells, run_folder, scenes


def audit_all(
    file: Path | None, overrides: Sequence[str], command: str, console: Console, as_json: bool
) -> list[Record]:
    """Run every cell that ``file`` and ``overrides`` ask for, with progress on ``console``; their records."""
    out = sys.stdout
    # What a user's own model or plug-in prints must not mix with the records.
    with contextlib.redirect_stdout(sys.stderr):
        return _audit(file, overrides, command, console, out if as_json else None)


def _audit(
    file: Path | None, overrides: Sequence[str], command: str, console: Console, out: TextIO | None
) -> list[Record]:
    cells = scenes(grid(file, overrides))
    run = run_folder(cells)
    _announce(cells, run, console)
    records: list[Record] = []
    try:
        with Display(console, len(cells), _estimates(cells, run, console)) as display:
            for record in run_cells(cells, run, command, display.progress, lambda n, s: display.begin(n, _title(s))):
                records.append(record)
                if out:
                    print(record.model_dump_json(), file=out, flush=True)
    finally:
        # What there is by an interruption or a defect is worth a report too.
        report = write_report(run) if records else None
    console.print(summary_table(records))
    for record in records:
        if record.status == FAILED:
            console.print(f"failed: cut {record.cell.cut}, {record.cell.attack}: {record.reason}", style="red")
    console.print(f"report: {report}", highlight=False, soft_wrap=True)
    return records


def _announce(cells: Sequence[Scene], run: Path, console: Console) -> None:
    first = cells[0].experiment
    data = {f"{s.dataset.name} ({', '.join(filter(None, [s.dataset.source, s.dataset.pixels]))})" for s in cells}
    models = sorted({s.experiment.model for s in cells})
    cell = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    lines = [
        f"audit of {', '.join(sorted(data))} with {', '.join(models)}: {cell} into {run}",
        f"verdict: leak from an advantage of {first.leak:g}, partial leak from {first.partial:g} "
        "(0: a guess that never looks at the wire, 1: perfect)",
        f"offered to adversaries beyond the wire: {', '.join(first.offers) or 'nothing'}",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _estimates(cells: Sequence[Scene], run: Path, console: Console) -> list[float]:
    """Seconds for each cell; cells that share a victim train it once."""
    attacks: dict[object, float] = {}
    trained: set[str] = set()
    seconds = []
    rehearsing = console.status("rehearsing on this machine") if console.is_terminal else contextlib.nullcontext()
    with rehearsing:
        for scene in cells:
            if finished(scene, run):
                seconds.append(0.0)
                continue
            experiment = scene.experiment
            alike = (experiment.dataset, experiment.model, experiment.protocol, scene.cuts, experiment.attack)
            alike_in_full = (*alike, str(scene.options), experiment.targets, experiment.target_batch)
            try:
                if alike_in_full not in attacks:
                    attacks[alike_in_full] = attack_seconds(scene)
                spent, whom = attacks[alike_in_full], victim.key(scene)
                if whom not in trained:
                    trained.add(whom)
                    spent += training_seconds(scene, run)
            except Exception:  # noqa: BLE001 - what fails here fails again in its cell, whose record says why
                spent = 0.0
            seconds.append(spent)
    done = seconds.count(0.0)
    kept = f" ({done} of {len(cells)} cells are there already)" if done else ""
    console.print(f"estimated time: {duration(sum(seconds))}{kept}", highlight=False)
    return seconds


def _title(scene: Scene) -> str:
    experiment = scene.experiment
    defenses = f" against {experiment.defense}" if experiment.defenses else ""
    return f"{experiment.attack} in {experiment.protocol}, cut {experiment.cut}, seed {experiment.seed}{defenses}"
