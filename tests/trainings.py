"""Trainings that are broken off, and victims that are compared."""

from __future__ import annotations

import torch
from torch import Tensor

from cutlayer.auditing.victim import Victim
from cutlayer.threat import Progress


def interrupted_at(step: int) -> Progress:
    """Ctrl-C in that training step."""

    def progress(what: str, done: int, total: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return progress


def in_training(progress: Progress) -> Progress:
    """Told of a training under attack alone."""
    return lambda what, done, total: progress(what, done, total) if what == "training under attack" else None


def same(one: Victim, other: Victim) -> bool:
    """Whether both have the same weights to the bit."""
    states: list[dict[str, Tensor]] = [found.model.state_dict() for found in (one, other)]
    assert states[0].keys() == states[1].keys()
    return all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
