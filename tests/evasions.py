"""A proxy whose best adversarial inputs are known, attacks on it, and views for them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from cutlayer.attack import Attack, Guess
from cutlayer.budget import Budget
from cutlayer.message import Kind
from cutlayer.stream import drawing
from cutlayer.threat import Architecture, Knows, Row, View
from tests.parties import layout_of

SHAPE = (2, 4, 5)


def linear(seed: int = 1) -> nn.Sequential:
    """Logits of two classes, a linear function of the inputs: its worst change of any input is known."""
    with drawing(seed):
        layer = nn.Linear(40, 2, bias=False)
    return nn.Sequential(nn.Flatten(), layer).requires_grad_(False)


def natural(count: int = 6) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(2))


def best(network: nn.Sequential, inputs: Tensor, labels: Tensor, budget: Budget) -> Tensor:
    """What lowers the label's logit against the other one most: the budget against its weights, within [0, 1]."""
    weights = network[1].weight.detach()
    direction = (weights[1 - labels] - weights[labels]).sign().view_as(inputs)
    return budget.clip(inputs + budget.over(inputs) * direction, inputs)


def parts(seed: int) -> list[nn.Sequential]:
    """A client's part, a server's one and a last one, for inputs of ``SHAPE``."""
    with drawing(seed):
        return [
            nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, 3, padding=1), relu=nn.ReLU())),
            nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(3), flat=nn.Flatten(), fc=nn.Linear(60, 8), act=nn.ReLU())),
            nn.Sequential(OrderedDict(out=nn.Linear(8, 2))),
        ]


def labels_of(inputs: Tensor) -> Tensor:
    """Which half of an image is brighter."""
    return (inputs[..., :2].mean((1, 2, 3)) > inputs[..., 3:].mean((1, 2, 3))).long()


def view_of(attack: Attack, budgets: tuple[Budget, ...], inputs: Tensor, **more: Any) -> View:
    """Of a server in ``u_shaped`` whose deployment has ``parts(7)``."""
    client, _, last = parts(7)
    aux = torch.rand(60, *SHAPE, generator=torch.Generator().manual_seed(4))
    weights = {
        f"{number}.{name}": w for number, part in enumerate((client, last)) for name, w in part.state_dict().items()
    }
    known: dict[Knows, Any] = {
        Knows.OWN_PART: lambda number: parts(7)[1],
        Knows.PEER_ARCHITECTURE: lambda: Architecture(lambda n: parts(8)[2 * n], (SHAPE, (8,)), 2),
        Knows.PEER_WEIGHTS: lambda: weights,
        Knows.AUX_INPUTS: lambda: aux,
        Knows.AUX_LABELS: lambda: labels_of(aux),
        Knows.NATURAL_INPUTS: lambda: inputs,
        Knows.NATURAL_LABELS: lambda: labels_of(inputs),
        **more,
    }
    rows = [Row(Kind.PREDICT, 0, row) for row in range(len(inputs))]
    return View(attack.threat, known, rows, layout_of("u_shaped"), within=budgets)


def inferred(attack: Attack, budgets: tuple[Budget, ...], inputs: Tensor, seed: int = 0) -> tuple[list[Guess], View]:
    view = view_of(attack, budgets, inputs)
    with drawing(seed):
        attack.begin(view)
        return list(attack.infer()), view
