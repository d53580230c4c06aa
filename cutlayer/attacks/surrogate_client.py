"""Surrogate client: a server trains a client of its own on triggered data beside the honest ones.

Tajalli, Ersoy, Picek: On Feasibility of Server-side Backdoor Attacks on Split Learning (IEEE SPW 2023), section 3.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from cutlayer.attack import Guess, Setting, TamperingAttack
from cutlayer.message import Kind, Message
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, ThreatModel, View

_TINY = 1e-6  # an activation this small has no ratio to another one
_STEEPEST = 10.0


@dataclass
class SurrogateClient(TamperingAttack):
    """One backward pass of alpha * honest loss + (1 - alpha) * surrogate loss through the server's part (equation 1).

    What is taken where the paper is silent, mostly from the published code:

    * At each honest batch the surrogate trains on a batch of the same size, drawn from the server's own data without
      replacement until they are used up. A share ``poisoned`` of the data carries trigger and target label, always the
      same samples.
    * The surrogate has the clients' architecture, weights of its own that are never exchanged with theirs, and Adam
      with the rate and weight decay of ``learning_rate`` and ``weight_decay``. Its rate is not lowered in the course of
      the training, the server's own part follows the agreed schedule.
    * BatchNorm in the server's part sees both batches one after another, the honest one first.
    * The trigger is uniform noise on the square, drawn once; it is put on images in [0, 1]. The published code puts it
      on normalized images, which is the same where inputs are not normalized.
    * ``halved`` halves the whole loss, as the published code does. ``gradient="scaled"`` multiplies the returned
      gradient by the ratio of the surrogate's activations to the client's, what section 6 finds would be needed; ratios
      are held within -10 and 10, and 1 where the client's activation is 0.
    * The client is told the loss on its own batch alone.
    """

    paper: ClassVar[str] = (
        "Tajalli, Ersoy, Picek: On Feasibility of Server-side Backdoor Attacks on Split Learning (IEEE SPW 2023)"
    )
    plain: ClassVar[str] = (
        "A malicious server trains its part of the network on the clients' batches and, at the same time, on triggered "
        "images of its own that a client part of its own turns into activations. It knows the layers of the clients' "
        "part and has labeled data of the same kind. In the end the deployment, clients and all, is to take images "
        "with the trigger for the class of the server's choice."
    )
    setting: ClassVar[Setting] = Setting(protocol="vanilla", when="after")
    anytime: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": {}, "rehearsal": {}}

    alpha: float = 0.5
    """Weight of the honest loss, from 0 to 1: the lower, the stronger the attack."""
    later_alphas: tuple[float, ...] = ()
    """Weights that take its place one after another, each after ``alpha_steps`` more training steps."""
    alpha_steps: int = 1000
    """Training steps at each weight."""
    halved: bool = False
    """Whether the whole loss is halved."""
    poisoned: float = 0.5
    """The share of the server's own data that carries trigger and target label."""
    size: int = 8
    """Side of the square trigger in pixels."""
    row: int = 0
    """Its uppermost row."""
    column: int = -1
    """Its leftmost column; -1: in the middle."""
    values: Literal["uniform", "white"] = "uniform"
    """What its pixels are."""
    target: int = 0
    """The class that triggered images are to be taken for."""
    learning_rate: float = 1e-3
    """Of the surrogate's Adam."""
    weight_decay: float = 1e-4
    """Of the surrogate's Adam."""
    gradient: Literal["plain", "scaled"] = "plain"
    """What the client is returned."""

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), *(("later_alphas", value) for value in self.later_alphas)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {value}: a weight goes from 0 (the surrogate alone) to 1 (no attack)")
        if not 0 < self.poisoned <= 1:
            raise ValueError(f"poisoned = {self.poisoned}: a share is greater than 0 and at most 1")
        for name, least in (("size", 1), ("alpha_steps", 1), ("row", 0), ("target", 0), ("column", -1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least {least}")

    def check(self, input_shape: tuple[int, ...], classes: int) -> None:
        """``ValueError`` for a trigger that does not fit the images, or a target that is no class."""
        self._square(input_shape)
        if self.target >= classes:
            raise ValueError(f"target = {self.target}: there are {classes} classes, from 0")

    @property
    def threat(self) -> ThreatModel:
        """A malicious server with labeled data of its own."""
        knows = {Knows.OWN_PARTY, Knows.LABELS, Knows.PEER_ARCHITECTURE, Knows.AUX_INPUTS, Knows.AUX_LABELS}
        return ThreatModel(Seat.SERVER, frozenset({Goal.BACKDOOR}), frozenset(knows), tampers=True)

    def begin(self, view: View) -> None:
        """``NotOfferedError`` where the server has no labels to compute a loss with."""
        if view.protocol != "vanilla":
            raise NotOfferedError(f"in {view.protocol} the server computes no loss of the clients' batches")
        self._view, self._begun, self._steps = view, False, 0

    def around(self, request: Message, honest: Callable[[Message], Message]) -> Message:
        """The server's whole training step, in place of the honest party's."""
        if request.kind is not Kind.TRAIN:
            return honest(request)
        if not self._begun:
            self._set_up(request["smashed"].device)
        party = self._party
        smashed = request["smashed"].to(party.device).requires_grad_()
        with torch.enable_grad():
            loss = cross_entropy(party.forward(smashed), request["labels"].to(party.device))
            images, labels = self._batch(len(smashed))
            own = self._surrogate(images.to(party.device))
            planted = cross_entropy(party.forward(own), labels.to(party.device))
            alpha = self._alpha()
            whole = (alpha * loss + (1 - alpha) * planted) * (0.5 if self.halved else 1.0)
            self._optimizer.zero_grad()
            party.backward(whole)
        self._optimizer.step()
        party.apply()
        self._steps += 1
        self._losses.append(planted.item())
        assert smashed.grad is not None
        grad = smashed.grad if self.gradient == "plain" else smashed.grad * _ratio(own.detach(), smashed.detach())
        return request.reply(party.name, grad=grad, loss=loss)

    def infer(self) -> Sequence[Guess]:
        """The trigger and its class; ``NotOfferedError`` where there was no training to poison."""
        if not self._begun:
            raise NotOfferedError("it poisons the training, and there was no training step")
        every = max(1, len(self._losses) // 100)
        self._view.note("surrogate_loss", self._losses[::every])
        tensors = {"pattern": self._pattern, "mask": self._mask, "target": torch.tensor(self.target)}
        return (Guess(Goal.BACKDOOR, tensors),)

    def _set_up(self, device: torch.device) -> None:
        """Draw the trigger, poison the own data, and build the surrogate."""
        view = self._view
        self._party = view.own_party()
        architecture = view.peer_architecture()
        inputs, labels = view.aux_inputs().clone(), view.aux_labels().clone()
        self._pattern, self._mask = self._trigger(tuple(inputs.shape[1:]))
        chosen = torch.randperm(len(inputs))[: max(1, round(self.poisoned * len(inputs)))]
        inputs[chosen] = inputs[chosen] * (1 - self._mask) + self._pattern * self._mask
        labels[chosen] = self.target
        self._inputs, self._labels = inputs, labels
        self._order = torch.zeros(0, dtype=torch.int64)
        self._surrogate = architecture.build(0).to(device).train()
        self._optimizer = torch.optim.Adam(
            [*self._surrogate.parameters()], self.learning_rate, weight_decay=self.weight_decay
        )
        self._losses: list[float] = []
        self._begun = True

    def _trigger(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Pattern and mask, each of an image's shape."""
        pattern, mask, square = torch.zeros(shape), torch.zeros(shape), self._square(shape)
        mask[square] = 1
        drawn = torch.rand(shape)[square]
        pattern[square] = drawn if self.values == "uniform" else 1.0
        return pattern, mask

    def _square(self, shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
        """Where the trigger goes; ``ValueError`` where there is no such place."""
        if len(shape) != 3:
            raise ValueError(f"its trigger is a square in an image, and inputs are of shape {list(shape)}")
        _, height, width = shape
        left = max(0, width - self.size) // 2 if self.column < 0 else self.column
        if self.row + self.size > height or left + self.size > width:
            place = f"row {self.row}, column {left}"
            raise ValueError(f"a trigger of {self.size} pixels at {place} does not fit {height} x {width} pixels")
        return slice(None), slice(self.row, self.row + self.size), slice(left, left + self.size)

    def _alpha(self) -> float:
        weights = (self.alpha, *self.later_alphas)
        return weights[min(self._steps // self.alpha_steps, len(weights) - 1)]

    def _batch(self, count: int) -> tuple[Tensor, Tensor]:
        """The next ``count`` of the own samples, in an order drawn anew for each pass."""
        while len(self._order) < count:
            self._order = torch.cat([self._order, torch.randperm(len(self._inputs))])
        rows, self._order = self._order[:count], self._order[count:]
        return self._inputs[rows], self._labels[rows]


def _ratio(own: Tensor, other: Tensor) -> Tensor:
    ratio = torch.where(other.abs() > _TINY, own / other, torch.ones_like(other))
    return ratio.nan_to_num(1.0, _STEEPEST, -_STEEPEST).clamp(-_STEEPEST, _STEEPEST)
