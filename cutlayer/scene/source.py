"""The user's own files behind an experiment: which they are, and what they are known again by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cutlayer import registry
from cutlayer.experiment import Experiment
from cutlayer.neighbor import States, states, with_neighbors


def sources(experiment: Experiment, *folders: str) -> States:
    """The weights, the model, all plug-ins in ``folders``, and what these import from their own folders.

    Each is as it was when this process read its code, or as it lies there.
    """
    plugins = experiment.plugins
    files = (file for folder in folders if plugins for file in sorted((plugins / folder).glob("*.py")))
    read = registry.loaded()
    there = _with_neighbors([*_weights_and_model(experiment), *files])
    return {file: read.get(file.resolve(), state) for file, state in there.items()}


def used(experiment: Experiment) -> States:
    """Those of them that a settled cell is made of, of the plug-ins the ones it names, as they lie there."""
    named = {
        "protocols": [experiment.protocol],
        "attacks": [experiment.attack, experiment.under],
        "defenses": experiment.defenses,
        "models": [experiment.model],
        "datasets": [experiment.dataset, experiment.aux, experiment.transfer],
    }
    plugins = experiment.plugins
    files = (plugins / folder / f"{name}.py" for folder, names in named.items() if plugins for name in names)
    return _with_neighbors([*_weights_and_model(experiment), *files])


def known(files: States) -> str:
    """What ``files`` are known again by, wherever they lie: names, sizes, times."""
    return str([(file.name, *state) for file, state in files.items()])


def _weights_and_model(experiment: Experiment) -> list[Path]:
    return [file for file in (experiment.weights, Path(experiment.model.rpartition(":")[0])) if file]


def _with_neighbors(files: Iterable[Path]) -> States:
    there = [file for file in files if file.is_file()]
    beside = (near for file in there if file.suffix == ".py" for near in with_neighbors(file)[1:])
    return states([*there, *beside])
