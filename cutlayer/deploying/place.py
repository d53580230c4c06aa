"""One party of a deployment: its part of the model, its data, its folder."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cutlayer.batch import Batch
from cutlayer.checksum import DamageError, pack_checked, read_checked
from cutlayer.codec import frame_size
from cutlayer.compression import Compression
from cutlayer.computing import computing, prepare
from cutlayer.data.samples import Samples, deal_rows
from cutlayer.defense import Defense
from cutlayer.deploying.checkpoint import Shelf
from cutlayer.deploying.durable import Durable
from cutlayer.deploying.keeping import recorder_of
from cutlayer.deploying.meaning import meaning
from cutlayer.deploying.settings import ClientSettings, Settings
from cutlayer.deploying.terms import Plan
from cutlayer.deploying.turn import Turn
from cutlayer.disk import PRIVATE, write_whole
from cutlayer.exchange.handover import OptimizerState
from cutlayer.exchange.pipeline import PREDICTED_AT_ONCE
from cutlayer.exchange.way import Way
from cutlayer.experiment import Experiment, ExperimentError, make
from cutlayer.layout import PartyFolder
from cutlayer.message import Kind, Message
from cutlayer.order import shuffled
from cutlayer.scene.defending import make_defenses
from cutlayer.scene.loading import load_dataset
from cutlayer.seat.making import held_labels, party_of
from cutlayer.stream import derive
from cutlayer.threat import Seat
from cutlayer.transport.rpc import Limits

_LOCAL = (
    *("dataset", "data_dir", "train_rows", "test_rows", "plugins", "defense"),
    *("device", "precision", "memory_format", "threads"),
)


@dataclass
class Place:
    """A party where it stands, with all it needs and nothing that is another's."""

    plan: Plan
    settings: Settings
    seat: Seat
    number: int
    """A client's place in the plan."""
    durable: Durable
    samples: Samples | None
    rows: Tensor
    """The training rows of a client."""

    @property
    def own(self) -> dict[str, Any]:
        """What the bits depend on beside the plan, as JSON: of this party's settings and data what must stay."""
        rows = self.rows if self.seat is Seat.CLIENT or not self.samples else self.samples.train_rows
        return {"training rows": len(rows), **self.settings.fixed}

    @property
    def meaning(self) -> dict[str, str]:
        """What the numbers in its data stand for, as digests; empty where it brings none."""
        return meaning(self.samples.dataset, self.plan.fingerprint) if self.samples else {}

    @property
    def labeled(self) -> Tensor:
        """Which of its rows a client could look up the label of: bits, one for each training row."""
        assert self.samples
        held = torch.zeros(len(self.samples.train_rows), dtype=torch.uint8)
        held[self.rows] = 1
        return held


def take_place(plan: Plan, settings: Settings, seat: Seat, number: int = 0, name: str = "") -> Place:
    """A party at the start of the training, or where its last process stopped."""
    experiment = _experiment(plan, settings)
    prepare(settings.threads)
    folder = PartyFolder(settings.folder)
    shelf = Shelf(folder.state)
    root = _secret(folder.secret) if settings.randomness == "own" else experiment.seed
    drives = plan.protocol.driver is seat
    samples = _samples(plan, settings, experiment, seat)
    client = seat is Seat.CLIENT
    rows = _own_rows(plan, settings, samples, number) if samples and client else torch.zeros(0, dtype=torch.int64)
    party = party_of(
        seat,
        number,
        plan.protocol.deal(plan.build(derive(root, "model")), plan.cuts)[seat],
        experiment.optimization(0),
        root,
        computing(settings.device, settings.precision, settings.memory_format),
        name,
    )
    if samples and client and plan.protocol.labels_at is seat:
        party.labels = held_labels(samples, rows)
    defenses = _defenses(experiment, settings, seat, number)
    recorder = recorder_of(plan, settings, seat)
    # Which rows a client labels a server knows once it has joined.
    served = {number: rows} if client else {}
    durable = Durable(
        party=party,
        protocol=plan.protocol,
        agreement=plan.agreement,
        shelf=shelf,
        batch=Batches(plan, root, samples, served, labels=client) if drives else None,
        taps=[*(defense.tap(drives) for defense in defenses), *([recorder] if recorder else [])],
        packed=plan.packed,
        every=settings.checkpoint_every,
        pipelined=plan.experiment.pipelined,
        rate=lambda epoch_steps: experiment.optimization(epoch_steps).rate,
    )
    return Place(plan, settings, seat, number, durable, samples, rows)


class Batches:
    """The batches of every turn, in the order that the driving party draws."""

    def __init__(self, plan: Plan, root: int, samples: Samples | None, rows: dict[int, Tensor], labels: bool) -> None:
        assert samples
        self._plan, self._root, self._samples, self._labels = plan, root, samples, labels
        self.rows = rows
        """The training rows of each client that is served."""
        self._order = lru_cache(maxsize=2)(self._drawn)

    def __call__(self, turn: Turn, step: int) -> Batch:
        """The batch of training step ``step`` in ``turn``."""
        batches = self._order(turn.client, turn.epoch)
        rows = batches[turn.first + step - turn.start]
        return Batch(rows, self._samples.inputs(rows), self._samples.labels(rows) if self._labels else None)

    def serve(self, rows: Mapping[int, Tensor], file: Path) -> None:
        """Serve each client its training ``rows`` from now on, and keep them in ``file``."""
        write_whole(file, pack_checked({str(number): held for number, held in rows.items()}), PRIVATE)
        self.rows.update(rows)

    def take_up(self, file: Path) -> None:
        """Serve what ``serve`` kept; ``ExperimentError`` where that is damaged."""
        try:
            rows, _ = read_checked(file)
        except DamageError as error:
            way_out = f"to begin anew, remove {str(file.parent.parent)!r}"
            raise ExperimentError(f"{str(file)!r} is damaged ({error}); {way_out}") from None
        self.rows.update({int(number): held for number, held in rows.items()})

    def _drawn(self, client: int, epoch: int) -> list[Tensor]:
        return shuffled(self.rows[client], self._plan.experiment.batch_size, self._root, client, epoch)


def limits(plan: Plan, settings: Settings) -> Limits:
    """What a connection must be able to carry for this plan, and no more."""
    samples = max(plan.experiment.batch_size + 1, PREDICTED_AT_ONCE)
    way = Way(plan.protocol, plan.agreement, plan.packed)
    messages = (names for frame in plan.protocol.wire.values() for names in (frame.request, frame.reply))
    sizes = (sum(tensor.nbytes for tensor in way.crossing(names, samples).values()) for names in messages)
    client = nn.ModuleList(plan.protocol.deal(plan.build(0), plan.cuts)[Seat.CLIENT])
    # With its header, which grows with the layers.
    weights = frame_size(Message(Kind.WEIGHTS, Seat.CLIENT.value, 0, client.state_dict()))
    # Adam's three tensors for each weight, where they travel too.
    copies = 5 if plan.experiment.optimizer_state is OptimizerState.CARRIED else 1
    return Limits(max(*sizes, weights * copies), settings.ping_seconds)


def _secret(path: Path) -> int:
    if not path.exists():
        write_whole(path, str(secrets.randbits(62)), PRIVATE)
    return int(path.read_text())


def _experiment(plan: Plan, settings: Settings) -> Experiment:
    own = {key: getattr(settings, key) for key in _LOCAL if key != "dataset"}
    named = {"dataset": settings.dataset} if settings.dataset else {}
    return make({**plan.experiment.model_dump(), **own, **named, "options": settings.options})


def _samples(plan: Plan, settings: Settings, experiment: Experiment, seat: Seat) -> Samples | None:
    if not settings.dataset:
        if seat is Seat.CLIENT or plan.protocol.driver is seat:
            raise ExperimentError(f"dataset is missing: in {plan.experiment.protocol} this party brings data")
        return None
    # Row i must mean the same sample to who has the inputs and to who has the labels.
    dataset = load_dataset(experiment, mixed=False)
    if dataset.drawn_by_label and plan.protocol.driver is Seat.SERVER and plan.protocol.labels_at is Seat.CLIENT:
        raise ExperimentError(
            f"dataset = {settings.dataset!r} draws its test part by the labels, which one side lacks, so that rows "
            f"would not match: in {plan.experiment.protocol} training and test rows are files of their own"
        )
    if dataset.input_shape != plan.terms.inputs or len(dataset.classes) != plan.terms.classes:
        raise ExperimentError(
            f"dataset = {settings.dataset!r} has inputs {list(dataset.input_shape)}, {len(dataset.classes)} classes; "
            f"the plan has {list(plan.terms.inputs)} and {plan.terms.classes}"
        )
    return Samples(dataset)


def _defenses(experiment: Experiment, settings: Settings, seat: Seat, number: int) -> list[Defense]:
    if seat is Seat.SERVER:
        if settings.defense != "none":
            raise ExperimentError(f"defense = {settings.defense!r}: these defenses are a client's, in its own file")
        return []
    # Noise that others could compute is noise they could take away: never from the plan's seed.
    defenses = make_defenses(experiment.with_values(seed=_secret(PartyFolder(settings.folder).secret)), number)
    if any(isinstance(defense, Compression) for defense in defenses):
        raise ExperimentError(f"defense = {settings.defense!r}: a wire codec is agreed on, as `codec` in the plan")
    return defenses


def _own_rows(plan: Plan, settings: Settings, samples: Samples, number: int) -> Tensor:
    assert isinstance(settings, ClientSettings)
    if settings.share == "all":
        return samples.train_rows
    experiment, labels = plan.experiment, samples.dataset.train.labels
    return deal_rows(samples.train_rows, labels, len(plan.terms.clients), experiment.skew, experiment.seed)[number]
