"""What the parties of a deployment agree on: the plan, its fingerprint, and what differs between two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from torch import nn

from cutlayer import network, registry
from cutlayer.compression import Compression, PackedWire
from cutlayer.defense import Defense
from cutlayer.deploying.turn import Turn
from cutlayer.exchange.handover import Route
from cutlayer.experiment import AUTO, Experiment, ExperimentError, make
from cutlayer.given import Given
from cutlayer.mistake import mistake, nearest
from cutlayer.model import CutError
from cutlayer.order import batch_sizes, stretches
from cutlayer.protocol import Protocol
from cutlayer.scene.defending import check_stateless
from cutlayer.scene.loading import scaling
from cutlayer.seat.making import make_codec, make_protocol
from cutlayer.transport.certificate import NAME
from cutlayer.transport.duplex import printable
from cutlayer.wire import Agreement

Values = TypeVar("Values", bound=BaseModel)
_SHOWN = 8
LANGUAGE = 2
"""Of the messages between the parties; it changes when old and new ones would misunderstand each other."""
TRAINING_KEYS = (
    *(
        "protocol",
        "model",
        "input_mean",
        "input_std",
        "cut",
        "seed",
        "skew",
        "turn",
        "handover",
        "optimizer_state",
        "epochs",
        "batch_size",
        "pipelined",
    ),
    *("optimizer", "learning_rate", "amsgrad", "epsilon", "momentum", "weight_decay", "milestones", "decay"),
)
"""The keys of an experiment that all parties share."""


class Terms(Given):
    """What the plan says beyond an experiment's keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[int, ...] = Field(min_length=1, description="shape of one input: [channels, height, width]")
    classes: int = Field(ge=2, description="how many classes there are")
    clients: tuple[str, ...] = Field(min_length=1, max_length=1000, description="the clients' names, in turn order")
    trusted_party: str = Field("", description="who keeps the client part between turns, with handover = trusted_party")
    codec: str = Field("", description="a wire codec among the defenses: half_precision, int8_quantization; lossy")
    codec_options: dict[str, Any] = Field({}, description="the codec's options")
    evaluate: int = Field(1, ge=0, description="measure the accuracy after every so many epochs; 0: only at the end")

    @field_validator("clients")
    @classmethod
    def _names(cls, clients: tuple[str, ...]) -> tuple[str, ...]:
        for name in clients:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be a name: letters, digits, dots, dashes, at most 63")
        if len(set(clients)) < len(clients):
            raise ValueError("a client is named twice")
        return clients

    @model_validator(mode="after")
    def _another(self) -> Terms:
        if self.trusted_party in self.clients:
            raise ValueError(f"trusted_party = {self.trusted_party!r}: it cannot be one of the clients")
        return self

    @field_validator("inputs")
    @classmethod
    def _positive(cls, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if min(inputs) < 1:
            raise ValueError("every side of the inputs must be at least 1")
        return inputs


PLAN_KEYS = (*Terms.model_fields, *TRAINING_KEYS)


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan with nothing left open."""

    terms: Terms
    experiment: Experiment
    """The training's keys; all others at their defaults."""
    protocol: Protocol
    cuts: tuple[int, ...]
    agreement: Agreement
    architecture: str
    """A digest of the network's layers and of the shapes of its weights."""
    plugins: Path | None = None
    packed: PackedWire | None = None
    """The wire with its codec, where there is one."""

    def agreed(self) -> dict[str, Any]:
        """What both sides must have alike, as JSON."""
        values = {key: getattr(self.experiment, key) for key in TRAINING_KEYS if key != "cut"}
        if ":" in self.experiment.model:
            # Where a user's own file lies is each party's affair; what it builds is compared by its digest.
            values["model"] = "a file of the user's own"
        values |= {"cut": ":".join(map(str, self.cuts)), "architecture": self.architecture, "language": LANGUAGE}
        found: dict[str, Any] = json.loads(json.dumps({**values, **self.terms.model_dump()}))
        return found

    @property
    def fingerprint(self) -> str:
        """64 hex digits that two plans share when they agree."""
        return hashlib.sha256(json.dumps(self.agreed(), sort_keys=True).encode()).hexdigest()

    def build(self, seed: int) -> nn.Sequential:
        """The whole network with weights drawn from ``seed``."""
        experiment, terms = self.experiment, self.terms
        shape, classes = terms.inputs, terms.classes
        return network.build(experiment.model, shape, classes, seed, self.plugins, scaling(experiment))

    def turns(self, rows: list[int]) -> list[Turn]:
        """Every turn of the training, in order, where client ``i`` has ``rows[i]`` training samples."""
        experiment = self.experiment
        held = [len(batch_sizes(size, experiment.batch_size)) for size in rows]
        every = [(epoch, at) for epoch in range(1, experiment.epochs + 1) for at in stretches(held, experiment.turn)]
        return [Turn(number, epoch, *at, epoch_steps=sum(held)) for number, (epoch, at) in enumerate(every, start=1)]


def differences(here: Mapping[str, Any], there: Mapping[str, Any], them: str) -> str:
    """What two plans differ in, in one sentence; empty where they agree."""
    keys = [key for key in (*here, *(key for key in there if key not in here)) if here.get(key) != there.get(key)]
    said = [
        f"{printable(key[:40])} is {_shown(here, key)} at the server, {_shown(there, key)} at {them}"
        for key in keys[:_SHOWN]
    ]
    return "; ".join(said) + (f"; and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key])[:80] if key in values else "not known"


def make_plan(values: Mapping[str, Any], plugins: Path | None = None) -> Plan:
    """A plan from plain values; whatever is wrong with it is an ``ExperimentError``."""
    for key in values:
        if key not in PLAN_KEYS:
            near = nearest(key, PLAN_KEYS)
            raise ExperimentError(f"unknown key {key!r} in the plan{near}; keys: {', '.join(PLAN_KEYS)}")
    missing = next((key for key in ("protocol", "model", "inputs", "classes", "clients") if key not in values), "")
    if missing:
        raise ExperimentError(f"the plan does not say {missing!r}: every party must know it before anybody starts")
    terms = validated(Terms, {key: value for key, value in values.items() if key in Terms.model_fields})
    experiment = make({key: value for key, value in values.items() if key in TRAINING_KEYS})
    for key in ("protocol", "model"):
        if getattr(experiment, key) == AUTO:
            raise ExperimentError(f"{key} = 'auto': a plan names it")
    if (experiment.handover is Route.TRUSTED_PARTY) != bool(terms.trusted_party):
        raise ExperimentError(
            "handover = 'trusted_party' and the key trusted_party (the name of who keeps the client part) go together"
        )
    try:
        protocol = make_protocol(experiment.protocol, plugins)
        scaled = scaling(experiment)
        model = network.build(experiment.model, terms.inputs, terms.classes, 0, plugins, scaled)
        cuts = protocol.cuts(model, experiment.cuts)
        agreement = protocol.agree(model, cuts, terms.inputs)
    except (CutError, network.NetworkError, registry.PluginError) as error:
        raise ExperimentError(" ".join(str(error).split())) from None
    codec = _codec(terms, protocol, plugins)
    packed = PackedWire(codec, protocol.wire, agreement) if codec else None
    shapes = [(name, list(tensor.shape)) for name, tensor in model.state_dict().items()]
    architecture = hashlib.sha256(f"{model}{shapes}".encode()).hexdigest()[:16]
    return Plan(terms, experiment, protocol, cuts, agreement, architecture, plugins, packed)


def _codec(terms: Terms, protocol: Protocol, plugins: Path | None) -> Compression | None:
    if not terms.codec:
        return None
    try:
        kinds = {name: registry.cls("defenses", name, Defense, plugins) for name in registry.names("defenses", plugins)}
        known = [name for name, kind in kinds.items() if issubclass(kind, Compression)]
        if terms.codec in known:
            made = partial(registry.make, kinds[terms.codec], terms.codec_options, terms.codec)
            check_stateless(terms.codec, made, [protocol])
            return make_codec(terms.codec, terms.codec_options, plugins)
    except registry.PluginError as error:
        raise ExperimentError(f"codec: {error}") from None
    other = terms.codec in kinds
    why = "this defense is no wire codec, it goes into a client's `defense`" if other else "there is none of that name"
    near = "" if other else nearest(terms.codec, known)
    raise ExperimentError(f"codec = {terms.codec!r}: {why}{near}; one of {', '.join(known)}")


def validated(kind: type[Values], values: Mapping[str, Any]) -> Values:
    """``values`` as a ``kind``; the first one that does not fit is an ``ExperimentError`` of one sentence."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise ExperimentError(mistake(error, kind, "the plan", a_list="a list, in brackets")) from None
