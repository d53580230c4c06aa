"""UnSplit's fast path against a plain loop written after the paper."""

from __future__ import annotations

import copy
import functools
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from cutlayer.attacks.unsplit import UnSplit
from cutlayer.message import Kind, Message
from cutlayer.methods.inversion import Estimate, total_variation
from cutlayer.threat import Architecture, Knows, Row, View

SMALL = (1, 8, 8)
CHOICES = (
    ("sequential", "joint", "independent"),
    ("alternating", "simultaneous"),
    ("paper", "squared"),
    ("lowered", "traced"),
)
# Every choice beside every other one.
PAIRS = {
    ("sequential", "alternating", "paper", "lowered"),
    ("sequential", "simultaneous", "squared", "traced"),
    ("joint", "alternating", "squared", "traced"),
    ("joint", "simultaneous", "paper", "lowered"),
    ("independent", "alternating", "squared", "lowered"),
    ("independent", "simultaneous", "paper", "traced"),
}


def plain(attack: UnSplit, clones: list[nn.Module], smashed: Tensor, weight: float, start: Tensor) -> Tensor:
    """The attack as a plain loop after the paper, target by target and clone by clone; the clones are changed."""
    groups = {"sequential": smashed.split(1), "joint": [smashed], "independent": smashed.split(1)}[attack.order]
    found = []
    for number, group in enumerate(groups):
        clone = clones[number % len(clones)]
        inputs = start.repeat(len(group), 1, 1, 1).requires_grad_()
        adam = functools.partial(torch.optim.Adam, amsgrad=attack.amsgrad)
        of_inputs = adam([inputs], lr=attack.input_learning_rate)
        of_clone = adam(clone.parameters(), lr=attack.model_learning_rate)

        def differentiate(inputs=inputs, clone=clone, group=group) -> tuple[list[Tensor], list[Tensor]]:
            error = (clone(inputs) - group).square().flatten(1).mean(1)
            penalty = weight * total_variation(inputs, attack.tv) + attack.l2_weight * inputs.square().mean((1, 2, 3))
            toward_inputs = torch.autograd.grad((error + penalty).sum(), [inputs], retain_graph=True)
            return list(toward_inputs), list(torch.autograd.grad(error.mean(), list(clone.parameters())))

        def move(optimizer: torch.optim.Optimizer, grads: list[Tensor]) -> None:
            for parameter, grad in zip(optimizer.param_groups[0]["params"], grads, strict=True):
                parameter.grad = grad
            optimizer.step()

        for _ in range(attack.rounds):
            if attack.update == "simultaneous":
                for _ in range(attack.input_steps):
                    grads = differentiate()
                    move(of_inputs, grads[0])
                    move(of_clone, grads[1])
                continue
            for _ in range(attack.input_steps):
                move(of_inputs, differentiate()[0])
            for _ in range(attack.model_steps):
                move(of_clone, differentiate()[1])
        found.append(inputs.detach())
    return torch.cat(found)


def deep(kind: str) -> nn.Sequential:
    """A first part of five blocks, which is lowered, or, with a layer that is not, traced."""
    between = nn.BatchNorm2d(8) if kind == "traced" else nn.Identity()
    return nn.Sequential(nn.Conv2d(1, 8, 3), between, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 2)).eval()


@pytest.mark.parametrize(
    ("order", "update", "tv", "kind"),
    [pytest.param(*case, marks=() if case in PAIRS else pytest.mark.slow) for case in product(*CHOICES)],
)
def test_the_fast_path_is_the_plain_loop(order, update, tv, kind, monkeypatch):
    torch.manual_seed(0)
    truth, start = torch.rand(3, *SMALL), torch.rand(SMALL)
    with torch.no_grad():
        smashed = deep(kind)(truth)
    clones = [deep(kind) for _ in range(3 if order == "independent" else 1)]
    ready = iter(copy.deepcopy(clones))
    attack = UnSplit(rounds=3, input_steps=4, model_steps=4, order=order, update=update, tv=tv)
    # From a constant start all inputs of a pooling are equal but for rounding, and rounding says which counts.
    restart = Estimate.restart
    monkeypatch.setattr(
        Estimate, "restart", lambda self, value: (restart(self, value), self.inputs.copy_(start[..., None]))
    )
    architecture = Architecture(lambda number: next(ready), (SMALL,), 10)
    wanted = [Row(Kind.PREDICT, 0, row) for row in range(3)]
    attack.begin(View(attack.threat, {Knows.PEER_ARCHITECTURE: lambda: architecture}, wanted))
    attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": smashed}))
    inputs, model = attack.infer()
    expected = plain(attack, clones, smashed, 0.1 if tv == "squared" else 1.0, start)
    torch.testing.assert_close(inputs.tensors["inputs"], expected, rtol=0, atol=1e-5)
    states = [clone.state_dict() for clone in clones]
    gaps = [max((state[n] - t).abs().max().item() for n, t in model.tensors.items()) for state in states]
    assert min(gaps) < 1e-5
    assert list(model.tensors) == list(states[0])
    # Twelve steps of a thousandth: what is equal is far from where it started.
    assert (expected - start).abs().max() > 0.008
