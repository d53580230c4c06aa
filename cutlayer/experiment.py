"""An experiment: a frozen value that says everything about one cell."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from cutlayer.exchange.handover import OptimizerState, Route
from cutlayer.given import Given
from cutlayer.home import at_home, written_out
from cutlayer.link import parse
from cutlayer.mistake import mistake, nearest
from cutlayer.optimization import Optimization
from cutlayer.record import Thresholds
from cutlayer.threat import Knows

AUTO = "auto"
OFFERABLE = tuple(what for what in Knows if what.facts.offerable)
"""What an experiment can offer beyond what a protocol exposes anyway."""


class ExperimentError(ValueError):
    """A configuration that cannot be run; the message is one line that names the key, the value and the choices."""


class Experiment(Given):
    """One cell of a grid, as asked for; ``auto`` values are settled when data and model are known."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
    )

    name: str = Field("", description="the run's folder under `out`; empty: after the file, or dataset and model")
    out: Path = Field(Path("runs"), description="where run folders go")
    dataset: str = Field("digits", description="a dataset plug-in")
    data_dir: Path | None = Field(
        None, description="folder with the data's files, or a table's file; without it, the Hugging Face hub"
    )
    train_rows: int | None = Field(None, ge=1, description="use only so many training rows")
    test_rows: int | None = Field(None, ge=1, description="use only so many test rows")
    classes: int | None = Field(None, ge=2, description="use only so many classes, the first ones")
    validation_rows: int = Field(0, ge=0, description="rows nobody trains on, whose loss is watched in the training")
    validation_from: Literal["train", "test"] = Field("train", description="the split they are taken from")
    model: str = Field(AUTO, description="a model plug-in, path/to/file.py:function, or auto (by the inputs' shape)")
    input_mean: tuple[float, ...] = Field((), description="what the network takes from inputs: a number, or a channel")
    input_std: tuple[float, ...] = Field((), description="what it divides them by then")
    weights: Path | None = Field(None, description="safetensors file of the whole model: audit without training")
    plugins: Path | None = Field(None, description="folder with attacks/, defenses/, models/ ... of your own")
    protocol: str = Field(AUTO, description="a protocol plug-in, or auto (the one of the attack's paper)")
    cut: str = Field(
        AUTO, description="block index or name; two cuts are joined by a colon (1:9); auto: the model's own"
    )
    attack: str = Field("unsplit", description="an attack plug-in")
    under: str = Field("", description="an attack that tampered with the training of what is attacked; empty: none did")
    defense: str = Field("none", description="a defense plug-in, several joined by +, or none")
    seed: int = Field(1, ge=0, description="the root of all randomness")
    steps: Literal["quick", "paper"] = Field("quick", description="how long attacks run: quick, or as published")
    when: Literal["auto", "before", "after"] = Field("auto", description="attack before or after the training")
    targets: int | None = Field(None, ge=1, description="target samples; without it as in the attack's paper")
    target_batch: int | None = Field(None, ge=1, description="target samples in one message")
    offers: tuple[Knows, ...] = Field(
        (Knows.PEER_ARCHITECTURE, Knows.PEER_GRADIENTS), description="what adversaries may know beyond the wire"
    )
    aux: str = Field(
        AUTO,
        description="an adversary's own data: test, train, share (no client holds it), or a dataset; auto: test, and "
        "share for those that train on it what the test split judges",
    )
    aux_rows: int | None = Field(None, ge=1, description="give an adversary only so many rows, drawn from the seed")
    share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="part of the training rows that no client gets, for aux=share; without it a client's",
    )
    aux_adapt: bool = Field(False, description="turn an aux dataset's gray images into color ones or back, as needed")
    budget: float = Field(0.3, ge=0, description="evasion: largest change of a value, as a number or like 8/255")
    budget_unit: Literal["auto", "normalized", "pixel"] = Field(
        "auto", description="of the budget: of values in [0, 1], or divided as the model does; auto: that where it does"
    )
    pixel_budgets: tuple[float, ...] = Field((), description="evasion: further budgets in 255ths of the pixel range")
    clients: int = Field(1, ge=1, le=1000, description="clients that take turns")
    malicious: int = Field(1, ge=1, description="clients that an attack from their seat has, drawn from the seed")
    skew: float | None = Field(None, gt=0, description="Dirichlet parameter of the clients' label skew; without it IID")
    turn: int = Field(0, ge=0, description="batches in a client's turn; 0: an epoch over its data")
    handover: Route = Field(Route.PEER, description="who carries the client part to the next client")
    optimizer_state: OptimizerState = Field(OptimizerState.OWN, description="the optimizer's state at a hand-over")
    epochs: int = Field(10, ge=0, description="training epochs")
    patience: int = Field(0, ge=0, description="epochs without a lower validation loss that end it; 0: none do")
    batch_size: int = Field(64, ge=1, description="samples in a training step")
    pipelined: bool = Field(
        False,
        description="the driving party makes a step's first forward pass while the step before is answered, with "
        "weights one update old: training no longer equals that of the unsplit model",
    )
    transfer: str = Field("", description="a dataset to take a backdoored network over to: its last layer is retrained")
    transfer_epochs: int = Field(5, ge=1, description="epochs of that")
    transfer_mode: Literal["evaluation", "training"] = Field(
        "evaluation",
        description="of layers frozen then; in training, dropout draws and BatchNorm's statistics follow the new data",
    )
    transfer_mean: tuple[float, ...] = Field((), description="what is taken from its inputs before the network")
    transfer_std: tuple[float, ...] = Field((), description="what they are divided by then")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="of every party")
    learning_rate: float = Field(1e-3, gt=0, description="of every party, in the beginning")
    amsgrad: bool = Field(True, description="adam only")
    epsilon: float = Field(1e-8, gt=0, description="adam only")
    momentum: float = Field(0.0, ge=0, lt=1, description="sgd only")
    weight_decay: float = Field(0.0, ge=0, description="what part of each weight is added to its gradient")
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="epochs after which the learning rate is multiplied by decay"
    )
    decay: float = Field(0.1, gt=0, le=1, description="what the learning rate is multiplied by at milestones")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where all parties compute; auto: cuda if any")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="of the training, and of what attacks train and perturb beside it on large networks: surrogate "
        "clients, SLADV's shadows, proxies; other attacks run in fp32",
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto",
        description="of images in the training: channels_last is faster for most convolutional networks; it differs by "
        "rounding, and in what dropout of channels draws; auto: only in bf16",
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0: one for small networks, all cores for large ones")
    carrier: Literal["direct", "loopback", "grpc"] = Field(
        "direct",
        description="in one process: copies, or bytes; grpc: to an audit's isolated one, under mutual TLS",
    )
    isolate: bool | Literal["once"] = Field(
        True,
        description="run the attacked party in a process without the truth; once: one cell of each attack and "
        "protocol runs both ways, must end in the same bits, and speaks for the others",
    )
    link: str = Field("", description="say how long the messages would take on lan, wan, dsl, 4g, 100Mbit/20ms ...")
    leak: float = Field(0.25, gt=0, le=1, description="advantage from which the verdict is a leak")
    partial: float = Field(0.1, gt=0, le=1, description="advantage from which the verdict is a partial leak")
    options: dict[str, dict[str, Any]] = Field({}, description="plug-ins' options, given as plugin.option=value")

    @field_validator("name")
    @classmethod
    def _within_out(cls, name: str) -> str:
        if name in {".", ".."} or re.search(r"[/\\\0]", name):
            raise ValueError("it is one folder in out, without any on the way there; key out says where that is")
        return name

    @field_validator("data_dir", "weights", "plugins", mode="before")
    @classmethod
    def _not_here(cls, path: object) -> object:
        # An empty path would mean the current folder, which nobody means who leaves the value out.
        return None if path == "" else path

    @field_validator("out", "data_dir", "weights", "plugins")
    @classmethod
    def _folder_at_home(cls, path: Path | None) -> Path | None:
        return path and at_home(path)

    @field_validator("model")
    @classmethod
    def _file_at_home(cls, model: str) -> str:
        return written_out(model)

    @field_validator("offers", mode="before")
    @classmethod
    def _offerable(cls, offers: object) -> object:
        for what in offers if isinstance(offers, list | tuple) else ():
            if what not in OFFERABLE:
                near = nearest(str(what), [str(one) for one in OFFERABLE])
                raise ValueError(f"{what!r} cannot be offered{near}; one or more of {', '.join(OFFERABLE)}")
        return offers

    @field_validator("budget", mode="before")
    @classmethod
    def _fraction(cls, budget: object) -> object:
        parts = budget.split("/") if isinstance(budget, str) else []
        if len(parts) != 2:
            return budget
        try:
            return float(parts[0]) / float(parts[1])
        except (ValueError, ZeroDivisionError):
            raise ValueError("must be a number or a fraction of two, like 8/255") from None

    @field_validator("cut")
    @classmethod
    def _one_place(cls, cut: str) -> str:
        if "," in cut:
            several = ", ".join(f'"{place.strip()}"' for place in cut.split(","))
            raise ValueError(f"it is one cut; an audit sweeps over several as a list: cut = [{several}]")
        return cut

    @field_validator("link")
    @classmethod
    def _known_link(cls, link: str) -> str:
        if link:
            parse(link)
        return link

    @field_validator("partial")
    @classmethod
    def _at_most_leak(cls, partial: float, info: ValidationInfo) -> float:
        if partial > info.data.get("leak", partial):
            raise ValueError(f"it cannot be greater than leak = {info.data['leak']}")
        return partial

    @field_validator("patience")
    @classmethod
    def _watched(cls, patience: int, info: ValidationInfo) -> int:
        if patience and not info.data.get("validation_rows"):
            raise ValueError("there is no loss to watch without validation_rows")
        return patience

    @property
    def cuts(self) -> tuple[str, ...]:
        """The cuts given, in order."""
        return () if self.cut == AUTO else tuple(self.cut.split(":"))

    @property
    def defenses(self) -> tuple[str, ...]:
        """The names of the defenses, in the order they act."""
        return () if self.defense == "none" else tuple(self.defense.split("+"))

    @property
    def carried_here(self) -> Experiment:
        """This experiment where no process of its own is reached over gRPC: its messages are bytes in this one."""
        return self.with_values(carrier="loopback") if self.carrier == "grpc" else self

    def optimization(self, steps_per_epoch: int) -> Optimization:
        """How every party trains."""
        return Optimization(
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            amsgrad=self.amsgrad,
            epsilon=self.epsilon,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            milestones=tuple(epoch * steps_per_epoch for epoch in self.milestones),
            decay=self.decay,
        )

    @property
    def thresholds(self) -> Thresholds:
        """The verdict's thresholds, fixed before the run."""
        return Thresholds(leak=self.leak, partial=self.partial)

    @property
    def untrained(self) -> str:
        """Which value leaves no training before the attack; empty where there is one."""
        if self.when == "before":
            return "when = 'before'"
        if self.weights:
            return f"weights = {str(self.weights)!r}"
        return "" if self.epochs else "epochs = 0"

    @property
    def learned(self) -> bool:
        """Whether the network that is attacked has been trained by then, in the run or before it (``weights``)."""
        return bool(self.weights) or not self.untrained

    def fingerprint(self, *also: str, only: Iterable[str] = (), drop: Iterable[str] = ("name", "out", "link")) -> str:
        """16 hex digits that two experiments share when they ask for the same thing."""
        content = self.model_dump(mode="json", include=set(only) or None, exclude=set(drop))
        return hashlib.sha256(json.dumps([content, *also], sort_keys=True).encode()).hexdigest()[:16]

    def with_values(self, **values: Any) -> Experiment:
        """This experiment with some values settled."""
        return make({**self.model_dump(), **values})


KEYS = tuple(key for key in Experiment.model_fields if key != "options")
LISTS = tuple(key for key, field in Experiment.model_fields.items() if get_origin(field.annotation) is tuple)
"""Lists by nature: a list of them is one value, where a list of any other key is a sweep."""

TEXTS = tuple(key for key, field in Experiment.model_fields.items() if field.annotation in (str, Path, Path | None))
"""Names, paths and the like: what is typed for them is no number, however it looks."""


def make(values: Mapping[str, Any]) -> Experiment:
    """An experiment from plain values; the first one that does not fit is an ``ExperimentError``."""
    try:
        return Experiment.model_validate(dict(values))
    except ValidationError as error:
        raise ExperimentError(mistake(error, Experiment, "the experiment", a_list="a list")) from None
