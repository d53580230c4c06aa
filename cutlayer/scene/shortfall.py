"""What of an experiment's wishes a cell does not fulfill, said before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

from cutlayer.attack import Attack
from cutlayer.data.auxiliary import OWN_SPLITS, SHARE
from cutlayer.dataset import EMBEDDED
from cutlayer.option import as_json
from cutlayer.scene.defending import make_defenses
from cutlayer.scene.scene import Scene
from cutlayer.threat import Goal, Seat


def shortfalls(scene: Scene) -> list[str]:
    """What it asks for more of than there is, which is all taken then, and what changes nothing; in words."""
    data, targets = scene.dataset, len(scene.target_rows)
    found = []
    for key, there in (("train_rows", len(data.train)), ("test_rows", len(data.test)), ("targets", targets)):
        asked = getattr(scene.experiment, key)
        if asked and asked > there:
            found.append(f"{key} = {asked}: there are only {there}, all are taken")
    return [*found, *_idle_keys(scene), *_late(scene), *_idle_options(scene), *_undefended(scene)]


def _idle_keys(scene: Scene) -> list[str]:
    """What the experiment asks for that this attack, or this training, has no use for."""
    experiment, threat = scene.experiment, scene.attack.threat
    seats = {one.attack.threat.seat for one in (scene, scene.under) if one}
    usual = {name: key.default for name, key in type(experiment).model_fields.items()}
    planted = f"{experiment.attack} plants no backdoor that could be taken over"
    taken_over = planted if Goal.BACKDOOR not in threat.goals else ""
    perturbed = f"{experiment.attack} perturbs no inputs" if Goal.EVASION not in threat.goals else ""
    transferred = taken_over or ("" if experiment.transfer else "no transfer is asked for")
    unowned = "" if _owned(scene) else f"{experiment.attack} has no data of its own"
    # The test split is what auto stands for here, and a share is withheld from the clients whoever has it.
    asked_for = experiment.aux not in {"test", SHARE}
    alone = "there is one client" if experiment.clients == 1 else ""
    other = f"the optimizer is {experiment.optimizer}"
    idle = {
        "transfer": taken_over,
        **dict.fromkeys(("transfer_epochs", "transfer_mode", "transfer_mean", "transfer_std"), transferred),
        **dict.fromkeys(("budget", "budget_unit", "pixel_budgets"), perturbed),
        "aux": unowned if asked_for else "",
        **dict.fromkeys(("aux_rows", "aux_adapt"), unowned),
        "malicious": f"{experiment.attack} sits at the server" if Seat.CLIENT not in seats else "",
        "data_dir": "" if _reads_files(scene) else f"{experiment.dataset} is embedded",
        **dict.fromkeys(("skew", "handover", "optimizer_state"), alone),
        **dict.fromkeys(("amsgrad", "epsilon"), "" if experiment.optimizer == "adam" else other),
        "momentum": "" if experiment.optimizer == "sgd" else other,
        "decay": "" if experiment.milestones else "there are no milestones",
    }
    asked = {key: getattr(experiment, key) for key, why in idle.items() if why}
    told = {key: str(value) if isinstance(value, Path) else repr(as_json(value)) for key, value in asked.items()}
    return [f"{key} = {told[key]} changes nothing: {idle[key]}" for key in told if asked[key] != usual[key]]


def _late(scene: Scene) -> Iterator[str]:
    """Milestones that no training reaches; targets that pass through training steps come after its last epoch."""
    late = tuple(epoch for epoch in scene.experiment.milestones if epoch >= scene.experiment.epochs)
    if late and scene.attack.setting.target_kind != "train":
        yield f"milestones = {late} changes nothing: no epoch comes after"


def _idle_options(scene: Scene) -> Iterator[str]:
    """What is given to the cell's attack, or the one before it, and has no effect there."""
    for one in filter(None, (scene, scene.under)):
        attack, name = one.attack, one.experiment.attack
        given = one.experiment.options.get(name, {})
        for option, why in attack.idle().items():
            if option in given and (value := getattr(attack, option)) != _default(attack, option):
                yield f"{name}.{option} = {value!r} changes nothing: {why}"


def _default(attack: Attack, option: str) -> object:
    (field,) = (field for field in fields(attack) if field.name == option)  # type: ignore[arg-type]
    return field.default if field.default_factory is MISSING else field.default_factory()


def _undefended(scene: Scene) -> list[str]:
    """What of the defenses does nothing here, and what the attack is granted past them."""
    experiment, asks = scene.experiment, scene.protocol.driver is Seat.CLIENT
    frames = [frame.request if asks else frame.reply for frame in scene.protocol.wire.values()]
    sent = dict.fromkeys(name for frame in frames for name in frame)
    why = f"changes nothing: in {experiment.protocol} a client sends {', '.join(sent)}"
    named = ((type(defense).__module__.rpartition(".")[2], defense) for defense in make_defenses(experiment))
    found = [f"{name}.{idle} {why}" for name, defense in named if (idle := defense.idle(sent))]
    past = [what for what in scene.attack.threat.knows if what.facts.state]
    if experiment.defenses and past:
        found.append(f"{experiment.attack} is granted {', '.join(sorted(past))}, which no defense touches")
    return found


def _owned(scene: Scene) -> bool:
    """Whether any adversary of the cell has data of its own."""
    return any(one.auxiliary is not None for one in (scene, scene.under) if one)


def _reads_files(scene: Scene) -> bool:
    """Whether any of the data are looked for in a folder or at a hub."""
    others = scene.transfer is not None or (_owned(scene) and scene.experiment.aux not in OWN_SPLITS)
    return others or scene.dataset.source != EMBEDDED
