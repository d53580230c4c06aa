"""What one party of a deployment leaves behind: its own part of the model, its own record, its own metrics."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save

from cutlayer.deploying.place import Place
from cutlayer.deploying.turn import Turn
from cutlayer.disk import PRIVATE, write_whole
from cutlayer.experiment import ExperimentError
from cutlayer.layout import PartyFolder
from cutlayer.message import detached
from cutlayer.network import unscaled
from cutlayer.provenance import code, environment
from cutlayer.record import Traffic
from cutlayer.simulation.traffic import by_kind, counted
from cutlayer.threat import Seat


class TurnMetrics(BaseModel):
    """One turn of a client, as it saw it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    turn: int
    epoch: int
    first_step: int
    steps: int
    loss: float | None = None
    """Mean over the turn's steps, where this party learns it."""
    gradient_norm: float | None = None
    label_gap: float | None = None
    """Of what this client was sent back for a batch, means over the turn: see ``scrutiny``."""
    seconds: float | None = None
    """From the turn's first step in this process to its end."""


class PartyRecord(BaseModel):
    """One party's own account of a deployment; nothing in it comes from another party's data."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    party: str
    seat: str
    status: str
    """``training`` or ``done``."""
    plan: dict[str, Any]
    fingerprint: str
    """Of the plan; all parties' records show the same."""
    own: dict[str, Any] | None = None
    """What the bits depend on beside the plan, of this party's settings and data; None: written by another version."""
    part: str = ""
    """The safetensors file with this party's part of the model, beside the record."""
    parameters: int = 0
    steps: int = 0
    """Training steps of the whole deployment so far."""
    turns: tuple[TurnMetrics, ...] = ()
    accuracy: dict[int, float] = Field(default_factory=dict)
    """On this party's own test data, after each epoch that it measured."""
    skipped: tuple[int, ...] = ()
    """Turns that were given to others, or to nobody, because a client stayed away (the server's record)."""
    interruptions: int = 0
    """Connections lost, and processes that went on where another had stopped."""
    bytes_sent: int = 0
    """Frames of this party's own messages, requests or replies; hand-overs are not counted."""
    bytes_received: int = 0
    traffic: dict[str, Traffic] = Field(default_factory=dict)
    """By kind of message; up is from client to server."""
    encrypted: bool = True
    """Whether the connection ran under mutual TLS."""
    code: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, Any] = Field(default_factory=dict)
    written: str = ""


class Outcome:
    """Metrics as they come, and what is written of them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.turns: dict[int, TurnMetrics] = {}
        self.accuracy: dict[int, float] = {}
        self.skipped: tuple[int, ...] = ()
        self.interruptions = 0
        self._began = time.monotonic()
        self.load(place.durable.notes)
        former = read_party_record(place.settings.folder)
        if former and former.status == "training":
            self.interruptions = max(self.interruptions, former.interruptions) + 1

    def load(self, notes: Mapping[str, Any]) -> None:
        """Stand where the notes of a checkpoint were taken."""
        kept = notes.get("outcome", {})
        self.turns = {turn["turn"]: TurnMetrics(**turn) for turn in kept.get("turns", [])}
        self.accuracy = {int(epoch): value for epoch, value in kept.get("accuracy", {}).items()}
        self.interruptions = max(self.interruptions, kept.get("interruptions", 0))

    def dump(self) -> dict[str, Any]:
        """For the notes of a checkpoint."""
        turns = [turn.model_dump() for turn in self.turns.values()]
        return {"turns": turns, "accuracy": self.accuracy, "interruptions": self.interruptions}

    def begin(self) -> None:
        """A turn starts, or goes on."""
        self._began = time.monotonic()

    def turn(self, turn: Turn, losses: Sequence[float], returned: Mapping[str, float] = MappingProxyType({})) -> None:
        """A turn is over; ``returned`` is what was measured of the gradients that came back."""
        loss = math.fsum(losses) / len(losses) if losses else None
        self.turns[turn.number] = TurnMetrics(
            turn=turn.number,
            epoch=turn.epoch,
            first_step=turn.start,
            steps=turn.count,
            loss=loss,
            seconds=time.monotonic() - self._began,
            **returned,
        )

    def evaluated(self, epoch: int, accuracy: float) -> None:
        """An accuracy, from 0 to 1."""
        self.accuracy[epoch] = accuracy

    def finish(self) -> None:
        """Write this party's part, then the record that says so."""
        parts = [unscaled(part) for part in self._place.durable.party.parts]
        weights = {name: detached(t).cpu() for part in parts for name, t in part.state_dict().items()}
        write_whole(PartyFolder(self._place.settings.folder).part, save(weights), PRIVATE)
        self.write("done")

    def write(self, status: str) -> PartyRecord:
        """Write the record."""
        place, durable, settings = self._place, self._place.durable, self._place.settings
        folder = PartyFolder(settings.folder)
        requests, replies = durable.meter.sent, durable.meter.received
        sent, received = (requests, replies) if durable.drives else (replies, requests)
        record = PartyRecord(
            party=durable.party.name,
            seat=place.seat.value,
            status=status,
            plan=place.plan.agreed(),
            fingerprint=place.plan.fingerprint,
            own=place.own,
            part=folder.part.name if status == "done" else "",
            parameters=sum(weight.numel() for weight in durable.party.parts.parameters()),
            steps=durable.party.step,
            turns=tuple(self.turns.values()),
            accuracy=self.accuracy,
            skipped=self.skipped,
            interruptions=self.interruptions,
            bytes_sent=sent,
            bytes_received=received,
            traffic=by_kind(counted(durable.meter), up_first=place.plan.protocol.driver is Seat.CLIENT),
            encrypted=not settings.insecure,
            code=code(),
            environment=environment(settings.device, settings.precision, settings.memory_format, settings.threads),
            written=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        )
        write_whole(folder.record, record.model_dump_json(indent=1) + "\n", PRIVATE)
        return record


def read_party_record(folder: Path) -> PartyRecord | None:
    """The record in a party's folder; ``None`` where there is none, an ``ExperimentError`` for another file."""
    path = PartyFolder(folder).record
    try:
        return PartyRecord.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError:
        raise ExperimentError(f"{path} is not a party's record: choose another `folder`") from None
