"""What a run leaves behind: one record a cell, typed, read and written in one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, computed_field
from safetensors.torch import save
from torch import Tensor

from cutlayer.disk import write_whole
from cutlayer.frozen import Frozen
from cutlayer.illustration import Confusion, Feature, Pictures
from cutlayer.link import parse
from cutlayer.mistake import misfit

LEAK, PARTIAL, NONE = "leak", "partial leak", "no leak"
NOT_APPLICABLE, FAILED, DONE = "not applicable", "failed", "done"
RECORD = "record.json"  # in the cell's folder


class Cell(Frozen):
    """The coordinates of one cell in the matrix of an experiment."""

    protocol: str = "?"
    dataset: str = "?"
    model: str = "?"
    cut: str = "?"
    attack: str = "?"
    defenses: tuple[str, ...] = ()
    seed: int = 0
    clients: int = 1
    when: str = "?"
    steps: str = "?"
    pixels: str = ""


class Score(Frozen):
    """One metric of one goal beside the same metric of a guess that never looks at the wire (``blind``); where that
    makes no sense, of random signs or of the deployment without the attack, which a report says."""

    goal: str
    metric: str
    value: float | None = None
    blind: float | None = None
    best: float | None = None
    advantage: float | None = None
    """(value - blind) / (best - blind); none for PSNR, whose best is infinite."""
    guess: str = ""
    decides: bool = False
    doubtful: bool = False
    """Whether it would decide, but that what looks like a leak may be the chance of few samples."""
    verdict: str | None = None


class Epoch(Frozen):
    """Mean loss and test accuracy (0 to 1) of the deployment's training in one epoch."""

    epoch: int
    loss: float | None = None
    accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    gradient_norm: float | None = None
    label_gap: float | None = None
    """Of what clients are sent back for a batch, means over the epoch: see ``scrutiny``."""


class Course(Frozen):
    """What an attack would have got, had the training ended with this epoch."""

    epoch: int
    step: int
    """Training steps until then."""
    scores: tuple[Score, ...] = ()


class Thresholds(Frozen):
    """The advantages from which a verdict reads leak or partial leak; fixed before the run."""

    leak: float = 0.25
    partial: float = 0.1

    def verdict(self, advantage: float) -> str:
        """The verdict on one advantage."""
        return LEAK if advantage >= self.leak else PARTIAL if advantage >= self.partial else NONE


class Threat(Frozen):
    """Who attacks, wanting what, knowing what."""

    seat: str = "?"
    goals: tuple[str, ...] = ()
    tampers: bool = False
    declared: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    used: dict[str, int] = Field(default_factory=dict)
    """What was reached for, and how often."""
    plain: str = ""
    paper: str = ""


class AttackRun(Frozen):
    """How an attack ran: options, steps of the published ones, and what it noted on the way."""

    options: dict[str, Any] = Field(default_factory=dict)
    published_steps: int = 0
    steps: int = 0
    fraction: float | None = None
    """``steps`` / ``published_steps``; none where the attack optimizes nothing."""
    notes: dict[str, Any] = Field(default_factory=dict)
    curves: dict[str, list[float | None]] = Field(default_factory=dict)


class Stitched(Frozen):
    """A network put together from parts of two trainings, and what the trigger does to it."""

    client: str
    """Whose client parts: ``attacked``, ``clean`` (trained without the attack), ``adversary`` (its own)."""
    server: str
    attack_success: float
    accuracy: float
    unprompted: float | None = None
    """Inputs of other classes that it takes for the target without the trigger, as a share."""


class Residence(Frozen):
    """Where a backdoor lives (Tajalli, Ersoy, Picek, section 6 and appendix D)."""

    stitched: tuple[Stitched, ...] = ()
    energy: dict[str, float] = Field(default_factory=dict)
    """By client part: ||C(x with trigger) - C(x)|| / ||C(x)|| at the first cut, mean over test inputs."""
    similarity: float | None = None
    """Mean cosine of the attacked client's and the adversary's own outputs on triggered inputs."""
    similarity_clean: float | None = None
    """The same of the client that was trained without the attack ..."""
    similarity_untrained: float | None = None
    """... and of an untrained one: outputs of a ReLU are alike in any case."""
    inputs: int = 0
    """Test inputs it was measured on."""


class Transfer(Frozen):
    """A backdoor after all but the last layer is frozen and that one is trained on other, clean data."""

    dataset: str
    accuracy: float
    attack_success: float
    clean_accuracy: float
    clean_success: float
    """What the trigger does to the network trained without the attack, transferred the same way."""


class Traffic(Frozen):
    """What one kind of message takes in the whole training."""

    round_trips: int
    bytes_up: int
    """Frames from the clients to the server, requests or replies."""
    bytes_down: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def messages(self) -> int:
        """Requests and replies."""
        return 2 * self.round_trips


class Record(Frozen):
    """One cell as it was left behind; a failed cell leaves fields at their defaults."""

    status: str = DONE
    reason: Annotated[str, StringConstraints(strip_whitespace=True)] = ""
    fingerprint: str = ""
    cell: Cell = Field(default_factory=Cell)
    utility: float | None = None
    """Clean test accuracy of the trained split model; attacked ``before`` training, of that trained afterwards."""
    usual: float | None = None
    """What always naming the commonest class is right on of the test inputs, from 0 to 1."""
    training: tuple[Epoch, ...] = ()
    untampered: tuple[Epoch, ...] = ()
    """The same without the attack on it, where that is trained to compare."""
    course: tuple[Course, ...] = ()
    """After every epoch but the last, of an attack on the training that can be asked at any time."""
    scores: tuple[Score, ...] = ()
    verdict: str | None = None
    thresholds: Thresholds = Field(default_factory=Thresholds)
    threat: Threat = Field(default_factory=Threat)
    isolated: bool | None = None
    """Whether the attack, and one that it is ``under``, ran in another process than the truth."""
    outcome: str = ""
    """A digest of the guesses, and of the network that an attack on the training has left."""
    verified_by: str = ""
    """Folder of an isolated cell of the same attack, protocol and code that has ended as it does beside the truth."""
    bytes_up: int | None = None
    """Of the training's frames from the clients to the server: computed from one step with each size of batch."""
    bytes_down: int | None = None
    bytes_per_sample: float | None = None
    """Both ways, for one training sample."""
    traffic: dict[str, Traffic] = Field(default_factory=dict)
    """By kind: the steps of the whole training, its evaluation after every epoch, hand-overs through the server."""
    link: str = ""
    """The link that ``link_seconds`` is about."""
    link_seconds: float | None = None
    """What ``traffic`` would take on it, without any computation."""
    client_parameters: int | None = None
    parameters: int | None = None
    client_flops: int | None = None
    """One forward pass of one sample; multiply-adds count two."""
    flops: int | None = None
    attack_seconds: float | None = None
    seconds: float | None = None
    """Of the process that finished the cell: a training that was taken up has cost others before it."""
    attack: AttackRun = Field(default_factory=AttackRun)
    budgets: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """How far each value of an adversarial input may be from the natural one, in [0, 1], by channel: by the name of the
    budget, empty for the experiment's own."""
    pictures: Pictures | None = None
    confusion: Confusion | None = None
    features: tuple[Feature, ...] | None = None
    residence: Residence | None = None
    transfer: Transfer | None = None
    code: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    experiment: dict[str, Any] = Field(default_factory=dict)
    started: str = ""
    command: str = ""
    recording: str = ""
    """The recording that the attack was shown; empty: a running deployment."""

    def ended(self, status: str, reason: str) -> Record:
        """This record of a cell without a result: ``NOT_APPLICABLE`` or ``FAILED``, and why."""
        return self.changed(status=status, verdict=status, reason=reason)

    def on(self, link: str) -> Record:
        """This record with the seconds that its traffic takes on ``link``; empty: on none."""
        seconds = None
        if link and self.traffic:
            line, kinds = parse(link), self.traffic.values()
            seconds = sum(line.seconds(kind.round_trips, kind.bytes_up, kind.bytes_down) for kind in kinds)
        experiment = {**self.experiment, "link": link} if self.experiment else {}
        return self.changed(link=link, link_seconds=seconds, experiment=experiment)


def write_record(folder: Path, record: Record, images: Mapping[str, Tensor] | None = None) -> None:
    """``record.json`` in ``folder``, and before it its pictures, where ``images`` are given: what is there is whole."""
    if record.pictures is not None and images is not None:
        write_whole(folder / record.pictures.file, save({name: one.contiguous() for name, one in images.items()}))
    write_whole(folder / RECORD, record.model_dump_json(indent=1) + "\n")


def read_record(folder: Path) -> Record | None:
    """The record in ``folder``; ``None`` where there is none, a ``ValueError`` says why it does not fit."""
    path = folder / RECORD
    try:
        record = Record.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError as error:
        raise ValueError(misfit(error, "a list")) from None
    if record and "attack" not in record.cell.model_fields_set:
        raise ValueError("it names no attack")
    return record
