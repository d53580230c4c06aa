"""Recordings as they lie in a folder: what a party kept of its wire, and beside it what only the judge may read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from cutlayer.checksum import DamageError, read_checked
from cutlayer.exchange.tape import FORMAT, RecordingError, Tape
from cutlayer.experiment import Experiment, make
from cutlayer.home import written_out
from cutlayer.layout import RecordingFolder
from cutlayer.message import Kind
from cutlayer.record import Epoch
from cutlayer.seat.seating import Brief
from cutlayer.threat import Row, Seat

TRAINING, ATTENDED = "training", "attended-"
"""Segments: the training, and before the names of targets that are sent at its end to who was there all along."""


@dataclass(frozen=True)
class Segment:
    """One file of a recording."""

    exchanges: int
    bytes: int
    complete: bool
    """Whether all of it was recorded: nothing was left out at the limit."""


@dataclass(frozen=True)
class Recording:
    """A folder of recorded messages."""

    folder: Path
    brief: Brief
    """What the server was told."""
    segments: Mapping[str, Segment]
    left_out: Mapping[str, str]
    """Segments that this deployment cannot have, and why."""
    seat: Seat = Seat.SERVER

    @property
    def layout(self) -> RecordingFolder:
        """Where its files lie, and what was made with it or of it."""
        return RecordingFolder(self.folder)

    @property
    def truth(self) -> Path:
        """Where the judge's side of it lies, if it is at hand."""
        return self.layout.truth.path

    def file(self, segment: str) -> Path:
        """Of the messages of a segment."""
        return self.layout.wire(segment)

    def own_state(self, segment: str, when: str) -> dict[str, Tensor]:
        """The server party's own state ``before`` or ``after`` a segment; ``RecordingError`` where that is damaged."""
        return _state(self.layout.own_state(segment, when))


def open_recording(folder: Path) -> Recording:
    """The recording in ``folder``; ``RecordingError`` where there is none, or one that was never finished."""
    place = RecordingFolder(folder)
    path = place.about
    if not path.is_file():
        there = ": it was broken off, `cutlayer record` goes on with it" if place.wires else ""
        raise RecordingError(f"{folder} holds no recording{there}")
    try:
        kept = json.loads(path.read_bytes())
        if kept["format"] != FORMAT:
            raise RecordingError(
                f"{path}: format = {kept['format']!r} is another version's: this cutlayer reads {FORMAT}; "
                "replay with the version that recorded it, or record anew"
            )
        told = TypeAdapter(Brief).validate_python(kept["brief"])
        # A party of a deployment does not know when its recording ends: its file says what it holds.
        files = {name: place.wire(name) for name in kept["segments"]}
        segments = {n: Segment(**found) if found else _counted(files[n]) for n, found in kept["segments"].items()}
        seat = Seat(kept["seat"])
    except RecordingError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise RecordingError(f"{path} is not of this version of cutlayer: {error}") from None
    return Recording(folder, told, segments, kept.get("left_out", {}), seat)


def _counted(file: Path) -> Segment:
    tape = Tape(file)
    count = sum(1 for _ in tape.frames())
    return Segment(count, tape.whole, not tape.full)


def own_code(model: str, plugins: str, given: dict[str, Any]) -> dict[str, Any]:
    """``model`` and ``plugins`` for a replay of what was recorded with these, taken out of what the user has ``given``.

    Whoever made a recording chose what it names: a file of somebody's own is imported only where the user has named it
    himself, and ``RecordingError`` where he has not.
    """
    file = model if ":" in model else ""
    for key, named in (("model", file), ("plugins", plugins)):
        if named and key not in given:
            raise RecordingError(
                f"{key} = {named!r}: this recording was made with code that is not cutlayer's, and a replay would run "
                f"it; if you trust that, type {f'{key}={named}'!r}, or the path of your own copy in its place"
            )
    own = {"model": str(given.pop("model")) if file else model, "plugins": str(given.pop("plugins", ""))}
    return {key: written_out(place) for key, place in own.items()}


def truth_kept(recording: Recording) -> tuple[Experiment, list[Epoch]]:
    """The experiment behind a recording, and how its training went; ``RecordingError`` without the judge's side."""
    path = recording.layout.truth.experiment
    if not path.is_file():
        raise RecordingError(
            f"{recording.truth} is not there: a replay judges every guess by what lies in it, so it needs that folder "
            "beside the recordings"
        )
    kept = json.loads(path.read_bytes())
    return make(kept["experiment"]), [Epoch(**epoch) for epoch in kept["history"]]


def targets_kept(recording: Recording, segment: str) -> list[Row]:
    """The targets of a segment by their places on the wire."""
    return [
        Row(Kind(kind), step, row) for kind, step, row in json.loads(recording.layout.targets(segment).read_bytes())
    ]


def rows_kept(recording: Recording, segment: str) -> dict[Row, int]:
    """The judge's: which sample each target was."""
    kept = json.loads(recording.layout.truth.rows(segment).read_bytes())
    return {Row(Kind(kind), step, row): number for kind, step, row, number in kept}


def states_kept(recording: Recording, segment: str) -> dict[str, dict[str, Tensor]]:
    """The judge's: every party's state after a segment; ``RecordingError`` where one is damaged."""
    return {path.stem: _state(path) for path in recording.layout.truth.states(segment)}


def _state(file: Path) -> dict[str, Tensor]:
    try:
        return read_checked(file)[0]
    except (DamageError, FileNotFoundError) as error:
        raise RecordingError(f"{file} is gone or damaged, record anew: {error}") from None
