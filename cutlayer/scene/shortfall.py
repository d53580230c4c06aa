"""What of an experiment's wishes a cell does not fulfill, said before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    scarce = _scarce(scene, targets=len(scene.target_rows))
    idle = _idle_keys(scene, _of_attack(scene))
    return [*training_shortfalls(scene), *scarce, *idle, *_idle_options(scene), *_past_defenses(scene)]


def training_shortfalls(scene: Scene) -> list[str]:
    """Those of its training alone, whoever attacks it."""
    data = scene.dataset
    scarce = _scarce(scene, train_rows=len(data.train), test_rows=len(data.test))
    return [*scarce, *_idle_keys(scene, _of_training(scene)), *_late(scene), *_undefended(scene)]


def _scarce(scene: Scene, **there: int) -> Iterator[str]:
    for key, count in there.items():
        asked = getattr(scene.experiment, key)
        if asked and asked > count:
            yield f"{key} = {asked}: there are only {count}, all are taken"


def _of_training(scene: Scene) -> dict[str, str]:
    """Why this training has no use for a key, by its name; empty for one that it uses."""
    experiment = scene.experiment
    alone = "there is one client" if experiment.clients == 1 else ""
    other = f"the optimizer is {experiment.optimizer}"
    return {
        "data_dir": "" if _reads_files(scene) else f"{experiment.dataset} is embedded",
        **dict.fromkeys(("skew", "handover", "optimizer_state"), alone),
        **dict.fromkeys(("amsgrad", "epsilon"), "" if experiment.optimizer == "adam" else other),
        "momentum": "" if experiment.optimizer == "sgd" else other,
        "decay": "" if experiment.milestones else "there are no milestones",
    }


def _of_attack(scene: Scene) -> dict[str, str]:
    """Why this attack has no use for a key, by its name; empty for one that it uses."""
    experiment, threat = scene.experiment, scene.attack.threat
    seats = {one.attack.threat.seat for one in scene.attackers}
    planted = f"{experiment.attack} plants no backdoor that could be taken over"
    taken_over = planted if Goal.BACKDOOR not in threat.goals else ""
    perturbed = f"{experiment.attack} perturbs no inputs" if Goal.EVASION not in threat.goals else ""
    transferred = taken_over or ("" if experiment.transfer else "no transfer is asked for")
    unowned = "" if _owned(scene) else f"{experiment.attack} has no data of its own"
    # The test split is what auto stands for here, and a share is withheld from the clients whoever has it.
    asked_for = experiment.aux not in {"test", SHARE}
    return {
        "transfer": taken_over,
        **dict.fromkeys(("transfer_epochs", "transfer_mode", "transfer_mean", "transfer_std"), transferred),
        **dict.fromkeys(("budget", "budget_unit", "pixel_budgets"), perturbed),
        "aux": unowned if asked_for else "",
        **dict.fromkeys(("aux_rows", "aux_adapt"), unowned),
        "malicious": f"{experiment.attack} sits at the server" if Seat.CLIENT not in seats else "",
    }


def _idle_keys(scene: Scene, why: Mapping[str, str]) -> Iterator[str]:
    """What the experiment asks for beside the defaults, and ``why`` says that nothing uses it."""
    for name, reason in why.items():
        asked = getattr(scene.experiment, name)
        if reason and asked != type(scene.experiment).model_fields[name].default:
            told = str(asked) if isinstance(asked, Path) else repr(as_json(asked))
            yield f"{name} = {told} changes nothing: {reason}"


def _late(scene: Scene) -> Iterator[str]:
    """Milestones that no training reaches; targets that pass through training steps come after its last epoch."""
    late = tuple(epoch for epoch in scene.experiment.milestones if epoch >= scene.experiment.epochs)
    if late and scene.attack.setting.target_kind != "train":
        yield f"milestones = {late} changes nothing: no epoch comes after"


def _idle_options(scene: Scene) -> Iterator[str]:
    """What is given to the cell's attack, or the one before it, and has no effect there."""
    for one in scene.attackers:
        attack, name = one.attack, one.experiment.attack
        given = one.experiment.options.get(name, {})
        for option, why in attack.idle().items():
            if option in given and (value := getattr(attack, option)) != _default(attack, option):
                yield f"{name}.{option} = {value!r} changes nothing: {why}"


def _default(attack: Attack, option: str) -> object:
    (field,) = (field for field in fields(attack) if field.name == option)  # type: ignore[arg-type]
    return field.default if field.default_factory is MISSING else field.default_factory()


def _undefended(scene: Scene) -> Iterator[str]:
    """What of the defenses does nothing here."""
    experiment, asks = scene.experiment, scene.protocol.driver is Seat.CLIENT
    frames = [frame.request if asks else frame.reply for frame in scene.protocol.wire.values()]
    sent = dict.fromkeys(name for frame in frames for name in frame)
    for defense in make_defenses(experiment):
        if idle := defense.idle(sent):
            name = type(defense).__module__.rpartition(".")[2]
            yield f"{name}.{idle} changes nothing: in {experiment.protocol} a client sends {', '.join(sent)}"


def _past_defenses(scene: Scene) -> Iterator[str]:
    """What the attack is granted past them."""
    past = [what for what in scene.attack.threat.knows if what.facts.state]
    if scene.experiment.defenses and past:
        yield f"{scene.experiment.attack} is granted {', '.join(sorted(past))}, which no defense touches"


def _owned(scene: Scene) -> bool:
    """Whether any adversary of the cell has data of its own."""
    return any(one.auxiliary is not None for one in scene.attackers)


def _reads_files(scene: Scene) -> bool:
    """Whether any of the data are looked for in a folder or at a hub."""
    others = scene.transfer is not None or (_owned(scene) and scene.experiment.aux not in OWN_SPLITS)
    return others or scene.dataset.source != EMBEDDED
