"""Guesses, truths and their scores, for the tests of the judge."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cutlayer.attack import Guess
from cutlayer.judging.judge import Truth, judge
from cutlayer.message import Kind
from cutlayer.record import Score, Thresholds
from cutlayer.threat import Goal, Row

THRESHOLDS = Thresholds(leak=0.25, partial=0.1)


def rows_of(number: int) -> tuple[Row, ...]:
    return tuple(Row(Kind.PREDICT, 0, place) for place in range(number))


def images(number: int = 5, channels: int = 1, seed: int = 3) -> Tensor:
    """Smooth random images in [0, 1]: SSIM of white noise says little."""
    draw = torch.Generator().manual_seed(seed)
    small = torch.rand(number, channels, 4, 5, generator=draw)
    return nn.functional.interpolate(small, size=(16, 20), mode="bilinear")


def truth_of(inputs: Tensor | None = None, labels: list[int] | None = None, **also: Any) -> Truth:
    inputs = images() if inputs is None else inputs
    known = torch.arange(len(inputs)) % 3 if labels is None else torch.tensor(labels)
    mean = torch.full(inputs.shape[1:], 0.4)
    return Truth(rows_of(len(inputs)), inputs, known, mean, tuple("abc"), **also)


def labels_truth(labels: list[int]) -> Truth:
    return truth_of(torch.zeros(len(labels), 1, 12, 12), labels)


def guess_of(goal: Goal, number: int, **values: Tensor) -> Guess:
    return Guess(goal, values, rows_of(number))


def scores(guess: Guess, truth: Truth) -> dict[str, Score]:
    return {score.metric: score for score in judge(guess, truth, THRESHOLDS).scores}


def inputs_scores(claimed: Tensor, truth: Truth) -> dict[str, Score]:
    return scores(guess_of(Goal.INPUTS, len(claimed), inputs=claimed), truth)
