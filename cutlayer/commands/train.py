"""`cutlayer train`, `evaluate` and `export`: a deployment without an adversary."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from safetensors.torch import save

from cutlayer.auditing.victim import Victim, key, steps_to_train
from cutlayer.auditing.victim import train as train_victim
from cutlayer.commands.course import course, tell_shortfalls
from cutlayer.commands.display import duration
from cutlayer.commands.say import say
from cutlayer.commands.title import of_trainings
from cutlayer.disk import write_whole
from cutlayer.experiment import ExperimentError
from cutlayer.grid import grid
from cutlayer.layout import RunFolder
from cutlayer.network import unscaled
from cutlayer.scene.scene import Scene
from cutlayer.sweeping.estimate import training_seconds
from cutlayer.sweeping.folder import run_folder
from cutlayer.sweeping.sweep import scenes
from cutlayer.threat import Progress


def train_all(file: Path | None, overrides: Sequence[str], console: Console) -> Iterator[dict[str, Any]]:
    """Train every deployment that is asked for; what became of each, as soon as it is trained.

    ``DivergedError`` behind the last one where some have left the finite numbers.
    """
    cells = deployments(file, overrides, _deployment)
    tell_shortfalls(cells, console)
    run = run_folder(cells)
    paces: dict[str, float] = {}
    # Those that train to the same bits share a victim, which the first of them trains.
    first = {key(scene): scene for scene in reversed(cells)}
    seconds = [training_seconds(scene, run, paces) if first[key(scene)] is scene else 0.0 for scene in cells]
    say(console, f"estimated time: {duration(sum(seconds))}")

    def trained(number: int, progress: Progress) -> dict[str, Any]:
        return _result(cells[number], run, train_victim(cells[number], run, progress))

    yield from course(cells, seconds, console, trained)


def evaluate_all(file: Path | None, overrides: Sequence[str]) -> list[dict[str, Any]]:
    """The accuracy of each deployment that is asked for: with weights of a file, or those trained before."""
    cells = deployments(file, overrides, _deployment)
    run = run_folder(cells)
    return [_result(scene, run, _trained(scene, run)) for scene in cells]


def export_one(file: Path | None, overrides: Sequence[str], to: Path, console: Console) -> Path:
    """Write the whole model of one training to the safetensors file ``to``."""
    cells = deployments(file, overrides, _deployment)
    models = len({key(scene) for scene in cells})
    if models > 1:
        raise ExperimentError(f"{models} deployments are asked for, one can be exported: leave one value a key")
    if len(cells) > 1 and not cells[0].experiment.weights:
        told = "; ".join(of_trainings(cells))
        say(console, f"one file for {told}: they train to the same weights")
    state = unscaled(_trained(cells[0], run_folder(cells)).model).state_dict()
    write_whole(to, save({name: tensor.contiguous() for name, tensor in state.items()}))
    return to


def deployments(file: Path | None, overrides: Sequence[str], apart: Callable[[Scene], Hashable]) -> list[Scene]:
    """Of the cells that are asked for the first one for each value of ``apart``."""
    found: dict[Hashable, Scene] = {}
    # Over gRPC an audit reaches its attack: a file that says so is no mistake where there is none.
    for scene in scenes([experiment.carried_here for experiment in grid(file, overrides)]):
        found.setdefault(apart(scene), scene)
    return list(found.values())


def _deployment(scene: Scene) -> Hashable:
    """What is one training to whoever asked for it: attacks and targets make no other one, protocol and cut do."""
    return key(scene), scene.experiment.protocol, scene.experiment.cut


def _trained(scene: Scene, run: Path) -> Victim:
    if steps_to_train(scene, run):
        raise ExperimentError(
            f"no finished training of {of_trainings([scene])[0]} in {run}: run `cutlayer train` with these values"
        )
    return train_victim(scene, run, lambda what, done, total: None)


def _result(scene: Scene, run: Path, victim: Victim) -> dict[str, Any]:
    experiment = scene.experiment
    return {
        "protocol": experiment.protocol,
        "dataset": experiment.dataset,
        "model": experiment.model,
        "cut": experiment.cut,
        "seed": experiment.seed,
        "epochs": victim.history[-1].epoch,
        "accuracy": victim.accuracy,
        "loss": victim.history[-1].loss,
        "history": [epoch.model_dump(exclude_none=True) for epoch in victim.history],
        "folder": str(RunFolder(run).victim(key(scene)).path),
    }
