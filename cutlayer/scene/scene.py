"""One cell with everything an experiment names: data, network, protocol, attack, defenses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from cutlayer.attack import Attack
from cutlayer.budget import Budget
from cutlayer.computing import Computing, computing
from cutlayer.data.auxiliary import SHARE, Auxiliary
from cutlayer.data.content import content_of
from cutlayer.data.samples import Samples, deal_rows
from cutlayer.dataset import Dataset
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.neighbor import States
from cutlayer.optimization import Optimization
from cutlayer.order import batch_sizes
from cutlayer.protocol import Protocol
from cutlayer.scene.loading import first_model
from cutlayer.scene.source import used
from cutlayer.stream import generator
from cutlayer.threat import Knows, Seat
from cutlayer.wire import Agreement


@dataclass(frozen=True, eq=False)
class Scene:
    """One cell, settled: no value of ``experiment`` is left to be chosen."""

    experiment: Experiment
    samples: Samples
    protocol: Protocol
    cuts: tuple[int, ...]
    agreement: Agreement
    attack: Attack
    options: Mapping[str, Any]
    """The attack's options: those of ``steps``, then those given."""
    auxiliary: Auxiliary | None = None
    """The adversary's own data, where its attack asks for any."""
    under: Scene | None = None
    """The same cell with the attack in its seat that tampered with the training, where one did before this one's."""
    transfer: Dataset | None = None
    """The data that a backdoored network is taken over to, where that is asked for."""
    budgets: tuple[Budget, ...] = ()
    """How far adversarial inputs may be from the natural ones, where its attack makes any."""
    files: States = field(default_factory=dict)
    """The user's own files that it could depend on, as they were when its code was read."""

    @property
    def dataset(self) -> Dataset:
        """The data the cell runs on."""
        return self.samples.dataset

    @property
    def model(self) -> nn.Sequential:
        """The whole network with the weights it starts from: drawn ones, or those of ``experiment.weights``.

        It is built when asked for, and the process keeps the last one: cells that wait hold none. Nobody changes it.
        """
        return first_model(self.experiment, self.dataset)

    def check_files(self) -> None:
        """For whoever reads files of the user's own anew: ``ExperimentError`` where one is not what it was by then."""
        for file, state in used(self.experiment).items():
            if self.files.get(file) != state:
                raise ExperimentError(f"{file} has changed since this cell was settled: the same command runs it anew")

    @property
    def attackers(self) -> tuple[Scene, ...]:
        """This one, and that of the attack which was there before it (``under``)."""
        return (self, self.under) if self.under else (self,)

    @property
    def content(self) -> tuple[str, ...]:
        """What all data of the cell are known again by: the victim's, the adversaries' own, the transfer's."""
        own = (one.auxiliary.content if one and one.auxiliary else "" for one in (self, self.under))
        return (content_of(self.dataset), *own, content_of(self.transfer) if self.transfer else "")

    @property
    def isolated(self) -> bool:
        """Whether its attack runs in another process than the truth: one at the clients' seat runs beside it."""
        return bool(self.experiment.isolate) and self.attack.threat.seat is Seat.SERVER

    @property
    def in_a_pipe(self) -> bool:
        """Whether that process is at the other end of two pipes: over gRPC it calls back by itself."""
        return self.isolated and self.experiment.carrier != "grpc"

    @property
    def target_rows(self) -> Tensor:
        """The samples to be guessed, from the test split: so many as asked for, or those of the attack's paper."""
        number = self.experiment.targets or self.attack.setting.targets
        rows = self.samples.test_rows
        return rows[: min(number, len(rows))] if number else self.samples.first_of_each_class()

    @property
    def sent_rows(self) -> Tensor:
        """The targets in the order in which an adversary meets them: by class it would give labels away."""
        order = torch.randperm(len(self.target_rows), generator=generator(self.experiment.seed, "targets"))
        return self.target_rows[order]

    @property
    def facts(self) -> Mapping[Knows, Callable[[], Tensor]]:
        """What the data tell an attack that declares it: the targets to perturb, their labels, and the class prior."""
        told: Mapping[Knows, Callable[[], Tensor]] = {
            Knows.NATURAL_INPUTS: lambda: self.samples.inputs(self.sent_rows),
            Knows.NATURAL_LABELS: lambda: self.samples.labels(self.sent_rows),
            Knows.CLASS_PRIOR: self._class_prior,
        }
        return {what: tell for what, tell in told.items() if what in self.attack.threat.knows}

    def _class_prior(self) -> Tensor:
        labels = self.dataset.train.labels
        return torch.bincount(labels, minlength=len(self.dataset.classes)) / len(labels)

    @property
    def malicious(self) -> list[int]:
        """The numbers of the clients that an attack from the clients' seat has."""
        if self.attack.threat.seat is not Seat.CLIENT:
            return []
        order = torch.randperm(self.experiment.clients, generator=generator(self.experiment.seed, "malicious"))
        return sorted(order[: self.experiment.malicious].tolist())

    @property
    def withheld(self) -> int:
        """How many training rows no client gets: an adversary's own, or nobody's."""
        experiment, rows = self.experiment, len(self.samples.train_rows)
        if experiment.aux == SHARE and not experiment.share:
            # As many as a client has where all have the same.
            return max(1, rows // (experiment.clients + 1))
        return round((experiment.share or 0) * rows)

    def deal(self) -> list[Tensor]:
        """The training rows of each client; where the adversary has a share of them, what is left is its own."""
        experiment, rows = self.experiment, self.samples.train_rows
        labels = self.samples.labels(rows)
        hands = deal_rows(rows, labels, experiment.clients, experiment.skew, experiment.seed, self.withheld)
        return hands[: experiment.clients]

    @cached_property
    def optimization(self) -> Optimization:
        """How every party trains, its rate lowered at the steps with which the milestones' epochs end."""
        experiment = self.experiment
        steps = (len(batch_sizes(len(hand), experiment.batch_size)) for hand in self.deal())
        return experiment.optimization(sum(steps) if experiment.milestones else 0)

    @property
    def work(self) -> int:
        """Optimization steps of the attack outside of the training."""
        return self.attack.work(len(self.target_rows), len(self.auxiliary or ()))

    @property
    def computing(self) -> Computing:
        """How parties compute."""
        experiment = self.experiment
        return computing(experiment.device, experiment.precision, experiment.memory_format)
