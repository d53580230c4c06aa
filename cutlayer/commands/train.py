"""`cutlayer train`, `evaluate` and `export`: a deployment without an adversary."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from safetensors.torch import save

from cutlayer.auditing.victim import Victim, key, steps_to_train
from cutlayer.auditing.victim import train as train_victim
from cutlayer.commands.display import Display, duration
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


def train_all(file: Path | None, overrides: Sequence[str], console: Console) -> list[dict[str, Any]]:
    """Train every deployment that is asked for; what became of each."""
    cells = deployments(file, overrides)
    run = run_folder(cells)
    paces: dict[str, float] = {}
    seconds = [training_seconds(scene, run, paces) for scene in cells]
    console.print(f"estimated time: {duration(sum(seconds))}", highlight=False)
    results = []
    with Display(console, of_trainings(cells), seconds) as display:
        for number, scene in enumerate(cells):
            display.begin(number)
            victim = train_victim(scene, run, partial(display.progress, number))
            display.end(number)
            results.append(_result(scene, run, victim))
    return results


def evaluate_all(file: Path | None, overrides: Sequence[str]) -> list[dict[str, Any]]:
    """The accuracy of each deployment that is asked for: with weights of a file, or those trained before."""
    cells = deployments(file, overrides)
    run = run_folder(cells)
    return [_result(scene, run, _trained(scene, run)) for scene in cells]


def export_one(file: Path | None, overrides: Sequence[str], to: Path) -> Path:
    """Write the whole model of one training to the safetensors file ``to``."""
    cells = deployments(file, overrides)
    if len(cells) > 1:
        raise ExperimentError(f"{len(cells)} deployments are asked for, one can be exported: leave one value a key")
    state = unscaled(_trained(cells[0], run_folder(cells)).model).state_dict()
    write_whole(to, save({name: tensor.contiguous() for name, tensor in state.items()}))
    return to


def deployments(file: Path | None, overrides: Sequence[str]) -> list[Scene]:
    """A cell for each training that is asked for: attacks and targets make no other one."""
    found: dict[str, Scene] = {}
    # Over gRPC an audit reaches its attack: a file that says so is no mistake where there is none.
    for scene in scenes([experiment.carried_here for experiment in grid(file, overrides)]):
        found.setdefault(key(scene), scene)
    return list(found.values())


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
