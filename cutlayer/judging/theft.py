"""How good a stolen model part is: put in the real one's place, on the whole test set."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cutlayer.attack import Guess
from cutlayer.judging.labeling import commonest, share
from cutlayer.message import detached

_CHUNK = 1000


class PartError(ValueError):
    """A stolen part that does not fit where it is to be judged."""


@dataclass(frozen=True)
class ModelTruth:
    """The deployed model in parts, and the test set."""

    parts: Sequence[nn.Module]
    """All parts in order, with their weights at the time of the guess."""
    client: Sequence[int]
    """Which of them are the other seat's."""
    untrained: Sequence[nn.Module]
    """Parts of the same architecture with other random weights: the blind guess."""
    inputs: Tensor
    """float32 [n, ...]."""
    labels: Tensor
    learned: bool = True
    """Whether the parts were trained by the time of the guess: what tells random weights apart is chance."""


@dataclass(frozen=True)
class Theft:
    """Shares of the test set, each from 0 to 1."""

    accuracy: float
    agreement: float
    """With the predictions of the real model."""


@dataclass(frozen=True)
class Comparison:
    """The stolen part, the blind guess and the real part on the same test set.

    The blind guess is the better of an untrained part in the place and of always answering with one class: an untrained
    part alone can happen to do worse than that.
    """

    stolen: Theft
    blind: Theft
    real: float
    """The real model's accuracy."""
    stolen_error: float
    """Standard error of the stolen part's accuracy above the blind guess's."""
    real_error: float
    """The same of the real part's."""


def compare_parts(guess: Guess, truth: ModelTruth) -> Comparison:
    """Put the stolen part, an untrained and the real one in the same place; a ``PartError`` where it does not fit."""
    if not 0 <= guess.part < len(truth.client):
        raise PartError(f"the stolen part is number {guess.part}, the other seat has {len(truth.client)}")
    place = truth.client[guess.part]
    stolen = copy.deepcopy(truth.parts[place])
    _load(stolen, guess.tensors)
    real, claimed, untrained = _predictions(truth, place, (truth.parts[place], stolen, truth.untrained[place]))
    hits = [predicted == truth.labels for predicted in (real, claimed, untrained)]
    blind = max((hits[2], truth.labels == truth.labels.mode().values), key=share)
    return Comparison(
        stolen=Theft(share(hits[1]), share(claimed == real)),
        blind=Theft(share(blind), max(share(untrained == real), commonest(real))),
        real=share(hits[0]),
        stolen_error=_paired_error(hits[1], blind),
        real_error=_paired_error(hits[0], blind),
    )


def _paired_error(hits: Tensor, others: Tensor) -> float:
    """Standard error of the difference of two shares of ``hits`` [n] on the same samples."""
    spread = (hits.double() - others.double()).std(unbiased=False).item()
    return float(spread / len(hits) ** 0.5)


def _load(part: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    try:
        part.load_state_dict({name: detached(tensor) for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise PartError(f"the stolen part does not fit: {' '.join(str(error).split())}") from None


def _predictions(truth: ModelTruth, place: int, candidates: Sequence[nn.Module]) -> list[Tensor]:
    """The whole model's predictions with each of ``candidates`` at ``place``; what comes before runs once for all."""
    before, after = nn.Sequential(*truth.parts[:place]).eval(), nn.Sequential(*truth.parts[place + 1 :]).eval()
    found: list[list[Tensor]] = [[] for _ in candidates]
    with torch.no_grad():
        for inputs in torch.split(truth.inputs, _CHUNK):
            value = before(inputs)
            for predictions, candidate in zip(found, candidates, strict=True):
                predictions.append(after(candidate.eval()(value)).argmax(1))
    return [torch.cat(predictions) for predictions in found]
