"""A client's part whose predictions an attack watches, without protocol or session, and digits to train it on."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from cutlayer.adversary import Adversary
from cutlayer.attack import Attack, Guess
from cutlayer.message import Kind, Message
from cutlayer.model import split
from cutlayer.models import inversion_mnist
from cutlayer.stream import Stream, derive
from cutlayer.threat import Architecture, Knows, Row, View
from tests.handwriting import handwriting

SHAPE = (1, 28, 28)


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    images, labels = handwriting()
    return interpolate(images, SHAPE[1:], mode="bilinear"), labels


def held_out() -> Tensor:
    """The first digit of each class, on which nothing is trained."""
    inputs, labels = digits()
    return inputs[torch.stack([(labels[:300] == label).nonzero()[0, 0] for label in range(10)])]


def others(count: int = 1497) -> tuple[Tensor, Tensor]:
    """Inputs and labels that are no targets."""
    inputs, labels = digits()
    return inputs[300 : 300 + count], labels[300 : 300 + count]


@functools.cache
def trained(seed: int) -> nn.Sequential:
    """The paper's network after two epochs on digits."""
    torch.manual_seed(seed)
    model, (inputs, labels) = inversion_mnist.build(), others()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, amsgrad=True)
    for rows in torch.split(torch.randperm(len(inputs)).repeat(2), 16):
        optimizer.zero_grad()
        cross_entropy(model(inputs[rows]), labels[rows]).backward()
        optimizer.step()
    return model.eval()


def parts(seed: int, cut: int) -> list[nn.Sequential]:
    """The trained network's parts on both sides of ``cut``."""
    return [part.eval() for part in split(trained(seed), [cut])]


def grants(part: nn.Module, shape: tuple[int, ...] = SHAPE, **more: Any) -> dict[Knows, Any]:
    """All there is to know about a client that holds ``part``; ``more`` by the names of what is known."""

    def answer(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return part(inputs)

    known: dict[str, Any] = {
        "peer_architecture": lambda: Architecture(lambda number: renewed(part), (shape,), 10),
        "peer_weights": lambda: {f"0.{name}": tensor for name, tensor in part.state_dict().items()},
        "peer_queries": answer,
    }
    return {Knows(name): grant for name, grant in {**known, **more}.items()}


def renewed(part: nn.Module) -> nn.Module:
    """The same layers with new random weights."""
    copied = copy.deepcopy(part)
    for module in copied.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
    return copied


def seated(attack: Attack, known: Mapping[Knows, Any], count: int, seed: int = 0, **view: Any) -> Adversary:
    """``attack`` in its seat, with ``count`` rows of the first prediction as its targets."""
    offered = {what: grant for what, grant in known.items() if what in attack.threat.knows}
    targets = [Row(Kind.PREDICT, 0, row) for row in range(count)]
    adversary = Adversary(attack, View(attack.threat, offered, targets, **view), Stream(derive(seed, "attack")))
    adversary.begin()
    return adversary


def attacked(
    attack: Attack,
    part: nn.Module,
    inputs: Tensor,
    known: Mapping[Knows, Any] | None = None,
    seed: int = 0,
    **view: Any,
) -> tuple[Sequence[Guess], View]:
    """What ``attack`` guesses after the client's prediction for ``inputs``."""
    known = grants(part, tuple(inputs.shape[1:])) if known is None else known
    adversary = seated(attack, known, len(inputs), seed, **view)
    with torch.no_grad():
        attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": part(inputs)}))
    return adversary.infer(), adversary.view


def inputs_of(guesses: Sequence[Guess]) -> Tensor:
    (guess,) = guesses
    return guess.tensors["inputs"]


def correlation(guess: Tensor, truth: Tensor) -> float:
    """Mean over images."""
    pairs = zip(guess.flatten(1), truth.flatten(1), strict=True)
    return sum(torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in pairs) / len(truth)


def mean_image() -> Tensor:
    """What one would guess of each target without looking at the wire."""
    return others()[0].mean(0).expand_as(held_out())
