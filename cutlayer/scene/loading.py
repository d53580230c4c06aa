"""What an experiment names and files hold: data and networks, read once a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from cutlayer import network, registry
from cutlayer.dataset import Dataset, DatasetError
from cutlayer.experiment import Experiment
from cutlayer.scene.source import known, sources
from cutlayer.stream import derive


def load_dataset(experiment: Experiment, name: str = "", mixed: bool = True) -> Dataset:
    """The experiment's data, or those of another dataset ``name`` in full; loaded once a process.

    ``mixed``: a test split that lies sorted by class comes in another order, the same one each time.
    """
    limits = (None, None, None) if name else (experiment.train_rows, experiment.test_rows, experiment.classes)
    name = name or experiment.dataset
    load = _loader(name, experiment.plugins)
    options = registry.checked(load, experiment.options.get(name, {}), name)
    return _load(name, _place(experiment, name), tuple(sorted(options.items())), load, mixed, *limits)


def _place(experiment: Experiment, name: str) -> Path | None:
    """Where the files of the dataset ``name`` are; None for nowhere on this machine."""
    given = experiment.data_dir
    if given is None or name == experiment.dataset or not _fills(experiment.dataset):
        return given
    # What fills the folder that was given, or is that file, need not have left room for others.
    beside = given / name
    return (beside if _fills(name) else given) if beside.is_dir() else None


def _fills(name: str) -> bool:
    """Whether ``data_dir`` is the dataset's own place, as ``FILLS`` beside its ``load`` says: public ones have a folder
    each there.
    """
    return name not in registry.names("datasets") or getattr(registry.module("datasets", name), "FILLS", False)


def first_model(experiment: Experiment, dataset: Dataset) -> nn.Sequential:
    """The network with the weights a cell starts from: the last one there was, where it is asked for again."""
    shape, classes, seed = dataset.input_shape, len(dataset.classes), derive(experiment.seed, "model")
    told = (experiment.model, shape, classes, seed, experiment.plugins, scaling(experiment))
    return _first_model(known(sources(experiment, "models")), experiment.weights, *told)


@lru_cache(maxsize=1)
def _first_model(files: str, weights: Path | None, *told: Any) -> nn.Sequential:
    """``files``: another network stands in files that have changed."""
    model = network.build(*told)
    if weights:
        network.load_weights(model, weights)
    return model


def drawn_model(experiment: Experiment, dataset: Dataset, seed: int) -> nn.Sequential:
    """The whole network with weights drawn from ``seed``."""
    shape, classes = dataset.input_shape, len(dataset.classes)
    return network.build(experiment.model, shape, classes, seed, experiment.plugins, scaling(experiment))


def scaling(experiment: Experiment) -> network.Scaling:
    """What the network does to its inputs first."""
    return network.Scaling(experiment.input_mean, experiment.input_std)


def own_files(experiment: Experiment, *folders: str) -> str:
    """What the user's own files behind the experiment are known again by, of the plug-ins those in ``folders``."""
    return known(sources(experiment, *folders))


@lru_cache(maxsize=4)
def _load(
    name: str,
    data_dir: Path | None,
    options: tuple[tuple[str, Any], ...],
    load: Callable[..., object],
    mixed: bool,
    train_rows: int | None,
    test_rows: int | None,
    classes: int | None,
) -> Dataset:
    try:
        dataset = load(data_dir, **dict(options))
    except (DatasetError, MemoryError):
        raise
    except Exception as error:
        raise DatasetError(f"dataset {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(dataset, Dataset):
        raise DatasetError(f"dataset {name!r}: its load gives a {type(dataset).__name__}, it must give a Dataset")
    found = dataset.of_classes(classes).limited(train_rows, test_rows)
    # Targets are the first test rows, which would all be of one class.
    return replace(found, test=found.test.mixed()) if mixed and dataset.test.is_sorted else found


def _loader(name: str, plugins: Path | None) -> Callable[..., object]:
    module = registry.module("datasets", name, plugins)
    load: object = getattr(module, "load", None)
    if not callable(load):
        raise DatasetError(f"{module.__file__} must define load(data_dir), which gives a Dataset")
    return load
