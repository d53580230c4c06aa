"""One cell: a victim, an adversary in its seat, targets, guesses, a judgement, a record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from cutlayer.attack import Guess, TamperingAttack
from cutlayer.auditing.attacked import (
    Seated,
    attacked_key,
    attends,
    attends_training,
    deployed,
    deployed_key,
    keep_attacked,
    seated,
    train_attended,
    watches_training,
)
from cutlayer.auditing.begun import Begun, Measured
from cutlayer.auditing.company import attend
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.outline import begun, outline
from cutlayer.auditing.result import Result, filled, images_of, not_applicable, scores_of
from cutlayer.auditing.shelved import shelf_of
from cutlayer.auditing.target import send_targets
from cutlayer.auditing.victim import Victim, key, train
from cutlayer.computing import prepare
from cutlayer.experiment import OFFERABLE
from cutlayer.isolated.process import OtherProcess
from cutlayer.judging.aftermath import aftermath
from cutlayer.judging.judge import Judgement, admitted, judge_all
from cutlayer.judging.truth import Honest, honest, truth_of
from cutlayer.layout import RunFolder
from cutlayer.record import Course, Record
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Occupant
from cutlayer.simulation.assembly import accuracy, assemble, brief, whole_model
from cutlayer.simulation.session import Session
from cutlayer.simulation.traffic import cost
from cutlayer.state import as_tensor, digest
from cutlayer.threat import Goal, Knows, NotOfferedError, Progress, Seat, View


def run_cell(
    scene: Scene, run: Path, progress: Progress, process: OtherProcess | None = None, others: Sequence[Scene] = ()
) -> Result:
    """Run one cell, in ``process`` where it is isolated and one is at hand.

    ``others``: its ``company``, whose adversaries attend the training beside its own.
    An attack that does not fit its setting gives a record that says so; other errors pass through.
    """
    start, record = time.perf_counter(), outline(scene)
    if reason := inapplicable(scene):
        return not_applicable(record, reason)
    prepare(scene.experiment.threads)
    outside = Outside(scene.auxiliary, scene.facts)
    try:
        with seated(scene, outside, progress, process, shelf_of(scene, run)) as place:
            result = _attacked(scene, run, progress, place, outside, record, others)
    except NotOfferedError as error:
        return not_applicable(record, str(error))
    return replace(result, record=result.record.changed(seconds=time.perf_counter() - start))


def _attacked(
    scene: Scene,
    run: Path,
    progress: Progress,
    place: Seated,
    outside: Outside,
    record: Record,
    others: Sequence[Scene],
) -> Result:
    occupant = place.occupant
    course: tuple[Course, ...] = ()
    # An attack before this one may still refuse: first of all it is seated.
    victim = None if attends(scene) else deployed(scene, run, progress)
    untampered = train(scene, run, progress) if _compared(scene) else None
    clean = untampered.model if untampered else None
    beside = honest(scene, clean, RunFolder(run).victim(key(scene)).noise, progress)
    if victim is None:
        session = place.attended(scene, outside)
        if others:
            # Taken up at its end below.
            attend((scene, *others), run, progress)
        trained = _train_watched(scene, session, progress, occupant, beside, begun(scene, run))
        history, course = trained.epochs, trained.course
        if scene.budgets and history:
            keep_attacked(scene, run, Victim(whole_model(scene, session), history))
        utility = history[-1].accuracy if history else accuracy(scene, session)
    else:
        history, utility = victim.history, victim.accuracy
        met = victim.model if scene.experiment.when == "after" else None
        session = outside.session = assemble(scene, place.host, met)
    judgements, guesses = _judgements(scene, session, occupant, beside, progress)
    done = filled(
        record,
        judgements=judgements,
        findings=occupant.findings,
        cost=cost(scene, history),
        training=history,
        utility=utility,
        untampered=untampered.history if untampered else (),
        course=course,
        outcome=_outcome(guesses, whole_model(scene, session) if victim is None else None),
        aftermath=aftermath(scene, session, guesses, clean, progress),
    )
    return Result(done.on(scene.experiment.link), images_of(judgements))


def _outcome(guesses: Sequence[Guess], left: nn.Module | None) -> str:
    """A digest of the guesses, and of the network where the attack has had a hand in it."""
    held = [sorted(guess.tensors.items()) for guess in guesses]
    told = [
        (guess.goal, guess.name, guess.part, guess.rows, guess.relabeled, [name for name, _ in tensors])
        for guess, tensors in zip(guesses, held, strict=True)
    ]
    values = [tensor.cpu() for tensors in held for _, tensor in tensors]
    return digest(as_tensor(str(told).encode()), *values, *(left.state_dict().values() if left else ()))


def _compared(scene: Scene) -> bool:
    """Whether what an attack has made of the network is compared with the same one trained without it."""
    goals, tampered = scene.attack.threat.goals, isinstance(scene.attack, TamperingAttack) or scene.under is not None
    return Goal.BACKDOOR in goals or (Goal.EVASION in goals and tampered)


def _judgements(
    scene: Scene, session: Session, occupant: Occupant, beside: Honest | None, progress: Progress
) -> tuple[list[Judgement], Sequence[Guess]]:
    """Send the targets, let the adversary guess, and judge."""
    sent = send_targets(scene, session)
    occupant.announce(tuple(sent))
    guesses = admitted(occupant.infer(), scene.attack.threat.goals)
    truth = truth_of(scene, session, sent, beside, progress)
    return judge_all(guesses, truth, scene.experiment.thresholds, scene.attack.deciding), guesses


def shared(scene: Scene) -> tuple[str, ...]:
    """The keys of the victims that the cell trains unless another one has: what is attacked, what stands beside it."""
    if inapplicable(scene):
        return ()
    attacked = () if attends(scene) else (deployed_key(scene),)
    return (*attacked, *((key(scene),) if _compared(scene) else ()))


def leaves(scene: Scene) -> tuple[str, ...]:
    """The key of the victim that the cell's attack leaves for others, which it trains in any case."""
    return (attacked_key(scene),) if attends(scene) and scene.budgets else ()


def _train_watched(
    scene: Scene, session: Session, progress: Progress, occupant: Occupant, beside: Honest | None, kept: Begun
) -> Measured:
    steps = session.steps_per_epoch()

    def judge_now(epoch: int) -> Sequence[Course]:
        if not scene.attack.anytime or epoch == scene.experiment.epochs:
            return ()
        scores = scores_of(_judgements(scene, session, occupant, beside, progress)[0])
        return (Course(epoch=epoch, step=epoch * steps, scores=scores),)

    return train_attended(scene, session, occupant, kept, progress, judge_now)


def inapplicable(scene: Scene) -> str:
    """Why the attack does not apply, as far as that is known before anybody is seated; empty where it may."""
    without = scene.experiment.untrained
    if without and isinstance(scene.attack, TamperingAttack) and watches_training(scene.attack):
        return f"it tampers with the training, and with {without} there is none before its guess"
    if scene.attack.threat.seat is Seat.CLIENT and (without or not attends_training(scene.attack)):
        return "a client sees its own training steps alone, and there are none that it watches"
    if scene.under and attends(scene):
        return f"it watches the training, which is over where under = {scene.under.experiment.attack!r} has been before"
    return _unoffered(scene)


def _unoffered(scene: Scene) -> str:
    """What the attack, or the one before it, needs and is not offered; with all that ``offers`` must name for both."""
    for needy in reversed(scene.attackers):
        told = brief(needy, attack=True)
        try:
            View(needy.attack.threat, dict.fromkeys(map(Knows, told.offers), tuple), ())
        except NotOfferedError as error:
            whose = "" if needy is scene else f"under = {needy.experiment.attack!r}: "
            missing = needy.attack.threat.knows.difference(told.offers, needy.experiment.offers)
            return f"{whose}{error}{_offers(scene) if missing else ''}"
    return ""


def _offers(scene: Scene) -> str:
    """What ``offers`` must name for the attack and the one before it; empty where no offer is enough."""
    threats = [one.attack.threat for one in scene.attackers]
    wanted = {what for threat in threats for what in threat.knows - scene.protocol.exposes[threat.seat]}
    return f": offers={','.join(sorted(wanted))}" if wanted.issubset(OFFERABLE) else ""
