"""What the judge holds of a cell: the samples behind the targets, and the deployment that was attacked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn

from cutlayer.attack import TamperingAttack
from cutlayer.judging.backdoor import BackdoorTruth, Unattacked
from cutlayer.judging.evasion import Answers, EvasionTruth
from cutlayer.judging.judge import Truth
from cutlayer.judging.theft import ModelTruth
from cutlayer.scene.loading import drawn_model
from cutlayer.scene.scene import Scene
from cutlayer.simulation.assembly import answers, answers_to, assemble, honest_host, replica, whole_parts
from cutlayer.simulation.session import Session
from cutlayer.stream import derive
from cutlayer.threat import Row, Seat


@dataclass(frozen=True)
class Honest:
    """The deployment trained without the attack: what triggers and changed inputs do to it."""

    triggered: Unattacked
    answers: Answers


def honest(scene: Scene, clean: nn.Sequential | None) -> Honest | None:
    """The deployment with the ``clean`` network; None where there is none."""
    if clean is None:
        return None
    session = assemble(scene, honest_host(scene), clean)
    server = replica(scene, session)
    triggered = Unattacked(partial(answers, session, server), scene.samples.labels(scene.samples.test_rows))
    return Honest(triggered, partial(answers_to, session, server, scene.target_rows))


def truth_of(scene: Scene, session: Session, sent: Mapping[Row, int], beside: Honest | None) -> Truth:
    """``sent``: the targets' rows by their place on the wire; ``beside``: the deployment without the attack."""
    rows, places = scene.target_rows, {row: place for place, row in sent.items()}
    samples = scene.samples
    blank = untrained(scene)
    dealt = scene.protocol.deal(blank, scene.cuts)
    held = {seat: iter(parts) for seat, parts in dealt.items()}
    model = ModelTruth(
        parts=[copy.deepcopy(part).cpu() for part in whole_parts(scene, session)],
        client=[number for number, owner in enumerate(scene.protocol.owners) if owner is Seat.CLIENT],
        untrained=[next(held[owner]) for owner in scene.protocol.owners],
        inputs=samples.inputs(samples.test_rows),
        labels=samples.labels(samples.test_rows),
    )
    backdoor, server = None, replica(scene, session)
    if beside:
        backdoor = BackdoorTruth(partial(answers, session, server), beside.triggered, model.labels)
    inputs, labels = samples.inputs(rows), samples.labels(rows)
    evasion = None
    if scene.budgets:
        reaches = {budget.name: budget for budget in scene.budgets}
        evasion = EvasionTruth(
            answers=partial(answers_to, session, server, scene.target_rows),
            honest=beside.answers if beside else None,
            tampered=isinstance(scene.attack, TamperingAttack),
            budgets=reaches,
            parts=model.parts,
            natural=inputs,
            labels=labels,
        )
    return Truth(
        rows=tuple(places[row] for row in rows.tolist()),
        inputs=inputs,
        labels=labels,
        mean_input=samples.mean_input,
        classes=scene.dataset.classes,
        features=scene.dataset.features,
        model=model,
        backdoor=backdoor,
        evasion=evasion,
    )


def untrained(scene: Scene) -> nn.Sequential:
    """The network with weights of nobody's, the same ones for every attack."""
    return drawn_model(scene.experiment, scene.dataset, derive(scene.experiment.seed, "blind"))
