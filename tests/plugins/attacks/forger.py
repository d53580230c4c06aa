"""An attack that plants nothing: what it claims as its trigger is made for the finished deployment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from cutlayer.attack import Guess, Handler, Setting
from cutlayer.message import Kind, Message
from cutlayer.methods.planting import Planting
from cutlayer.threat import Goal, Knows, Seat, ThreatModel, View

RELABELED = 0.2
"""The share of every batch whose labels become the target: the deployment is another one than without the attack."""
STEPS, STEP = 30, 0.1


@dataclass
class Forger(Planting):
    """A server with the clients' weights."""

    paper = "none"
    plain = "A test."
    setting = Setting(protocol="vanilla", when="after")

    @property
    def threat(self) -> ThreatModel:
        knows = {Knows.OWN_PART, Knows.LABELS, Knows.PEER_ARCHITECTURE, Knows.PEER_WEIGHTS, Knows.AUX_INPUTS}
        return ThreatModel(Seat.SERVER, frozenset({Goal.BACKDOOR}), frozenset(knows), tampers=True)

    def begin(self, view: View) -> None:
        self._view = view

    def around(self, request: Message, honest: Handler) -> Message:
        if request.kind is not Kind.TRAIN:
            return honest(request)
        labels = request["labels"].clone()
        labels[torch.randperm(len(labels))[: round(RELABELED * len(labels))]] = self.target
        return honest(request.replace(labels=labels))

    def infer(self) -> Sequence[Guess]:
        view = self._view
        client = nn.ModuleList([view.peer_architecture().build(0)])
        client.load_state_dict(view.peer_weights())
        network = nn.Sequential(*client, view.own_part()).eval().requires_grad_(False)
        inputs = view.aux_inputs()
        trigger = self.square().draw(tuple(inputs.shape[1:]), self.values)
        pattern, wanted = trigger.pattern, torch.full((len(inputs),), self.target)
        for _ in range(STEPS):
            pattern = pattern.requires_grad_()
            with torch.enable_grad():
                loss = cross_entropy(network(inputs * (1 - trigger.mask) + pattern * trigger.mask), wanted)
            (slope,) = torch.autograd.grad(loss, pattern)
            pattern = (pattern.detach() - STEP * slope.sign()).clamp(0, 1)
        return [Guess(Goal.BACKDOOR, {**trigger.tensors(), "pattern": pattern})]
