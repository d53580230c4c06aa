"""The course of a training, honest or attended by an adversary: epoch by epoch, kept on the way, taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from cutlayer.auditing.begun import Begun, Measured
from cutlayer.experiment import ExperimentError
from cutlayer.record import Course, Epoch
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Occupant
from cutlayer.simulation.assembly import measured as after_epoch
from cutlayer.simulation.session import Session
from cutlayer.threat import Knows, Progress

EVERY = 300.0
"""Seconds of a training that an interruption may cost; what is kept beyond every epoch costs little of them."""
ADVERSARY = "adversary"
"""Its state among those of a training that is kept."""
_GRADIENTS = "gradients"


def train_through(
    scene: Scene,
    session: Session,
    begun: Begun,
    what: str,
    progress: Progress,
    occupant: Occupant | None = None,
    after: Callable[[int], Sequence[Course]] = lambda epoch: (),
    ended: Callable[[], bool] = lambda: False,
) -> Measured:
    """Train ``session`` until its epochs or its patience end, from where ``begun`` stands; what was measured.

    ``progress`` is told ``what`` this is, the steps made and those in all, after every step. ``occupant``: whose
    adversary attends; where it cannot tell what it has made of the training so far, nothing is kept. ``after``: what
    there is to measure of it after an epoch that did not end the training. ``ended``: whether another command has been
    faster, asked before every epoch.
    """
    found = _taken_up(session, begun, occupant)
    epochs, each = scene.experiment.epochs, session.steps_per_epoch()
    kept = time.monotonic()

    def keep(epoch: int) -> None:
        nonlocal kept
        kept = time.monotonic()
        memory = occupant.memory() if occupant else {}
        if memory is None:
            return
        states = {**session.checkpoint(), **({ADVERSARY: memory} if occupant else {})}
        if occupant and Knows.PEER_GRADIENTS in scene.attack.threat.knows:
            states[_GRADIENTS] = session.gradients()
        begun.keep((epoch - 1) * each + session.done, states, found)

    def tell(epoch: int) -> None:
        progress(what, (epoch - 1) * each + session.done, epochs * each)
        if time.monotonic() - kept >= EVERY and session.settled and session.done < each:
            keep(epoch)

    for epoch in range(len(found.epochs) + 1, epochs + 1):
        if ended() or over(found.epochs, scene.experiment.patience):
            break
        loss = session.train_epoch(epoch, lambda epoch=epoch: tell(epoch))  # type: ignore[misc]
        found = found.changed(epochs=(*found.epochs, after_epoch(scene, session, epoch, loss)))
        if not over(found.epochs, scene.experiment.patience):
            found = found.changed(course=(*found.course, *after(epoch)))
        keep(epoch + 1)
    return found


def over(history: Sequence[Epoch], patience: int) -> bool:
    """Whether the last ``patience`` epochs have brought no lower validation loss than those before them."""
    losses = [epoch.validation_loss or 0.0 for epoch in history]
    return bool(patience) and len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])


def _taken_up(session: Session, begun: Begun, occupant: Occupant | None) -> Measured:
    found = begun.latest({**session.checkpoint(), **({ADVERSARY: {}} if occupant else {})})
    if found is None:
        return Measured()
    states, measured = found
    session.restore(states)
    session.put_gradients(states.get(_GRADIENTS, {}))
    if occupant:
        try:
            occupant.remember(states[ADVERSARY])
        except Exception as error:
            where = f"{begun.folder}: the attack cannot go on from there; remove it to begin anew"
            raise ExperimentError(f"{where} ({error})") from error
    return measured
