"""Everything an experiment names, found, built and checked before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutlayer import network, registry
from cutlayer.attack import Attack
from cutlayer.auxiliary import OWN_SPLITS, SHARE, Auxiliary, auxiliary
from cutlayer.budget import Budget
from cutlayer.dataset import Dataset, DatasetError
from cutlayer.defense import Defense
from cutlayer.evasion import EvasionError, budgets
from cutlayer.experiment import AUTO, Experiment, ExperimentError
from cutlayer.model import CutError, flop_count
from cutlayer.normalization import deviations
from cutlayer.optimization import Optimization
from cutlayer.protocol import Protocol
from cutlayer.samples import DealError, Samples, batch_sizes, deal_rows, withheld
from cutlayer.seating import make_attack, make_protocol
from cutlayer.stream import derive
from cutlayer.threat import Goal, Knows
from cutlayer.wire import Agreement

LARGE = 20_000_000
"""FLOPs of one sample's forward pass from which a network gains from several threads and from bf16."""
_MISTAKES = (registry.PluginError, network.NetworkError, CutError, DatasetError, DealError, EvasionError)


@dataclass(frozen=True, eq=False)
class Scene:
    """One cell, settled: no value of ``experiment`` is left to be chosen."""

    experiment: Experiment
    samples: Samples
    model: nn.Sequential
    """The whole network with the weights it starts from: drawn ones, or those of ``experiment.weights``."""
    protocol: Protocol
    cuts: tuple[int, ...]
    agreement: Agreement
    attack: Attack
    options: Mapping[str, Any]
    """The attack's options: those of ``steps``, then those given."""
    auxiliary: Auxiliary | None = None
    """The adversary's own data, where its attack asks for any."""
    budgets: tuple[Budget, ...] = ()
    """How far adversarial inputs may be from the natural ones, where its attack makes any."""

    @property
    def dataset(self) -> Dataset:
        """The data the cell runs on."""
        return self.samples.dataset

    @property
    def target_rows(self) -> Tensor:
        """The samples to be guessed, from the test split: so many as asked for, or those of the attack's paper."""
        number = self.experiment.targets or self.attack.setting.targets
        rows = self.samples.test_rows
        return rows[: min(number, len(rows))] if number else self.samples.first_of_each_class()

    def natural_inputs(self) -> Tensor:
        """The targets, to be perturbed: float32 [n, ...] in [0, 1]."""
        return self.samples.inputs(self.target_rows)

    def deal(self) -> list[Tensor]:
        """The training rows of each client; where the adversary has a share of them, what is left is its own."""
        experiment, rows, shared = self.experiment, self.samples.train_rows, self.experiment.aux == SHARE
        labels = self.samples.labels(rows)
        hands = deal_rows(rows, labels, experiment.clients, experiment.skew, experiment.seed, shared)
        return hands[: experiment.clients]

    @cached_property
    def optimization(self) -> Optimization:
        """How every party trains, its rate lowered at the steps with which the milestones' epochs end."""
        experiment = self.experiment
        steps = (len(batch_sizes(len(hand), experiment.batch_size)) for hand in self.deal())
        return experiment.optimization(sum(steps) if experiment.milestones else 0)

    @property
    def work(self) -> int:
        """Optimization steps of the attack after the training."""
        return self.attack.work(len(self.target_rows), len(self.auxiliary or ()))

    @property
    def device(self) -> str:
        """Where parties compute."""
        return self.experiment.device

    @property
    def autocast(self) -> str:
        """The type of autocast in training, empty for none."""
        return "bfloat16" if self.experiment.precision == "bf16" else ""


def settle(experiment: Experiment) -> list[Scene]:
    """The cells ``experiment`` stands for: one, or one for each cut worth a look where it leaves the cut open.

    Whatever is wrong with it is an ``ExperimentError``.
    """
    try:
        return _settle(experiment)
    except _MISTAKES as error:
        raise ExperimentError(" ".join(str(error).split())) from error


def load_dataset(experiment: Experiment, name: str = "") -> Dataset:
    """The experiment's data, or those of another dataset ``name`` in full; loaded once a process."""
    limits = (None, None, None) if name else (experiment.train_rows, experiment.test_rows, experiment.classes)
    name = name or experiment.dataset
    options = registry.checked(
        registry.module("datasets", name, experiment.plugins).load, experiment.options.get(name, {}), name
    )
    return _load(name, experiment.data_dir, tuple(sorted(options.items())), experiment.plugins, *limits)


def make_defenses(experiment: Experiment) -> list[Defense]:
    """The experiment's defenses, each on a stream of its own."""
    found: list[Defense] = []
    for number, name in enumerate(experiment.defenses):
        kind = registry.cls("defenses", name, Defense, experiment.plugins)
        defense: Defense = registry.make(kind, experiment.options.get(name, {}), name)
        defense.seed = derive(experiment.seed, "defense", number)
        found.append(defense)
    return found


def build_model(experiment: Experiment, dataset: Dataset) -> nn.Sequential:
    """The whole network with drawn weights."""
    return drawn_model(experiment, dataset, derive(experiment.seed, "model"))


def drawn_model(experiment: Experiment, dataset: Dataset, seed: int) -> nn.Sequential:
    """The whole network with weights drawn from ``seed``."""
    shape, classes = dataset.input_shape, len(dataset.classes)
    return network.build(experiment.model, shape, classes, seed, experiment.plugins, scaling(experiment))


def scaling(experiment: Experiment) -> network.Scaling:
    """What the network does to its inputs first."""
    return network.Scaling(experiment.input_mean, experiment.input_std)


def own_files(experiment: Experiment, *folders: str) -> str:
    """Size and time of the user's own files that the experiment depends on: weights, model, plug-ins in ``folders``."""
    files = [experiment.weights, Path(experiment.model.rpartition(":")[0])]
    if experiment.plugins:
        files += [file for folder in folders for file in sorted((experiment.plugins / folder).glob("*.py"))]
    states = [(file.name, file.stat()) for file in files if file and file.is_file()]
    return str([(name, state.st_size, state.st_mtime_ns) for name, state in states])


def _settle(experiment: Experiment) -> list[Scene]:
    _check_options(experiment)
    kind: type[Attack] = registry.cls("attacks", experiment.attack, Attack, experiment.plugins)
    preset = kind.presets.get(experiment.steps, {})
    options = {**preset, **experiment.options.get(experiment.attack, {})}
    attack = make_attack(experiment.attack, options, experiment.plugins)
    make_defenses(experiment)
    samples = withheld(
        load_dataset(experiment), experiment.validation_rows, experiment.validation_from, experiment.seed
    )
    dataset = samples.dataset
    try:
        attack.check(dataset.input_shape, len(dataset.classes))
    except ValueError as error:
        raise ExperimentError(f"{experiment.attack}: {error}") from None
    hands = experiment.clients + (experiment.aux == SHARE)
    if hands > len(samples.train_rows):
        there = len(samples.train_rows)
        raise ExperimentError(f"clients = {experiment.clients}: there are only {there} training samples")
    experiment = experiment.with_values(
        model=_model_for(dataset) if experiment.model == AUTO else experiment.model,
        protocol=attack.setting.protocol if experiment.protocol == AUTO else experiment.protocol,
        when=attack.setting.when if experiment.when == AUTO else experiment.when,
        device=_device(experiment.device),
    )
    model = build_model(experiment, dataset)
    if experiment.weights:
        network.load_weights(model, experiment.weights)
        experiment = experiment.with_values(epochs=0)
    large = flop_count(model, dataset.input_shape) >= LARGE
    experiment = experiment.with_values(
        threads=experiment.threads or ((os.cpu_count() or 1) if large else 1),
        precision=_precision(experiment.precision, experiment.device, large),
    )
    protocol = make_protocol(experiment.protocol, experiment.plugins)
    experiment, reaches = _budgets(experiment, attack, model, dataset)
    scenes = []
    for given in _cuts(experiment, protocol, model, attack):
        cuts = protocol.cuts(model, given)
        cell = experiment.with_values(cut=":".join(map(str, cuts)))
        agreement = protocol.agree(model, cuts, dataset.input_shape)
        scene = Scene(cell, samples, model, protocol, cuts, agreement, attack, _all_options(attack), budgets=reaches)
        scene = replace(scene, auxiliary=_auxiliary(scene))
        try:
            attack.suit(agreement["smashed"].shape, dataset.input_shape, len(scene.auxiliary or ()))
        except ValueError as error:
            raise ExperimentError(f"{experiment.attack}, cut {cell.cut}: {error}") from None
        scenes.append(scene)
    return scenes


def _budgets(
    experiment: Experiment, attack: Attack, model: nn.Sequential, dataset: Dataset
) -> tuple[Experiment, tuple[Budget, ...]]:
    if Goal.EVASION not in attack.threat.goals:
        return experiment, ()
    scale = deviations(model)
    usual = "normalized" if scale else "pixel"
    unit = usual if experiment.budget_unit == AUTO else experiment.budget_unit
    found = budgets(experiment.budget, unit, experiment.pixel_budgets, dataset.input_shape[0], scale)
    return experiment.with_values(budget_unit=unit), found


def _auxiliary(scene: Scene) -> Auxiliary | None:
    experiment, source = scene.experiment, scene.experiment.aux
    if not scene.attack.threat.knows & {Knows.AUX_INPUTS, Knows.AUX_LABELS}:
        return None
    other = None if source in {*OWN_SPLITS, experiment.dataset} else load_dataset(experiment, source)
    samples = scene.samples
    targets = scene.target_rows - len(samples.dataset.train)
    # Rows of the test split never are among those of the training split.
    taken = torch.cat([*scene.deal(), samples.validation_rows]) if source == SHARE else targets
    taken = taken[taken < len(samples.dataset.train)] if source == SHARE else taken
    return auxiliary(scene.dataset, source, taken, experiment.aux_rows, other, experiment.aux_adapt)


def _cuts(
    experiment: Experiment, protocol: Protocol, model: nn.Sequential, attack: Attack
) -> list[tuple[int | str, ...]]:
    given: tuple[int | str, ...] = experiment.cuts
    open_cuts = len(protocol.owners) - 1 - len(protocol.default_cuts)
    if given or open_cuts == 0:
        return [given]
    suggested = network.suggested_cuts(experiment.model, model, experiment.plugins)
    return [(cut,) for cut in suggested[: attack.setting.cuts]]


def _check_options(experiment: Experiment) -> None:
    taking = {experiment.attack, experiment.dataset, experiment.aux, *experiment.defenses}
    for plugin in experiment.options:
        known = {
            name
            for folder in ("attacks", "defenses", "datasets")
            for name in registry.names(folder, experiment.plugins)
        }
        if plugin not in known:
            raise ExperimentError(f"unknown plug-in {plugin!r} before the dot{registry.nearest(plugin, known)}")
        if plugin not in taking and plugin not in registry.names("attacks", experiment.plugins):
            raise ExperimentError(f"options are given for {plugin!r}, which the experiment does not use")


def _all_options(attack: Attack) -> dict[str, Any]:
    return {field.name: getattr(attack, field.name) for field in fields(attack) if field.init}  # type: ignore[arg-type]


def _model_for(dataset: Dataset) -> str:
    if not dataset.is_images:
        return "dense"
    return "unsplit_mnist" if dataset.input_shape[0] == 1 else "unsplit_cifar"


def _device(device: str) -> str:
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ExperimentError("device = 'cuda': there is no CUDA device here; cpu or auto")
    return device if device != AUTO else "cuda" if there else "cpu"


def _precision(precision: str, device: str, large: bool) -> str:
    if precision != AUTO:
        return precision
    # Without matrix units for bf16 the type only costs accuracy.
    quick = torch.cuda.is_bf16_supported() if device == "cuda" else torch.cpu._is_amx_tile_supported()
    return "bf16" if large and quick else "fp32"


@lru_cache(maxsize=4)
def _load(
    name: str,
    data_dir: Path | None,
    options: tuple[tuple[str, Any], ...],
    plugins: Path | None,
    train_rows: int | None,
    test_rows: int | None,
    classes: int | None,
) -> Dataset:
    module = registry.module("datasets", name, plugins)
    dataset: Dataset = module.load(data_dir, **dict(options))
    return dataset.of_classes(classes).limited(train_rows, test_rows)
