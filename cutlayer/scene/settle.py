"""Everything an experiment names, found, built and checked before anything is trained."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from cutlayer import network, registry
from cutlayer.attack import Attack, TamperingAttack
from cutlayer.blocks.normalization import deviations
from cutlayer.budget import Budget, BudgetError, budgets
from cutlayer.computing import suited
from cutlayer.data.auxiliary import OWN_SPLITS, SHARE, Auxiliary, auxiliary
from cutlayer.data.samples import DealError, hold_out
from cutlayer.dataset import Dataset, DatasetError
from cutlayer.experiment import AUTO, Experiment, ExperimentError
from cutlayer.mistake import nearest
from cutlayer.model import CutError, cut_index, flop_count
from cutlayer.protocol import Protocol
from cutlayer.scene.defending import make_defenses
from cutlayer.scene.loading import first_model, load_dataset
from cutlayer.scene.scene import Scene
from cutlayer.scene.source import sources
from cutlayer.scene.transfer import check_transfer, transfer_scaling
from cutlayer.seat.making import make_attack, make_protocol
from cutlayer.threat import Goal, Knows, Seat

_MISTAKES = (registry.PluginError, network.NetworkError, CutError, DatasetError, DealError, BudgetError)


def settle(experiment: Experiment) -> list[Scene]:
    """The cells ``experiment`` stands for: one, or one for each cut worth a look where it leaves the cut open.

    Whatever is wrong with it is an ``ExperimentError``. Code of the user's own that has changed is loaded anew.
    """
    registry.refresh()
    try:
        _check_plugins(experiment)
        scenes = _settle(experiment)
    except _MISTAKES as error:
        raise ExperimentError(" ".join(str(error).split())) from error
    for scene in scenes:
        for attacked in scene.attackers:
            _check_judged(attacked)
            _check_carried(attacked)
    # Last of all: by now its code has been read.
    files = sources(scenes[0].experiment, *registry.FOLDERS)
    under = ((scene, scene.under and replace(scene.under, files=files)) for scene in scenes)
    return [replace(scene, files=files, under=other) for scene, other in under]


def _check_judged(scene: Scene) -> None:
    """``ExperimentError`` where an adversary has what its guess is judged on."""
    experiment, threat = scene.experiment, scene.attack.threat
    judged = _judged(scene.attack)
    if judged and experiment.aux == "test":
        raise ExperimentError(
            f"aux = 'test': {judged} is judged on the test split, samples that its adversary would have trained on; "
            "share, train or another dataset of these classes"
        )
    for goal, what in ((Goal.INPUTS, Knows.NATURAL_INPUTS), (Goal.LABELS, Knows.NATURAL_LABELS)):
        if goal in threat.goals and what in threat.knows:
            raise ExperimentError(f"{experiment.attack} declares {what}, which are what it is to guess")


def _check_carried(scene: Scene) -> None:
    """``ExperimentError`` where gRPC is asked for and the attack has no process of its own to be reached in."""
    experiment, insider = scene.experiment, scene.attack.threat.seat is Seat.CLIENT
    if experiment.carrier != "grpc" or (experiment.isolate is True and not insider):
        return
    why = "from the clients' seat" if insider else f"with isolate = {experiment.isolate!r}"
    raise ExperimentError(
        f"carrier = 'grpc': {why} {experiment.attack} runs in this process, where nothing goes over gRPC; "
        f"direct or loopback{'' if insider else ', or isolate=true'}"
    )


def _judged(attack: Attack) -> str:
    """What of an attack with data of its own is judged on the whole test split; empty for nothing."""
    if not attack.threat.knows & {Knows.AUX_INPUTS, Knows.AUX_LABELS}:
        return ""
    told = {Goal.BACKDOOR: "a backdoor", Goal.MODEL: "a stolen model"}
    return next((name for goal, name in told.items() if goal in attack.threat.goals), "")


def _all_of(experiment: Experiment, attack: Attack) -> list[Attack]:
    """The cell's attack, and the one that has tampered with the training before it."""
    under = experiment.under
    return [attack, *([make_attack(under, experiment.options.get(under, {}), experiment.plugins)] if under else [])]


def _settle(experiment: Experiment, judged: Tensor | None = None) -> list[Scene]:
    """``judged``: rows that another attack of the same cell is to guess, which no adversary gets."""
    attack = _attack(experiment)
    make_defenses(experiment)
    samples = hold_out(
        load_dataset(experiment), experiment.validation_rows, experiment.validation_from, experiment.seed
    )
    dataset = samples.dataset
    experiment = _named(experiment, attack, dataset)
    model = first_model(experiment, dataset)
    experiment = _computing(experiment, model, dataset)
    protocol = make_protocol(experiment.protocol, experiment.plugins)
    experiment, reaches = _budgets(experiment, attack, model, dataset)
    transfer = _transfer(experiment, dataset, model)
    scenes = []
    for given in _cuts(experiment, protocol, model, attack):
        cuts = protocol.cuts(model, given)
        cell = experiment.with_values(cut=":".join(map(str, cuts)))
        agreement = protocol.agree(model, cuts, dataset.input_shape)
        scene = Scene(cell, samples, protocol, cuts, agreement, attack, registry.options_of(attack))
        scene = replace(scene, transfer=transfer, budgets=reaches)
        # More clients than samples are refused here, and not by the first cell that trains.
        scene.deal()
        scene = replace(scene, auxiliary=_auxiliary(scene, judged))
        _suit(scene)
        scenes.append(replace(scene, under=_under(scene)))
    return scenes


def _attack(experiment: Experiment) -> Attack:
    kind: type[Attack] = registry.cls("attacks", experiment.attack, Attack, experiment.plugins)
    options = {**kind.presets.get(experiment.steps, {}), **experiment.options.get(experiment.attack, {})}
    return make_attack(experiment.attack, options, experiment.plugins)


def _named(experiment: Experiment, attack: Attack, dataset: Dataset) -> Experiment:
    """With names in place of what was left to the attack and to the data; refused where these do not fit it."""
    try:
        attack.check(dataset.input_shape, len(dataset.classes))
    except ValueError as error:
        raise ExperimentError(f"{experiment.attack}: {error}") from None
    if attack.threat.seat is Seat.CLIENT and experiment.malicious > experiment.clients:
        there = "is only 1 client" if experiment.clients == 1 else f"are only {experiment.clients} clients"
        raise ExperimentError(f"malicious = {experiment.malicious}: there {there}")
    own = SHARE if any(map(_judged, _all_of(experiment, attack))) else "test"
    return experiment.with_values(
        aux=own if experiment.aux == AUTO else experiment.aux,
        model=_model_for(dataset) if experiment.model == AUTO else experiment.model,
        protocol=attack.setting.protocol if experiment.protocol == AUTO else experiment.protocol,
        when=attack.setting.when if experiment.when == AUTO else experiment.when,
        epochs=0 if experiment.weights else experiment.epochs,
    )


def _computing(experiment: Experiment, model: nn.Sequential, dataset: Dataset) -> Experiment:
    """With what computes the ``model`` fast here in place of what was left open."""
    device, asked = _device(experiment.device), "" if experiment.precision == AUTO else experiment.precision
    threads, precision, memory_format = suited(flop_count(model, dataset.input_shape), device, asked)
    return experiment.with_values(
        device=device,
        threads=experiment.threads or threads,
        precision=precision,
        memory_format=memory_format if experiment.memory_format == AUTO else experiment.memory_format,
    )


def _under(scene: Scene) -> Scene | None:
    experiment = scene.experiment
    if not experiment.under:
        return None
    kind: type[Attack] = registry.cls("attacks", experiment.under, Attack, experiment.plugins)
    if not issubclass(kind, TamperingAttack):
        raise ExperimentError(f"under = {experiment.under!r}: it tampers with no training")
    if isinstance(scene.attack, TamperingAttack):
        raise ExperimentError(f"under = {experiment.under!r}: {experiment.attack} tampers with the training itself")
    if without := experiment.untrained:
        raise ExperimentError(
            f"under = {experiment.under!r}: it tampers with the training, and with {without} there is none before "
            f"{experiment.attack} attacks"
        )
    return _settle(experiment.with_values(attack=experiment.under, under=""), scene.target_rows)[0]


def _suit(scene: Scene) -> None:
    own = scene.protocol.owners[0] is scene.attack.threat.seat
    smashed = () if own else scene.agreement["smashed"].shape
    try:
        scene.attack.suit(smashed, scene.dataset.input_shape, len(scene.auxiliary or ()))
    except ValueError as error:
        raise ExperimentError(f"{scene.experiment.attack}, cut {scene.experiment.cut}: {error}") from None


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


def _transfer(experiment: Experiment, dataset: Dataset, model: nn.Sequential) -> Dataset | None:
    if not experiment.transfer:
        return None
    other = load_dataset(experiment, experiment.transfer)
    check_transfer(model, dataset, other, transfer_scaling(experiment))
    return other


def _auxiliary(scene: Scene, judged: Tensor | None) -> Auxiliary | None:
    experiment, source = scene.experiment, scene.experiment.aux
    if not scene.attack.threat.knows & {Knows.AUX_INPUTS, Knows.AUX_LABELS}:
        if source not in OWN_SPLITS:
            # Nobody loads it, but a name that does not exist is a mistake all the same.
            registry.module("datasets", source, experiment.plugins)
        return None
    _check_left(scene)
    other = None if source in {*OWN_SPLITS, experiment.dataset} else load_dataset(experiment, source)
    samples = scene.samples
    targets = torch.cat([scene.target_rows, *([] if judged is None else [judged])]) - len(samples.dataset.train)
    # Rows of the test split never are among those of the training split.
    taken = torch.cat([*scene.deal(), samples.validation_rows]) if source == SHARE else targets
    taken = taken[taken < len(samples.dataset.train)] if source == SHARE else taken
    return auxiliary(scene.dataset, source, taken, experiment.aux_rows, experiment.seed, other, experiment.aux_adapt)


def _check_left(scene: Scene) -> None:
    """``ExperimentError`` where the adversary would get nothing, by a value that the experiment may not even name."""
    experiment, number = scene.experiment, scene.attack.setting.targets
    if experiment.aux == SHARE and not scene.withheld:
        raise ExperimentError(
            f"share = {experiment.share}: of {len(scene.samples.train_rows)} training rows that is none, and aux = "
            "'share' gives the adversary that part; a larger share, or another aux"
        )
    if experiment.aux == "test" and not experiment.targets and 0 < len(scene.dataset.test) <= number:
        raise ExperimentError(
            f"aux = 'test': all {len(scene.dataset.test)} rows are targets, of which {experiment.attack} takes "
            f"{number} where targets says nothing, and none is left for the adversary; fewer targets, or another aux"
        )


def _cuts(
    experiment: Experiment, protocol: Protocol, model: nn.Sequential, attack: Attack
) -> list[tuple[int | str, ...]]:
    given: tuple[int | str, ...] = experiment.cuts
    open_cuts = len(protocol.owners) - 1 - len(protocol.default_cuts)
    if given or open_cuts == 0:
        return [given]
    suggested = network.suggested_cuts(experiment.model, model, experiment.plugins)
    # A network of few blocks may suggest the place behind which the protocol's own part begins.
    ends = [cut_index(model, cut) for cut in protocol.default_cuts]
    free = [cut for cut in suggested if all(cut_index(model, cut) < end for end in ends)]
    return [(cut,) for cut in (free or suggested)[: attack.setting.cuts]]


def _check_plugins(experiment: Experiment) -> None:
    """The names of all files of the user's own folder, and whether the experiment uses what options are given for."""
    for folder in registry.FOLDERS:
        registry.names(folder, experiment.plugins)
    taking = {experiment.attack, experiment.under, experiment.dataset, experiment.aux, experiment.transfer}
    taking |= set(experiment.defenses)
    for plugin in experiment.options:
        known = {
            name
            for folder in ("attacks", "defenses", "datasets")
            for name in registry.names(folder, experiment.plugins)
        }
        if plugin not in known:
            how = f"options are given as {plugin}.option=value, or in a file as a table [{plugin}]"
            raise ExperimentError(f"unknown plug-in {plugin!r}{nearest(plugin, known)}: {how}")
        if plugin not in taking:
            raise ExperimentError(f"options are given for {plugin!r}, which the experiment does not use")


def _model_for(dataset: Dataset) -> str:
    if not dataset.is_images:
        return "dense"
    return "unsplit_mnist" if dataset.input_shape[0] == 1 else "unsplit_cifar"


def _device(device: str) -> str:
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ExperimentError("device = 'cuda': there is no CUDA device here; cpu or auto")
    return device if device != AUTO else "cuda" if there else "cpu"
