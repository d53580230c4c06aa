"""`cutlayer record` and `replay`: keep what a server saw, and attack it later."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from cutlayer import registry
from cutlayer.commands.course import course, tell_shortfalls
from cutlayer.commands.display import Display
from cutlayer.commands.output import reserved
from cutlayer.commands.say import say
from cutlayer.commands.title import of_attacks, of_trainings
from cutlayer.commands.train import deployments
from cutlayer.deploying.keeping import SESSION
from cutlayer.exchange.tape import RecordingError, bytes_of
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.grid import axes, override
from cutlayer.layout import RecordingFolder
from cutlayer.option import meant, nested
from cutlayer.record import NOT_APPLICABLE, Record, write_record
from cutlayer.recordings.archive import Recording, open_recording, own_code, truth_kept
from cutlayer.recordings.recorder import Shape, kept, record, recording_folder, shapes_of, steps_to_train
from cutlayer.recordings.replay import KEYS, refusal, replay_cell
from cutlayer.recordings.unjudged import guess
from cutlayer.report import summary_tables, write_report
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.sweeping.estimate import attack_pace, seconds_of
from cutlayer.sweeping.folder import cell_folder, run_folder
from cutlayer.threat import Progress
from cutlayer.wire import WireError


def record_all(
    file: Path | None, overrides: Sequence[str], limit: str, training: bool, console: Console
) -> Iterator[Recording]:
    """Record every deployment that is asked for, as soon as each is; one recorded before is kept as it is.

    ``DivergedError`` behind the last one where trainings have left the finite numbers.
    """
    try:
        room = bytes_of(limit)
    except RecordingError as error:
        raise ExperimentError(f"--limit {limit!r}: {error}") from None
    cells = deployments(file, overrides, _recorded)
    _check_recorded(cells)
    tell_shortfalls(cells, console)
    run = run_folder(cells)
    try:
        there = [kept(scene, run, training) for scene in cells]
    except RecordingError as error:
        raise ExperimentError(str(error)) from None
    left = [0 if old else steps_to_train(cell, run) for cell, old in zip(cells, there, strict=True)]
    seconds = [seconds_of(cell, steps, {}) for cell, steps in zip(cells, left, strict=True)]

    def recorded(number: int, progress: Progress) -> Recording:
        try:
            found = there[number] or record(cells[number], run, room, training, progress)
        except RecordingError as error:
            # Another process has finished it meanwhile, without what is asked for here.
            raise ExperimentError(str(error)) from None
        for line in _told(found, there[number] is not None):
            say(console, line)
        return found

    yield from course(cells, seconds, console, recorded)


def _check_recorded(cells: Sequence[Scene]) -> None:
    """``ExperimentError`` for what no recording, or no single one, can hold."""
    if tampering := next((scene.experiment.under for scene in cells if scene.experiment.under), ""):
        raise ExperimentError(
            f"under = {tampering!r}: only an honest server's deployment is recorded, nobody tampers with it; "
            "leave under out"
        )
    if twice := [scene for scene in cells if sum(_recorded(scene)[0] == _recorded(one)[0] for one in cells) > 1]:
        raise ExperimentError(
            f"{'; '.join(of_trainings(twice))}: one recording holds targets of one kind; record them one by one, "
            "each with a name= of its own"
        )


def _recorded(scene: Scene) -> tuple[RecordingFolder, str, frozenset[Shape]]:
    """What makes another recording: all that changes a message, and by ``under`` what is not recorded."""
    return recording_folder(scene, Path()), scene.experiment.under, frozenset(shapes_of(scene))


def _told(recording: Recording, there: bool) -> Iterator[str]:
    if there:
        another = "choose another folder with name= or out=, or remove it, to record anew"
        yield f"    {recording.folder} is there already and is kept: {another}"
    for name, segment in recording.segments.items():
        cut = "" if segment.complete else "; NOT complete: the limit was reached"
        yield f"    {name}: {segment.exchanges} exchanges, {segment.bytes / 1e6:.1f} MB{cut}"
    for name, why in recording.left_out.items():
        yield f"    {name}: left out: {why}"


def replay_all(folder: Path, overrides: Sequence[str], command: str, console: Console) -> tuple[list[Record], Path]:
    """Show a recording to every attack that is asked for; the records, and the report on them."""
    given = dict(override(text) for text in overrides)
    try:
        recording = open_recording(folder)
        if SESSION in recording.segments:
            return [], _unjudged(recording, given, console)
        experiment = truth_kept(recording)[0].carried_here
        experiment = experiment.with_values(**own_code(experiment.model, str(experiment.plugins or ""), given))
    except RecordingError as error:
        raise ExperimentError(str(error)) from None
    with reserved():
        scenes = [scene for one in _experiments(experiment, given) for scene in settle(one)]
        run = recording.layout.replay.path
        seconds = [0.0 if refusal(scene.attack) else attack_pace(scene).seconds(scene) for scene in scenes]
        records = []
        with Display(console, of_attacks(scenes), seconds) as display:
            for number, scene in enumerate(scenes):
                display.begin(number)
                try:
                    outcome = replay_cell(scene, recording, partial(display.progress, number))
                except (RecordingError, WireError) as error:
                    raise ExperimentError(str(error)) from None
                done = outcome.record.changed(command=command)
                write_record(cell_folder(scene, run), done, outcome.images)
                records.append(done)
                display.end(number)
        report = write_report(run)
    console.print(*summary_tables(records))
    for one in records:
        if one.status == NOT_APPLICABLE:
            say(console, f"{one.cell.attack}: {one.reason}")
    return records, report


def _unjudged(recording: Recording, given: dict[str, Any], console: Console) -> Path:
    """Guesses about a real deployment; where they lie."""
    code = own_code(recording.brief.model, recording.brief.plugins, given)
    recording = replace(recording, brief=replace(recording.brief, **code))
    attack, targets = str(given.pop("attack", "unsplit")), given.pop("targets", None)
    options = {key.removeprefix(f"{attack}."): value for key, value in given.items() if key.startswith(f"{attack}.")}
    left = [key for key in given if not key.startswith(f"{attack}.")]
    if left or not (targets is None or (isinstance(targets, int) and targets > 0)):
        wrong = left[0] if left else f"targets = {targets!r}"
        raise ExperimentError(
            f"{wrong}: without a truth a replay takes attack, targets (a number), plugins, {attack}.OPTION"
        )
    with reserved(), Display(console, [f"{attack} on {recording.folder}"], [0.0]) as display:
        display.begin(0)
        found = guess(recording, attack, options, targets, partial(display.progress, 0))
        display.end(0)
    for name, segment in recording.segments.items():
        if not segment.complete:
            left_out = f"the recording stopped at its limit, after {segment.exchanges} exchanges"
            say(console, f"{name}: {left_out}; the guess is about the last of these")
    for path in found.files:
        say(console, f"{path}: a guess that nobody here can judge")
    return recording.layout.guesses


def _experiments(base: Experiment, given: Mapping[str, Any]) -> Iterator[Experiment]:
    """What the ``given`` values make of the recorded experiment; several values of a key make several."""
    attacks = registry.names("attacks", base.plugins)
    for key in given:
        plugin = key.partition(".")[0]
        if key not in KEYS and not ("." in key and plugin in attacks):
            known = ", ".join(KEYS)
            raise ExperimentError(f"{key} was settled when this was recorded; a replay takes {known}, attacks' options")
    choices = axes(given, base.plugins)
    run = set(choices.get("attack", [base.attack]))
    for choice in itertools.product(*choices.values()):
        chosen = dict(zip(choices, choice, strict=True))
        own, values = {chosen.get("attack", base.attack), base.under}, nested(chosen)
        asked = meant(values["options"], own, run)
        # What was said of other attacks when it was recorded is passed over, also where no cell here runs them.
        kept = meant(base.options, own, {*run, *attacks})
        options = {name: {**kept.get(name, {}), **asked.get(name, {})} for name in (*kept, *asked)}
        yield base.with_values(**{**values, "options": options})
