"""What is known of a cell before anything has run: its outline, its name, where its own training is kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cutlayer.attack import Attack
from cutlayer.auditing.begun import Begun
from cutlayer.judging.labeling import commonest
from cutlayer.layout import RunFolder
from cutlayer.provenance import code, environment
from cutlayer.record import AttackRun, Cell, Record, Threat
from cutlayer.scene.scene import Scene
from cutlayer.scene.source import known
from cutlayer.seat.making import make_attack
from cutlayer.simulation.assembly import brief


def outline(scene: Scene) -> Record:
    """What a record says before anything has run."""
    experiment, threat = scene.experiment, scene.attack.threat
    steps, published = scene.work, replace(scene, attack=_published(scene)).work
    return Record(
        fingerprint=fingerprint(scene),
        cell=Cell(
            protocol=experiment.protocol,
            dataset=experiment.dataset,
            model=experiment.model,
            cut=experiment.cut,
            attack=experiment.attack,
            defenses=experiment.defenses,
            seed=experiment.seed,
            clients=experiment.clients,
            when=experiment.when,
            steps=experiment.steps,
            pixels=scene.dataset.pixels,
        ),
        thresholds=experiment.thresholds,
        threat=Threat(
            seat=threat.seat,
            goals=tuple(sorted(threat.goals)),
            tampers=threat.tampers,
            declared=tuple(sorted(threat.knows)),
            offered=brief(scene, attack=False).offers,
            plain=scene.attack.plain,
            paper=scene.attack.paper,
        ),
        isolated=all(one.isolated for one in scene.attackers),
        attack=AttackRun(
            options=dict(scene.options),
            published_steps=published,
            steps=steps,
            fraction=steps / published if published else None,
        ),
        code=code(),
        environment=environment(experiment.device, experiment.precision, experiment.memory_format, experiment.threads),
        usual=commonest(scene.samples.labels(scene.samples.test_rows)),
        budgets={budget.name: budget.reach for budget in scene.budgets},
        experiment=experiment.model_dump(mode="json"),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def fingerprint(scene: Scene) -> str:
    """What a finished cell is looked up by: the settled experiment, the data, the code's version, the user's code.

    Data are known by their values: the same ones are the same cell under whatever ``data_dir`` they lie.
    """
    version, files = code()["version"], known(scene.files)
    drop = ("name", "out", "link", "data_dir")
    return scene.experiment.fingerprint(*scene.content, str(scene.options), version, files, drop=drop)


def begun(scene: Scene, run: Path) -> Begun:
    """Where the training that the cell's adversary attends is kept, until there is a record of the cell."""
    return Begun(RunFolder(run).begun(fingerprint(scene)))


def _published(scene: Scene) -> Attack:
    presets = scene.attack.presets
    shortened = presets.get(scene.experiment.steps, {})
    # Words among the options make another attack of it; numbers only count differently.
    kept = {name: v for name, v in scene.options.items() if isinstance(v, str) and name not in shortened}
    return make_attack(scene.experiment.attack, {**kept, **presets.get("paper", {})}, scene.experiment.plugins)
