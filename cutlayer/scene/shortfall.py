"""What of an experiment's wishes a cell does not fulfill, said before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

from cutlayer.attack import Attack
from cutlayer.data.auxiliary import OWN_SPLITS
from cutlayer.dataset import EMBEDDED
from cutlayer.scene.defending import make_defenses
from cutlayer.scene.scene import Scene
from cutlayer.threat import Goal, Knows, Seat


def shortfalls(scene: Scene) -> list[str]:
    """What it asks for more of than there is, which is all taken then, and what changes nothing; in words."""
    data, targets = scene.dataset, len(scene.target_rows)
    found = []
    for key, there in (("train_rows", len(data.train)), ("test_rows", len(data.test)), ("targets", targets)):
        asked = getattr(scene.experiment, key)
        if asked and asked > there:
            found.append(f"{key} = {asked}: there are only {there}, all are taken")
    return [*found, *_idle_keys(scene), *_idle_options(scene), *_undefended(scene)]


def _idle_keys(scene: Scene) -> list[str]:
    """What the experiment asks for that this attack has no use for."""
    experiment, threat = scene.experiment, scene.attack.threat
    seats = {one.attack.threat.seat for one in (scene, scene.under) if one}
    usual = {name: key.default for name, key in type(experiment).model_fields.items()}
    planted = f"{experiment.attack} plants no backdoor that could be taken over"
    taken_over = planted if Goal.BACKDOOR not in threat.goals else ""
    perturbed = f"{experiment.attack} perturbs no inputs" if Goal.EVASION not in threat.goals else ""
    transferred = taken_over or ("" if experiment.transfer else "no transfer is asked for")
    idle = {
        "transfer": taken_over,
        **dict.fromkeys(("transfer_epochs", "transfer_mode", "transfer_mean", "transfer_std"), transferred),
        **dict.fromkeys(("budget", "pixel_budgets"), perturbed),
        "malicious": f"{experiment.attack} sits at the server" if Seat.CLIENT not in seats else "",
        "data_dir": "" if _reads_files(scene) else f"{experiment.dataset} is embedded",
    }
    asked = {key: getattr(experiment, key) for key, why in idle.items() if why}
    told = {key: str(value) if isinstance(value, Path) else repr(value) for key, value in asked.items()}
    return [f"{key} = {told[key]} changes nothing: {idle[key]}" for key in told if asked[key] != usual[key]]


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
    past = scene.attack.threat.knows & {Knows.PEER_GRADIENTS, Knows.PEER_WEIGHTS}
    if experiment.defenses and past:
        found.append(f"{experiment.attack} is granted {', '.join(sorted(past))}, which no defense touches")
    return found


def _reads_files(scene: Scene) -> bool:
    """Whether any of the data are looked for in a folder or at a hub."""
    asked = scene.auxiliary or (scene.under and scene.under.auxiliary)
    others = scene.transfer is not None or (asked is not None and scene.experiment.aux not in OWN_SPLITS)
    return others or scene.dataset.source != EMBEDDED
