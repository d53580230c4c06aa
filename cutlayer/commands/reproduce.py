"""`cutlayer reproduce`: a paper's tables run anew, resumable, with a page that shows ours beside the printed."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cutlayer import papers
from cutlayer.commands.audit import watched
from cutlayer.commands.output import reserved
from cutlayer.commands.say import say
from cutlayer.data.auxiliary import OWN_SPLITS
from cutlayer.dataset import DatasetError
from cutlayer.experiment import AUTO, Experiment, ExperimentError
from cutlayer.layout import RunFolder
from cutlayer.mistake import nearest
from cutlayer.record import FAILED, NOT_APPLICABLE
from cutlayer.reproduction.cell import Scale
from cutlayer.reproduction.found import find
from cutlayer.reproduction.page import write_html
from cutlayer.reproduction.paper import Paper
from cutlayer.reproduction.plan import check_cells, chosen, experiments
from cutlayer.scene.loading import load_dataset
from cutlayer.scene.scene import Scene
from cutlayer.sweeping.folder import run_folder
from cutlayer.sweeping.once import spelled_out
from cutlayer.sweeping.sweep import Sweep, scenes


@dataclass(frozen=True)
class Request:
    """What is asked for on the command line."""

    paper: str
    exhibits: Sequence[str]
    scale: Scale
    seeds: int
    """0: as many as the scale takes."""
    overrides: Sequence[str]
    minutes: float
    """After so many nothing goes on; 0: no limit."""
    jobs: int
    command: str


def paper(name: str) -> Paper:
    """The paper with this name; an unknown one is an ``ExperimentError``."""
    known = sorted(found.name for found in pkgutil.iter_modules(papers.__path__))
    if name not in known:
        raise ExperimentError(f"unknown paper {name!r}{nearest(name, known)}; one of {', '.join(known)}")
    found: Paper = importlib.import_module(f"cutlayer.papers.{name}").PAPER
    return found


def reproduce(request: Request, console: Console) -> tuple[Path, bool]:
    """Run what is missing and write the page; where it is, and whether no cell failed or was refused."""
    source = paper(request.paper)
    exhibits = chosen(source, request.exhibits)
    check_cells(source, exhibits, request.scale)
    asked = experiments(request.paper, exhibits, request.scale, request.seeds, request.overrides)
    seeds = ", ".join(str(seed) for seed in sorted({experiment.seed for experiment in asked}))
    with reserved():
        cells, absent, refused = _settled(asked, console)
        run = run_folder(cells)
        page = RunFolder(run).reproduction
        told = f"{request.paper}, {', '.join(e.name for e in exhibits)}, scale {request.scale}, seeds {seeds}"
        say(console, f"{told}: {len(cells)} cells into {run}")
        done, problems = 0, [*absent, *refused]
        try:
            until = time.monotonic() + 60 * request.minutes if request.minutes else None
            sweep = Sweep(cells, run, request.command, request.jobs, until)
            for number, record in watched(sweep, console):
                done += 1
                if record.status in {FAILED, NOT_APPLICABLE}:
                    problems.append(f"{_named(cells[number])}: {record.status}: {record.reason}")
        finally:
            lead = f"Run: {told}; {done} of {len(cells)} cells have a record. " + "; ".join(dict.fromkeys(problems))
            found = find([run])
            write_html(page, source, found, lead)
            for line in found.unread:
                say(console, line)
    for problem in dict.fromkeys(problems):
        say(console, problem, "red")
    if done < len(cells):
        say(console, f"{len(cells) - done} cells are left: the same command goes on")
    failed = len(problems) > len(absent)
    return page, not failed


def _settled(asked: Sequence[Experiment], console: Console) -> tuple[list[Scene], list[str], list[str]]:
    """The cells that can be run here; a line about each dataset that is not here, and each cell that is refused.

    A dataset may be the victim's, the adversary's own, or one that a backdoored network is taken over to.
    """
    cells: list[Scene] = []
    absent: dict[str, DatasetError] = {}
    refused: list[ExperimentError] = []
    with console.status("settling the cells") if console.is_terminal else contextlib.nullcontext():
        for experiment in asked:
            given = (experiment.dataset, experiment.aux, experiment.transfer)
            names = [name for name in given if name not in {*OWN_SPLITS, AUTO, ""}]
            if absent.keys() & names:
                continue
            try:
                for name in names:
                    absent |= _absence(experiment, name)
                if not absent.keys() & names:
                    cells += scenes([experiment])
            except ExperimentError as error:
                refused.append(error)
    if not cells:
        raise refused[0] if refused else ExperimentError(str(next(iter(absent.values()))))
    return (
        spelled_out(cells),
        [f"{name}: not run: {error}" for name, error in absent.items()],
        [f"refused: {e}" for e in refused],
    )


def _absence(experiment: Experiment, name: str) -> dict[str, DatasetError]:
    """Why the dataset cannot be had here, by its name; empty where it can."""
    try:
        load_dataset(experiment, "" if name == experiment.dataset else name)
    except DatasetError as error:
        return {name: error}
    return {}


def _named(scene: Scene) -> str:
    experiment = scene.experiment
    return f"{experiment.attack}, {experiment.dataset}, cut {experiment.cut}, seed {experiment.seed}"
