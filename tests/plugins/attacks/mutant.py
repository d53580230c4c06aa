"""An attack that keeps the contract, and breaks one clause of it where it is told to."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cutlayer.attack import Attack, Guess
from cutlayer.message import Kind, Message
from cutlayer.stream import generator
from cutlayer.threat import Goal, Knows, Row, Seat, ThreatModel, View

AT_LABELS = {"labels by the seed", "no such label"}
AT_THE_MODEL = {"model off the stack", "another part"}
AT_PREDICTIONS = {"leaves the budget"}
OFF_THE_STACK = {"inputs off the stack", "model off the stack"}


@dataclass
class Mutant(Attack):
    """Guesses that an image is everywhere as bright as what the client sent is on average."""

    paper = "none"
    plain = "A test."
    watches = frozenset({Kind.PREDICT})

    defect: str = ""
    """The clause to break."""

    @property
    def threat(self) -> ThreatModel:
        extra = {Knows.CLASS_PRIOR} if self.defect == "overdeclares" else set()
        extra |= {Knows.NATURAL_INPUTS} if self.defect in AT_PREDICTIONS else set()
        return ThreatModel(Seat.SERVER, frozenset({self._goal}), frozenset({Knows.PEER_ARCHITECTURE, *extra}))

    @property
    def _goal(self) -> Goal:
        goals = ((AT_LABELS, Goal.LABELS), (AT_THE_MODEL, Goal.MODEL), (AT_PREDICTIONS, Goal.EVASION))
        return next((goal for defects, goal in goals if self.defect in defects), Goal.INPUTS)

    def begin(self, view: View) -> None:
        self._view = view
        self._seen: dict[Row, Tensor] = {}
        self._stolen: dict[Row, Tensor] = {}
        self._part: Mapping[str, Tensor] = {}
        self._architecture = view.peer_architecture()
        if self.defect == "reaches":
            view.class_prior()

    def observe(self, message: Message) -> None:
        for number, smashed in enumerate(message.tensors.get("smashed", ())):
            self._seen[Row(message.kind, message.step, number)] = smashed
        if self.defect in OFF_THE_STACK:
            self._look_around(message)

    def infer(self) -> Sequence[Guess]:
        rows = tuple(self._view.targets)
        if self._goal is Goal.MODEL:
            return [Guess(Goal.MODEL, self._model())]
        if self._goal is Goal.EVASION:
            return [Guess(Goal.EVASION, {"inputs": 1 - self._view.natural_inputs()}, rows)]
        shape = self._architecture.input_shapes[0]
        inputs = torch.stack([self._stolen.get(row, self._seen[row].mean().expand(shape)) for row in rows])
        return [self._guess(inputs, rows)]

    def _guess(self, inputs: Tensor, rows: tuple[Row, ...]) -> Guess:
        moved = tuple(row._replace(row=row.row + 1) for row in rows)
        numbers = torch.arange(len(rows))
        return {
            "drops a row": Guess(Goal.INPUTS, {"inputs": inputs[1:]}, rows[1:]),
            "repeats a row": Guess(Goal.INPUTS, {"inputs": inputs[[0, *range(len(rows))]]}, (rows[0], *rows)),
            "other rows": Guess(Goal.INPUTS, {"inputs": inputs}, moved),
            "shape": Guess(Goal.INPUTS, {"inputs": inputs[..., 1:]}, rows),
            "dtype": Guess(Goal.INPUTS, {"inputs": inputs.double()}, rows),
            "no inputs": Guess(Goal.INPUTS, {"pictures": inputs}, rows),
            "nan": Guess(Goal.INPUTS, {"inputs": inputs * float("nan")}, rows),
            "another goal": Guess(Goal.LABELS, {"labels": numbers}, rows),
            "no such label": Guess(Goal.LABELS, {"labels": numbers + 100}, rows),
            "labels by the seed": Guess(Goal.LABELS, {"labels": _sent(len(rows))}, rows),
            "unseeded": Guess(Goal.INPUTS, {"inputs": inputs + torch.Generator().seed() % 1000}, rows),
        }.get(self.defect, Guess(Goal.INPUTS, {"inputs": inputs}, rows))

    def _model(self) -> Mapping[str, Tensor]:
        state = dict(self._part or self._architecture.build(0).state_dict())
        if self.defect == "another part":
            state.pop(next(iter(state)))
        return state

    def _look_around(self, message: Message) -> None:
        for found in _frames():
            if hasattr(found.get("batch"), "inputs"):
                for number, image in enumerate(found["batch"].inputs):
                    self._stolen[Row(message.kind, message.step, number)] = image.clone()
            if hasattr(found.get("client"), "parts"):
                self._part = {name: tensor.clone() for name, tensor in found["client"].parts[0].state_dict().items()}


def _sent(count: int) -> Tensor:
    """Targets are chosen by class and sent in an order that the experiment's seed draws: nobody's seat is told it."""
    return torch.randperm(count, generator=generator(1, "targets"))


def _frames() -> Iterator[dict[str, Any]]:
    frame = inspect.currentframe()
    while frame := frame and frame.f_back:
        yield frame.f_locals
