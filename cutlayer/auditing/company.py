"""Cells whose adversaries only watch share one training: each goes on from its end by itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cutlayer.attack import Attack
from cutlayer.auditing.attacked import attends
from cutlayer.auditing.begun import Begun, Measured, States
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.outline import begun
from cutlayer.auditing.shelved import shelf_of
from cutlayer.auditing.training import ADVERSARY, train_through
from cutlayer.auditing.victim import all_steps, key
from cutlayer.computing import prepare
from cutlayer.scene.scene import Scene
from cutlayer.seat.companion import Companion
from cutlayer.seat.host import LocalHost
from cutlayer.seat.seating import seat_companion
from cutlayer.simulation.assembly import assemble, brief, honest_host
from cutlayer.simulation.session import Session
from cutlayer.threat import Progress, Seat

logger = logging.getLogger("cutlayer")


def shares(scene: Scene) -> bool:
    """Whether the cell's adversary can attend a training together with others.

    Not one that is to be in a process of its own, that is judged on the way, that cannot tell what it has made of the
    training, or that reaches into the deployment, where others would find something changed; and where the training may
    end before its last step, nobody could tell who has seen all of it.
    """
    attack, threat = scene.attack, scene.attack.threat
    alone = scene.isolated or attack.anytime or threat.seat is Seat.CLIENT or scene.experiment.patience
    reaches = any(what.facts.live for what in threat.knows)
    tells = type(attack).checkpoint is not Attack.checkpoint and type(attack).restore is not Attack.restore
    return attends(scene) and attack.only_watches and tells and not alone and not reaches


def course_key(scene: Scene) -> str:
    """What two scenes share whose honest trainings send the same messages."""
    return f"course-{scene.experiment.fingerprint(key(scene), only=('protocol', 'cut'))}"


def attended(scene: Scene, run: Path) -> bool:
    """Whether the cell's adversary has attended its training to the end."""
    return begun(scene, run).steps == all_steps(scene)


def company(scene: Scene, others: Iterable[Scene], run: Path) -> list[Scene]:
    """Those of ``others`` who attend the training of ``scene``: they see the same, and have seen as much so far."""
    if not shares(scene) or attended(scene, run):
        return []
    course, steps = course_key(scene), begun(scene, run).steps
    alike = (other for other in others if shares(other) and course_key(other) == course)
    return [other for other in alike if begun(other, run).steps == steps]


def attend(scenes: Sequence[Scene], run: Path, progress: Progress) -> None:
    """Train the deployment of the first of ``scenes`` once; the adversaries of all are there.

    Where each then stands its own training is taken up, at the end. Whoever fails on the way stands where it was last
    kept, all of them where the training itself fails: alone each shows whether it would.
    """
    first, host = scenes[0], honest_host(scenes[0])
    members = [member for scene in scenes if (member := _seated(scene, host, run, progress))]
    prepare(first.experiment.threads)

    def tell(what: str, done: int, total: int) -> None:
        progress(what, done, total)
        if not any(member.companion.present for member in members):
            raise _DesertedError

    session = assemble(first, host)
    together = _Together(begun(first, run).folder, members=members, session=session)
    try:
        train_through(first, session, together, "training under attack", tell)
    except Exception as error:  # noqa: BLE001 - out of memory, say: each by itself needs less
        logger.info("a training that %d adversaries attend has ended early: %s", len(members), error)


class _DesertedError(Exception):
    """Nobody is left who would attend."""


def _stands(found: tuple[States, Measured] | None) -> tuple[int, int]:
    """Whole epochs, and steps beyond: of what was read, as another command may be keeping more meanwhile."""
    return (len(found[1].epochs), int(found[0]["session"]["done"])) if found else (0, 0)


@dataclass(frozen=True)
class _Member:
    kept: Begun
    companion: Companion

    def join(self, place: tuple[int, int]) -> None:
        """Stand at ``place``, or leave: who stands elsewhere has seen another part of the training."""
        found = self.kept.latest({ADVERSARY: {}})
        if _stands(found) != place:
            self.companion.leave("it has seen another part of it")
        elif found:
            self.companion.remember(found[0][ADVERSARY])

    def keep(self, steps: int, states: States, measured: Measured) -> None:
        memory = self.companion.memory()
        if memory is not None:
            self.kept.keep(steps, {**states, ADVERSARY: memory}, measured)


@dataclass(frozen=True)
class _Together(Begun):
    """A training that is kept for every member by itself; it is taken up from what the first one has."""

    members: Sequence[_Member] = ()
    session: Session | None = None

    def keep(self, steps: int, states: States, measured: Measured) -> None:
        """For each with its own part."""
        for member in self.members:
            member.keep(steps, states, measured)

    def latest(self, form: States) -> tuple[States, Measured] | None:
        """What the first one has; all join where it stands, once the deployment stands there."""
        found = super().latest({**form, ADVERSARY: {}})
        if found and self.session:
            self.session.restore(found[0])
        for member in self.members:
            member.join(_stands(found))
        return found


def _seated(scene: Scene, host: LocalHost, run: Path, progress: Progress) -> _Member | None:
    outside = Outside(scene.auxiliary, scene.facts)
    try:
        scene.check_files()
        companion = seat_companion(brief(scene, attack=True), host, outside, progress, shelf_of(scene, run))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - in its own cell it says so again
        logger.info("%s does not attend a training with others: %s", scene.experiment.attack, error)
        return None
    return _Member(begun(scene, run), companion)
