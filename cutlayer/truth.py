"""What the judge holds of a cell: the samples behind the targets, and the deployment that was attacked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial

import torch
from torch import nn

from cutlayer.backdoor import BackdoorTruth, Unattacked
from cutlayer.deployment import (
    answers,
    answers_to,
    whole_parts,
)
from cutlayer.evasion import EvasionTruth
from cutlayer.judge import Truth
from cutlayer.scene import Scene, drawn_model
from cutlayer.session import Session
from cutlayer.stream import derive
from cutlayer.theft import ModelTruth
from cutlayer.threat import Row, Seat


def truth_of(scene: Scene, session: Session, sent: Mapping[Row, int], clean: Unattacked | None) -> Truth:
    """``sent``: the targets' rows by their place on the wire; ``clean``: the deployment without the attack."""
    rows = torch.tensor(list(sent.values()))
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
    backdoor = None
    if clean:
        backdoor = BackdoorTruth(partial(answers, scene, session), clean, model.labels)
    inputs, labels = samples.inputs(rows), samples.labels(rows)
    evasion = None
    if scene.budgets:
        reaches = {budget.name: budget for budget in scene.budgets}
        evasion = EvasionTruth(partial(answers_to, scene, session), reaches, model.parts, inputs, labels)
    return Truth(
        rows=tuple(sent),
        inputs=inputs,
        labels=labels,
        mean_input=samples.mean_input(),
        classes=scene.dataset.classes,
        features=scene.dataset.features,
        model=model,
        backdoor=backdoor,
        evasion=evasion,
    )


def untrained(scene: Scene) -> nn.Sequential:
    """The network with weights of nobody's, the same ones for every attack."""
    return drawn_model(scene.experiment, scene.dataset, derive(scene.experiment.seed, "blind"))
