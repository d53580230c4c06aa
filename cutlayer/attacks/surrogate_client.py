"""Surrogate client: a server trains a client of its own on triggered data beside the honest ones.

Tajalli, Ersoy, Picek: On Feasibility of Server-side Backdoor Attacks on Split Learning (IEEE SPW 2023), section 3.2.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.attack import Guess, Handler, Setting
from cutlayer.message import Kind, Message
from cutlayer.methods.pile import Pile
from cutlayer.methods.planting import ServerPlanting
from cutlayer.state import put_back, state_of
from cutlayer.threat import Goal, NotOfferedError


@dataclass
class SurrogateClient(ServerPlanting):
    """One backward pass of alpha * honest loss + (1 - alpha) * surrogate loss through the server's part (equation 1).

    What is taken where the paper is silent, mostly from the published code:

    * At each honest batch the surrogate trains on a batch of the same size, drawn from the server's own data without
      replacement until they are used up. A share ``poisoned`` of the data carries trigger and target label, always the
      same samples.
    * The surrogate has the clients' architecture, weights of its own that are never exchanged with theirs, and Adam
      with the rate and weight decay of ``learning_rate`` and ``weight_decay``. Its rate falls when the server's agreed
      one does; ``falling=False`` leaves it where it is.
    * The surrogate is computed in the precision of the server's part, as the honest clients are: a deployment in bf16
      trains it in bf16, too.
    * BatchNorm in the server's part sees both batches one after another, the honest one first; dropout draws for each.
    * The trigger is uniform noise on the square, drawn once; it is put on images in [0, 1]. The published code puts
      noise in [0, 1] on normalized images: ``darkest`` and ``brightest`` say where that lies among the pixels.
    * ``halved`` halves the whole loss, as the published code does.
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

    alpha: float = 0.5
    """Weight of the honest loss, from 0 to 1: the lower, the stronger the attack."""
    later_alphas: tuple[float, ...] = ()
    """Weights that take its place one after another."""
    alpha_steps: tuple[int, ...] = (1000,)
    """Training steps at each weight before the next: one number each, or one for all."""
    halved: bool = False
    """Whether the whole loss is halved."""
    poisoned: float = 0.5
    """The share of the server's own data that carries trigger and target label."""
    falling: bool = True
    """Whether the rate of the surrogate's Adam falls with the server's agreed one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in (("alpha", self.alpha), *(("later_alphas", value) for value in self.later_alphas)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {value}: a weight goes from 0 (the surrogate alone) to 1 (no attack)")
        if not 0 < self.poisoned <= 1:
            raise ValueError(f"poisoned = {self.poisoned}: a share is greater than 0 and at most 1")
        if not self.alpha_steps or len(self.alpha_steps) not in {1, len(self.later_alphas)}:
            told = f"one number, or one for each of the weights before the last ({len(self.later_alphas)})"
            raise ValueError(f"alpha_steps = {list(self.alpha_steps)}: {told}")
        if min(self.alpha_steps) < 1:
            raise ValueError(f"alpha_steps = {list(self.alpha_steps)}: each is at least 1")

    def idle(self) -> Mapping[str, str]:
        """The steps of a schedule of one weight."""
        alone = {} if self.later_alphas else {"alpha_steps": "there are no later_alphas"}
        return {**super().idle(), **alone}

    def checkpoint(self) -> Mapping[str, Tensor]:
        """The surrogate, its optimizer, its place in the own data."""
        if not self._begun:
            return {}
        losses = torch.tensor(self._losses, dtype=torch.float64)
        own = state_of(surrogate=self._surrogate, optimizer=self._optimizer)
        return {**own, **self._pile.checkpoint(), "losses": losses}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Trigger and poisoned samples are drawn as they were: they are the first that it draws."""
        if tensors:
            self._set_up()
            put_back(tensors, surrogate=self._surrogate, optimizer=self._optimizer)
            self._pile.restore(tensors)
            self._losses[:] = tensors["losses"].tolist()

    def around(self, request: Message, honest: Handler) -> Message:
        """The server's whole training step, in place of the honest party's."""
        if request.kind is not Kind.TRAIN:
            return honest(request)
        if not self._begun:
            self._set_up()
        party = self._party
        smashed = request["smashed"].to(party.device).requires_grad_()
        with torch.enable_grad():
            loss = cross_entropy(party.forward(smashed), request["labels"].to(party.device))
            rows = self._pile.draw(len(smashed))
            own = self._own_smashed(self._inputs[rows])
            planted = cross_entropy(party.forward(own, stream="surrogate"), self._labels[rows].to(party.device))
            alpha = self._alpha()
            whole = (alpha * loss + (1 - alpha) * planted) * (0.5 if self.halved else 1.0)
            self._optimizer.zero_grad()
            party.backward(whole)
        rate = party.schedule(party.step) / party.schedule(0) if self.falling else 1.0
        self._optimizer.param_groups[0]["lr"] = self.learning_rate * rate
        self._optimizer.step()
        party.apply()
        self._losses.append(planted.item())
        assert smashed.grad is not None
        return request.reply(party.name, grad=smashed.grad, loss=loss)

    def infer(self) -> Sequence[Guess]:
        """The trigger and its class; ``NotOfferedError`` where there was no training to poison."""
        if not self._begun:
            raise NotOfferedError("it poisons the training, and there was no training step")
        every = max(1, len(self._losses) // 100)
        self._view.note("surrogate_loss", self._losses[::every])
        return (Guess(Goal.BACKDOOR, {**self._trigger.tensors(), **state_of(client=self._surrogate)}),)

    def _set_up(self) -> None:
        """Draw the trigger, poison the own data, and build the surrogate."""
        view = self._view
        self._party = view.own_party()
        architecture = view.peer_architecture()
        inputs, labels = view.aux_inputs().clone(), view.aux_labels().clone()
        self._trigger = self.square().draw(tuple(inputs.shape[1:]), self.values)
        chosen = torch.randperm(len(inputs))[: max(1, round(self.poisoned * len(inputs)))]
        inputs[chosen] = self._trigger.stamp(inputs[chosen])
        labels[chosen] = self.target
        self._inputs, self._labels = inputs, labels
        self._pile = Pile(len(inputs))
        self._surrogate: nn.Module = architecture.build(0).train()
        self._party.computing.place(self._surrogate)
        self._optimizer: torch.optim.Optimizer = torch.optim.Adam(
            [*self._surrogate.parameters()], self.learning_rate, weight_decay=self.weight_decay
        )
        self._losses = list[float]()
        self._begun = True

    def _own_smashed(self, images: Tensor) -> Tensor:
        """What the surrogate makes of ``images``, in the type that the honest clients compute in."""
        computing = self._party.computing
        with computing.precision():
            smashed: Tensor = self._surrogate(computing.bring(images))
        return smashed.float()

    def _alpha(self) -> float:
        weights, each = (self.alpha, *self.later_alphas), self.alpha_steps
        ends = accumulate(each if len(each) > 1 else each * len(self.later_alphas))
        return weights[sum(len(self._losses) >= end for end in ends)]
