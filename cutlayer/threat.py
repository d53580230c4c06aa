"""What an adversary wants, what it may know, and the one window through which it gets to know it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from torch import Tensor, nn

from cutlayer.budget import Budget
from cutlayer.knowledge import Knows as Knows
from cutlayer.message import Kind
from cutlayer.own_party import OwnParty
from cutlayer.shelf import Shelf, made

T = TypeVar("T")
Note = float | int | str | list[float]
"""A value an attack may put into its record."""
Progress = Callable[[str, int, int], None]
"""Told what is going on: a few words, and how much of it is done of how much."""


class Seat(StrEnum):
    """A role in a protocol."""

    CLIENT = "client"
    SERVER = "server"


class Goal(StrEnum):
    """What an attack tries to obtain."""

    INPUTS = "inputs"
    LABELS = "labels"
    MODEL = "model"
    BACKDOOR = "backdoor"
    EVASION = "evasion"


class Row(NamedTuple):
    """A sample as the wire shows it: the row-th one of the message of this kind and step."""

    kind: Kind
    step: int
    row: int


@dataclass(frozen=True)
class ThreatModel:
    """Who attacks, for what, knowing what."""

    seat: Seat
    goals: frozenset[Goal]
    knows: frozenset[Knows]
    tampers: bool = False
    """Whether it departs from the protocol (malicious) or only watches (honest but curious)."""

    def __post_init__(self) -> None:
        # Compared by identity later: a plain text in their place would pass for another seat or goal.
        object.__setattr__(self, "seat", Seat(self.seat))
        object.__setattr__(self, "goals", frozenset(map(Goal, self.goals)))
        object.__setattr__(self, "knows", frozenset(map(Knows, self.knows)))


class NotOfferedError(Exception):
    """The experiment does not offer what an attack needs: the cell does not apply."""


class UndeclaredError(Exception):
    """An attack reached for something its threat model does not declare: a defect of the attack."""


class TooEarlyError(Exception):
    """An attack asked another seat before anybody sat there, or about targets before any: a defect of the attack."""


class TooLateError(Exception):
    """An attack asked for more once it had guessed: a defect of the attack."""


@dataclass(frozen=True)
class Architecture:
    """What knowing a peer's architecture means: fresh copies of its parts, and shapes."""

    build: Callable[[int], nn.Module]
    """A part by its number, with new random weights drawn from the default generator."""
    input_shapes: tuple[tuple[int, ...], ...]
    """The shape of one input of each part, without the batch."""
    classes: int


@dataclass(frozen=True)
class Layout:
    """Who holds what in the protocol that is run: public, like everything both parties agreed on."""

    protocol: str
    """Its name, for sentences alone: nothing is to be decided by it, as others may do the same under other names."""
    owners: tuple[Seat, ...]
    """Who holds each part of the model, from the inputs on."""
    labels_at: Seat
    """Who computes the loss."""
    driver: Seat
    """Who starts every exchange, on batches of its own."""


@dataclass
class View:
    """An adversary's window: one method for each thing that can be known, valid until ``infer`` returns.

    Built from what the experiment ``grants``; it refuses to be built when the threat model declares more than that,
    keeps none that the threat model does not declare, refuses those, and counts what was used.
    """

    threat: ThreatModel
    grants: InitVar[Mapping[Knows, Callable[..., Any]]]
    targets: Sequence[Row]
    """The samples to be guessed. Empty until the client has sent them; a guess is keyed by them."""
    layout: Layout = Layout("", (Seat.CLIENT, Seat.SERVER), Seat.SERVER, Seat.CLIENT)
    """Of the protocol that is run."""
    progress: Progress = lambda what, done, total: None
    within: InitVar[Sequence[Budget]] = ()
    """Its ``budgets``, once there are targets."""
    used: dict[Knows, int] = field(default_factory=dict)
    notes: dict[str, Note] = field(default_factory=dict)
    shelf: InitVar[Shelf | None] = None
    """Where attacks of the same run leave what they have made of the same things: behind ``made_once``."""
    spared: float = 0.0
    """Seconds of work that was found there: the attack's, whoever did it."""

    def __post_init__(
        self, grants: Mapping[Knows, Callable[..., Any]], within: Sequence[Budget], shelf: Shelf | None
    ) -> None:
        missing = sorted(self.threat.knows - set(grants))
        if missing:
            why = "key offers; an aux of another dataset has no labels" if Knows.AUX_LABELS in missing else "key offers"
            if exposed := [what for what in missing if not what.facts.offerable]:
                why = f"only a protocol can show {', '.join(exposed)}"
            raise NotOfferedError(f"the experiment does not offer {', '.join(missing)} ({why})")
        self._grants = {what: grants[what] for what in self.threat.knows}
        self._open, self._within, self._shelf = True, within, shelf

    @property
    def protocol(self) -> str:
        """The name of the protocol that is run, for sentences."""
        return self.layout.protocol

    @property
    def budgets(self) -> Sequence[Budget]:
        """``EVASION``: how far adversarial inputs may be from the natural ones; one guess for each, by its name."""
        self._of_targets("budgets")
        return self._within

    def grant(self, what: Knows, *arguments: Any) -> Any:
        """The one gate: everything known passes here, declared and counted."""
        if what not in self.threat.knows:
            raise UndeclaredError(f"the threat model does not declare {what}; it declares {_names(self.threat.knows)}")
        self._still_open(what)
        if what in {Knows.NATURAL_INPUTS, Knows.NATURAL_LABELS}:
            self._of_targets(what)
        self.used[what] = self.used.get(what, 0) + 1
        return self._grants[what](*arguments)

    def _still_open(self, what: str) -> None:
        if not self._open:
            raise TooLateError(f"{what} is asked for after the guess: nothing is granted once `infer` has returned")

    def _of_targets(self, what: str) -> None:
        """``TooEarlyError`` before there are any: what an attack makes of a training serves several sets of them."""
        if not self.targets:
            raise TooEarlyError(f"{what} are known once there are targets: ask while guessing, not during the training")

    def close(self) -> None:
        """Grant nothing from now on."""
        self._open = False

    def own_part(self, number: int = 0) -> nn.Module:
        """A copy of one of this seat's model parts, of which there can be two, with its present weights."""
        part: nn.Module = self.grant(Knows.OWN_PART, number)
        return part

    def own_party(self) -> OwnParty:
        """The live party of this seat."""
        party: OwnParty = self.grant(Knows.OWN_PARTY)
        return party

    def peer_architecture(self) -> Architecture:
        """The other seat's parts without their weights."""
        architecture: Architecture = self.grant(Knows.PEER_ARCHITECTURE)
        return architecture

    def peer_weights(self) -> dict[str, Tensor]:
        """The other seat's present weights by name, ``<part number>.<block>.<weight>``."""
        weights: dict[str, Tensor] = self.grant(Knows.PEER_WEIGHTS)
        return weights

    def peer_gradients(self) -> dict[str, Tensor]:
        """The gradients of the other seat's own weights in the latest step, named like ``peer_weights``."""
        gradients: dict[str, Tensor] = self.grant(Knows.PEER_GRADIENTS)
        return gradients

    def peer_queries(self, inputs: Tensor) -> Tensor:
        """The other seat's outputs at the cut for ``inputs`` [n, ...]; the n queries are counted."""
        outputs: Tensor = self.grant(Knows.PEER_QUERIES, inputs)
        self.used[Knows.PEER_QUERIES] += len(inputs) - 1
        return outputs

    def aux_inputs(self) -> Tensor:
        """Other inputs of the same kind, float32 [n, ...] in [0, 1]."""
        inputs: Tensor = self.grant(Knows.AUX_INPUTS)
        return inputs

    def aux_labels(self) -> Tensor:
        """The labels of ``aux_inputs``, int64 [n]."""
        labels: Tensor = self.grant(Knows.AUX_LABELS)
        return labels

    def natural_inputs(self) -> Tensor:
        """Inputs to perturb, those of the targets in their order: float32 [n, ...] in [0, 1]."""
        inputs: Tensor = self.grant(Knows.NATURAL_INPUTS)
        return inputs

    def natural_labels(self) -> Tensor:
        """The labels of ``natural_inputs``, int64 [n]."""
        labels: Tensor = self.grant(Knows.NATURAL_LABELS)
        return labels

    def schedule(self) -> Callable[[int], float]:
        """The learning rate by step."""
        schedule: Callable[[int], float] = self.grant(Knows.SCHEDULE)
        return schedule

    def class_prior(self) -> Tensor:
        """How often each class occurs, float32 [classes], summing to 1."""
        prior: Tensor = self.grant(Knows.CLASS_PRIOR)
        return prior

    def note(self, name: str, value: Note) -> None:
        """Put a value beside the result in the record; ``TypeError`` for one that a record cannot keep."""
        if odd := _odd(value):
            raise TypeError(f"note {name!r} is {odd}: a record keeps a float, an int, a text or a list of numbers")
        self.notes[name] = value

    def made_once(self, key: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """What ``make`` gives, or what another attack of the run was given under the same ``key``, with its notes.

        ``key`` is a digest of all that the result depends on: what was granted, options, the seed of what is drawn.
        """
        self._still_open("work of others")
        found, seconds = made(self._shelf, key, make, self.notes)
        self.spared += seconds
        return found

    def track(self, steps: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Go through ``steps`` while progress is shown; at most ten reports a second leave the attack."""
        if total is None:
            total = len(steps)  # type: ignore[arg-type]
        last, done = 0.0, 0
        self.progress(what, 0, total)
        for done, step in enumerate(steps, start=1):
            yield step
            now = time.monotonic()
            if now - last > 0.1:
                self.progress(what, done, total)
                last = now
        self.progress(what, done, total)


def _odd(value: object) -> str:
    """What a value is that is no ``Note``, in words; empty for one."""
    if isinstance(value, list):
        return next((f"a list with a {type(one).__name__} in it" for one in value if not _number(one)), "")
    return "" if _number(value) or isinstance(value, str) else f"a {type(value).__name__}"


def _number(value: object) -> bool:
    return isinstance(value, float | int)


def _names(values: Iterable[StrEnum]) -> str:
    return ", ".join(sorted(values)) or "nothing"
