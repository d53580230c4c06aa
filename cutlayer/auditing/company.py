"""Adversaries that only watch attend one honest training together; each cell goes on from its end by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cutlayer.auditing.begun import Begun, Measured, States
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.outline import begun
from cutlayer.auditing.shelved import shelf_of
from cutlayer.scene.scene import Scene
from cutlayer.seat.companion import Companion
from cutlayer.seat.host import LocalHost
from cutlayer.seat.seating import seat_companion
from cutlayer.simulation.assembly import brief
from cutlayer.simulation.session import Session
from cutlayer.threat import Progress

ADVERSARY = "adversary"
"""Its state among those of a training that is kept."""


class Company:
    """Who attends: for each cell where it is kept what it has of the training, and the adversary itself."""

    def __init__(self, scenes: Sequence[Scene], host: LocalHost, run: Path, progress: Progress) -> None:
        """Seat the adversaries of all ``scenes`` at ``host``; one that cannot be seated says why in its own cell."""
        self._members: list[tuple[Begun, Companion]] = []
        self._outside: list[Outside] = []
        for scene in scenes:
            outside = Outside(scene.auxiliary, scene.facts)
            try:
                companion = seat_companion(brief(scene, attack=True), host, outside, progress, shelf_of(scene, run))
            except (Exception, SystemExit):  # noqa: BLE001 - as above
                continue
            self._outside.append(outside)
            self._members.append((begun(scene, run), companion))

    def attend(self, session: Session, steps: int) -> None:
        """Watch ``session`` from ``steps`` on: who stands elsewhere has seen another part of it, and leaves."""
        for outside in self._outside:
            outside.session = session
        for kept, companion in self._members if steps else ():
            found = kept.latest({ADVERSARY: {}})
            # Only now: what is damaged has been taken away.
            companion.present = found is not None and kept.steps == steps
            if found and companion.present:
                companion.remember(found[0][ADVERSARY])

    def keep(self, steps: int, states: States, measured: Measured) -> None:
        """Keep for each what the training has come to, with its own part."""
        for kept, companion in self._members:
            memory = companion.memory()
            if memory is not None:
                kept.keep(steps, {**states, ADVERSARY: memory}, measured)
