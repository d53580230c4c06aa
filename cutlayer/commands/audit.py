"""`cutlayer audit`: settle, estimate, run, tell."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console

from cutlayer.auditing.audit import inapplicable
from cutlayer.commands.display import Display, duration
from cutlayer.commands.output import reserved
from cutlayer.commands.say import say
from cutlayer.commands.title import of_attacks
from cutlayer.grid import grid
from cutlayer.record import FAILED, LEAK, NONE, NOT_APPLICABLE, PARTIAL, Record
from cutlayer.report import summary_tables, write_report
from cutlayer.scene.shortfall import shortfalls
from cutlayer.sweeping.estimate import estimates
from cutlayer.sweeping.folder import finished, run_folder
from cutlayer.sweeping.once import spelled_out
from cutlayer.sweeping.sweep import Sweep, scenes

_REHEARSING = "rehearsing on this machine, to estimate the time"


def audit_all(
    file: Path | None, overrides: Sequence[str], command: str, jobs: int, console: Console, as_json: bool
) -> list[Record]:
    """Run every cell that ``file`` and ``overrides`` ask for, with progress on ``console``; their records.

    At most ``jobs`` cells at once; 0: as many as this machine has cores for.
    """
    with reserved() as out:
        return _audit(file, overrides, command, jobs, console, out if as_json else None)


def _audit(
    file: Path | None, overrides: Sequence[str], command: str, jobs: int, console: Console, out: TextIO | None
) -> list[Record]:
    cells = spelled_out(scenes(grid(file, overrides)))
    sweep = Sweep(cells, run_folder(cells), command, jobs)
    _announce(sweep, console)
    found: dict[int, Record] = {}
    try:
        for number, record in watched(sweep, console):
            found[number] = record
            if out:
                print(record.model_dump_json(), file=out, flush=True)
    finally:
        # What there is by an interruption or a defect is worth a report too.
        report = write_report(sweep.run) if found else None
    records = [found[number] for number in sorted(found)]
    console.print(*summary_tables(records))
    titles = of_attacks(cells)
    titled = [(titles[number], found[number]) for number in sorted(found)]
    for title, record in titled:
        if record.status == FAILED:
            told = f"failed: {title}: {record.reason}"
            say(console, told, "red")
    for line in undecided(titled):
        say(console, line)
    say(console, f"report: {report}")
    return records


def undecided(titled: Sequence[tuple[str, Record]]) -> Iterator[str]:
    """Why cells have no verdict: a line for each reason, with its cells' titles unless all of an attack's share it."""
    whose: dict[tuple[str, str], list[str]] = {}
    for title, record in titled:
        if record.verdict == NOT_APPLICABLE:
            whose.setdefault((record.cell.attack, record.reason), []).append(title)
    cells = Counter(record.cell.attack for _, record in titled)
    for (attack, reason), titles in whose.items():
        yield f"no verdict: {attack if len(titles) == cells[attack] else '; '.join(titles)}: {reason}"


def gate(records: Sequence[Record], fail_on: str | None) -> str:
    """Why ``records`` let nobody pass; empty where they do.

    Failed cells never do; nor do leaks, or no verdict at all, with ``fail_on`` "leak", and ``partial`` ones as well.
    """
    verdicts = {record.verdict for record in records}
    if fail_on and not verdicts & {LEAK, PARTIAL, NONE}:
        return "no cell has a verdict, so nothing is known of what leaks"
    if fail_on and (LEAK in verdicts or (fail_on == "partial" and PARTIAL in verdicts)):
        return f"a cell has the verdict {LEAK if LEAK in verdicts else PARTIAL}"
    failed = sum(record.verdict == FAILED for record in records)
    # It is no proof that nothing leaks.
    return f"{failed} of {len(records)} cells failed" if failed else ""


def watched(sweep: Sweep, console: Console) -> Iterator[tuple[int, Record]]:
    """The sweep's records, with its progress and the time left on ``console``."""
    seconds = _estimated(sweep, console)
    with Display(console, of_attacks(sweep.cells), seconds) as display:
        for number, record in sweep.records(display):
            with display.aside():
                yield number, record


def _announce(sweep: Sweep, console: Console) -> None:
    cells = sweep.cells
    first = cells[0].experiment
    data = {f"{s.dataset.name} ({', '.join(filter(None, [s.dataset.source, s.dataset.pixels]))})" for s in cells}
    models = sorted({s.experiment.model for s in cells})
    cell = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    lines = [
        f"audit of {', '.join(sorted(data))} with {', '.join(models)}: {cell} into {sweep.run}",
        f"verdict: leak from an advantage of {first.leak:g}, partial leak from {first.partial:g} "
        "(0: a guess that never looks at the wire, 1: perfect)",
        f"offered to adversaries beyond the wire: {', '.join(first.offers) or 'nothing'}",
        *dict.fromkeys(line for scene in cells for line in shortfalls(scene)),
        *dict.fromkeys(f"does not apply: {s.experiment.attack}: {why}" for s in cells if (why := inapplicable(s))),
    ]
    for line in lines:
        say(console, line)


def _estimated(sweep: Sweep, console: Console) -> list[float]:
    """Seconds for each cell, and a line about all of them."""
    cells, room = sweep.cells, sweep.room
    # Where nothing can be drawn, too, it is told what a large attack keeps everybody waiting for.
    if not console.is_terminal:
        say(console, f"{_REHEARSING} ...")
    with console.status(_REHEARSING) if console.is_terminal else contextlib.nullcontext():
        seconds = estimates(cells, sweep.run)
    left = [number for number, scene in enumerate(cells) if finished(scene, sweep.run) is None]
    done, cores = len(cells) - len(left), sweep.cores(left)
    kept = f" ({done} of {len(cells)} cells are there already)" if done else ""
    jobs = room.most(cores)
    at_once = f", up to {jobs} cells at once" if jobs > 1 else ""
    whole = room.seconds(cores, [seconds[number] for number in left])
    say(console, f"estimated time: {duration(whole)}{at_once}{kept}")
    return seconds
