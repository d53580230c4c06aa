"""A victim whose training another attack has tampered with: for attacks that meet it once it is deployed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from cutlayer.auditing.grants import Outside
from cutlayer.auditing.victim import Victim, keep, key, look_up, over, train
from cutlayer.deployment import CARRIERS, assemble, brief, measured, whole_model
from cutlayer.handover import Keeper
from cutlayer.scene import Scene, own_files
from cutlayer.seating import seat_server

Progress = Callable[[str, int, int], None]
_ALSO = ("protocol", "cut", "attack", "aux", "aux_rows", "aux_adapt")


def train_under_attack(scene: Scene, run: Path, progress: Progress) -> Victim:
    """The victim that the attack of ``scene`` leaves behind: looked up in ``run``, or trained with it in its seat."""
    folder = run / "victims" / attacked_key(scene)
    if victim := look_up(scene, folder):
        return victim
    torch.set_num_threads(scene.experiment.threads)
    keeper, outside = Keeper("trusted_party"), Outside(scene.auxiliary, scene.natural)
    host = seat_server(
        brief(scene, attack=True), outside, progress, carrier=CARRIERS[scene.experiment.carrier], keeper=keeper
    )
    session = outside.session = assemble(scene, host, keeper)
    history, epochs, steps = [], scene.experiment.epochs, session.steps_per_epoch()
    done = iter(range(1, epochs * steps + 1))
    for epoch in range(1, epochs + 1):
        loss = session.train_epoch(epoch, lambda: progress("training under attack", next(done), epochs * steps))
        history.append(measured(scene, session, epoch, loss))
        if over(history, scene.experiment.patience):
            break
    victim = Victim(whole_model(scene, session), tuple(history))
    keep_attacked(scene, run, victim)
    return victim


def keep_attacked(scene: Scene, run: Path, victim: Victim) -> None:
    """Keep ``victim``, which the attack of ``scene`` left behind, for other cells to look up."""
    keep(scene, run / "victims" / attacked_key(scene), victim)


def attacked_key(scene: Scene) -> str:
    """What two scenes share whose attacks leave the same victim behind."""
    experiment = scene.experiment
    # Of the test split an adversary gets what is no target.
    targets = str(len(scene.target_rows)) if experiment.aux == "test" else ""
    files = own_files(experiment, "attacks")
    own = experiment.fingerprint(key(scene), str(scene.options), files, targets, only=_ALSO)
    return f"attacked-{own}"


def deployed(scene: Scene, run: Path, progress: Progress) -> Victim:
    """What an attack on the trained deployment meets: an honestly trained one, or what another attack has left."""
    return train_under_attack(scene.under, run, progress) if scene.under else train(scene, run, progress)


def deployed_key(scene: Scene) -> str:
    """What two scenes share that meet the same victim."""
    return attacked_key(scene.under) if scene.under else key(scene)
