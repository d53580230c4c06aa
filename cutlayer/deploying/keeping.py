"""What a party of a deployment keeps of its own wire, where its settings say so."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from cutlayer.deploying.settings import Settings
from cutlayer.deploying.terms import Plan
from cutlayer.disk import PRIVATE, write_whole
from cutlayer.exchange.tape import FORMAT, Recorder, RecordingError, bytes_of
from cutlayer.experiment import ExperimentError
from cutlayer.layout import PartyFolder
from cutlayer.scene.loading import scaling
from cutlayer.seat.seating import Brief
from cutlayer.threat import Seat

SESSION = "session"


def recorder_of(plan: Plan, settings: Settings, seat: Seat) -> Recorder | None:
    """The recorder in this party's folder, gone on with after an interruption; ``None`` where none is asked for."""
    if not settings.record:
        return None
    folder = PartyFolder(settings.folder).recording
    try:
        recorder = Recorder(folder.wire(SESSION), bytes_of(settings.record))
    except RecordingError as error:
        raise ExperimentError(f"record = {settings.record!r}: {error}") from None
    told = {
        "format": FORMAT,
        "seat": seat.value,
        "brief": asdict(public_brief(plan, seat)),
        "segments": {SESSION: None},
    }
    write_whole(folder.about, json.dumps(told), PRIVATE)
    return recorder


def public_brief(plan: Plan, seat: Seat) -> Brief:
    """What everybody knows who knows the plan: no seed, no secret of anybody's, not where files of one's own lie."""
    experiment = plan.experiment
    return Brief(
        protocol=experiment.protocol,
        model=Path(experiment.model).name,
        cuts=plan.cuts,
        input_shape=plan.terms.inputs,
        classes=plan.terms.classes,
        optimization=experiment.optimization(0),
        scaling=scaling(experiment),
        party_seed=0,
        attack_seed=0,
        offers=tuple(sorted(plan.protocol.exposes[seat])),
        plugins=Path(plan.plugins).name if plan.plugins else "",
    )
