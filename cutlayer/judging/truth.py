"""What the judge holds of a cell: the samples behind the targets, and the deployment that was attacked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from cutlayer.attack import TamperingAttack
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE
from cutlayer.judging.backdoor import BackdoorTruth, Unattacked
from cutlayer.judging.evasion import EvasionTruth
from cutlayer.judging.judge import Truth
from cutlayer.judging.noise import Deployed, Noisy, Remembered
from cutlayer.judging.theft import ModelTruth
from cutlayer.provenance import coded
from cutlayer.scene.loading import drawn_model
from cutlayer.scene.scene import Scene
from cutlayer.seat.host import Host
from cutlayer.simulation.assembly import (
    answers,
    answers_to,
    assemble,
    honest_host,
    replica,
    whole_model,
    whole_parts,
)
from cutlayer.simulation.session import Session
from cutlayer.stream import derive
from cutlayer.threat import Progress, Row, Seat


@dataclass(frozen=True)
class Honest:
    """The deployment trained without the attack: what triggers and changed inputs do to it."""

    triggered: Unattacked
    noisy: Noisy
    network: nn.Sequential


def honest(scene: Scene, clean: nn.Sequential | None, kept: Path, progress: Progress) -> Honest | None:
    """The deployment with the ``clean`` network; None where there is none.

    ``kept``: a folder of that network's alone, for what is the same for every attack.
    """
    if clean is None:
        return None
    session = assemble(scene, honest_host(scene), clean)
    server = replica(scene, session)
    triggered = Unattacked(partial(answers, session, server), scene.samples.labels(scene.samples.test_rows))
    deployed = _deployed(scene, session, server, progress)
    noisy = Remembered(deployed, kept, f"{scene.experiment.protocol} {scene.cuts} {coded()}")
    return Honest(triggered, noisy, clean)


def truth_of(
    scene: Scene, session: Session, sent: Mapping[Row, int], beside: Honest | None, progress: Progress
) -> Truth:
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
        learned=scene.experiment.learned,
    )
    backdoor, server = None, replica(scene, session)
    if beside:
        backdoor = BackdoorTruth(partial(answers, session, server), beside.triggered, model.labels)
    inputs, labels = samples.inputs(rows), samples.labels(rows)
    evasion = None
    if scene.budgets:
        reaches = {budget.name: budget for budget in scene.budgets}
        evasion = EvasionTruth(
            deployed=_deployed(scene, session, server, progress),
            honest=beside.noisy if beside else None,
            tampered=isinstance(scene.attack, TamperingAttack) and _changed(whole_model(scene, session), beside),
            budgets=reaches,
            parts=model.parts,
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


def _changed(network: nn.Sequential, beside: Honest | None) -> bool:
    """Whether the attack has left another network than the honest training: by that, and not by what it says."""
    if beside is None:
        return False
    theirs = beside.network.state_dict()
    return any(not torch.equal(tensor.cpu(), theirs[name].cpu()) for name, tensor in network.state_dict().items())


def _deployed(scene: Scene, session: Session, server: Host, progress: Progress) -> Deployed:
    rows, samples = scene.target_rows, scene.samples
    # Few inputs are tried at once, and said to be before anybody could read it.
    tell = partial(progress, "judging inputs") if len(rows) > PREDICTED_AT_ONCE else lambda *of: None
    return Deployed(partial(answers_to, session, server, rows, tell=tell), samples.inputs(rows), samples.labels(rows))


def untrained(scene: Scene) -> nn.Sequential:
    """The network with weights of nobody's, the same ones for every attack."""
    return drawn_model(scene.experiment, scene.dataset, derive(scene.experiment.seed, "blind"))
