"""Stolen parts, judged on a model so small that its accuracy is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutlayer.attack import Guess
from cutlayer.judging.judge import Truth, judge
from cutlayer.judging.theft import ModelTruth, PartError
from cutlayer.threat import Goal
from tests.guesses import THRESHOLDS, scores, truth_of


def part(weight: float, bias: float = 0.0) -> nn.Sequential:
    """One number through; the class behind it is 1 where it comes out above 0."""
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, weight)
    nn.init.constant_(layer.bias, bias)
    return nn.Sequential(layer)


class Signs(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return torch.cat([-value, value], 1)


def model_truth(untrained: float = 0.0, **also: Any) -> Truth:
    inputs = torch.linspace(-1, 1, 20)[:, None]
    model = ModelTruth(
        parts=[part(2.0), Signs(), part(1.0)][:2],
        client=[0],
        untrained=[part(0.0, untrained - 0.5), Signs()],
        inputs=inputs,
        labels=(inputs[:, 0] > 0).long(),
    )
    return truth_of(model=ModelTruth(**{**vars(model), **also}))


def test_a_stolen_part_is_judged_in_the_real_ones_place() -> None:
    for weight, accuracy in ((2.0, 1.0), (5.0, 1.0), (-1.0, 0.0)):
        found = scores(Guess(Goal.MODEL, dict(part(weight).state_dict())), model_truth())
        assert found["accuracy"].value == accuracy
        assert found["accuracy"].blind == 0.5
        assert found["accuracy"].best == 1.0
        assert found["accuracy"].advantage == pytest.approx(2 * accuracy - 1)
        assert found["agreement"].value == accuracy
        assert not found["agreement"].decides
    shifted = scores(Guess(Goal.MODEL, dict(part(1.0, 0.5).state_dict())), model_truth())
    assert shifted["accuracy"].value == 0.75


def test_agreement_is_with_the_real_model_not_with_the_labels() -> None:
    labels = torch.zeros(20, dtype=torch.int64)
    found = scores(Guess(Goal.MODEL, dict(part(2.0).state_dict())), model_truth(labels=labels))
    assert (found["accuracy"].value, found["agreement"].value) == (0.5, 1.0)


def test_a_stolen_part_better_than_the_real_one_has_no_more_than_all_of_the_advantage() -> None:
    inputs, labels = torch.linspace(-1, 1, 20)[:, None].repeat(20, 1), torch.tensor([0] * 5 + [1] * 15).repeat(20)
    truth = model_truth(parts=[part(2.0, 0.8), Signs()], inputs=inputs, labels=labels)
    found = scores(Guess(Goal.MODEL, dict(part(2.0, 1.05).state_dict())), truth)
    assert (found["accuracy"].value, found["accuracy"].best) == (1.0, pytest.approx(0.95))
    assert found["accuracy"].advantage == 1.0


def test_the_blind_guess_is_at_least_the_commonest_class() -> None:
    labels = torch.tensor([0] * 5 + [1] * 15)
    unlucky = scores(Guess(Goal.MODEL, dict(part(2.0).state_dict())), model_truth(untrained=-0.5, labels=labels))
    assert unlucky["accuracy"].blind == 0.75
    assert unlucky["agreement"].blind == 0.5


def test_an_untrained_model_leaves_nothing_to_steal() -> None:
    found = scores(
        Guess(Goal.MODEL, dict(part(2.0).state_dict())), model_truth(untrained=0.5, labels=torch.zeros(20).long())
    )
    assert (found["accuracy"].advantage, found["accuracy"].verdict) == (None, None)


def of_many(samples: int) -> Truth:
    """A real part that is always right, where blind guesses are on half."""
    inputs = torch.linspace(-1, 1, samples)[:, None]
    return model_truth(inputs=inputs, labels=(inputs[:, 0] > 0).long())


@pytest.mark.parametrize(("samples", "verdict"), [(10, None), (12, None), (200, "leak"), (2000, "leak")])
def test_a_stolen_part_leaks_only_beyond_the_chance_of_the_test_samples(samples: int, verdict: str | None) -> None:
    # Right on all of one class and a third of the other.
    found = scores(Guess(Goal.MODEL, dict(part(1.0, 0.65).state_dict())), of_many(samples))["accuracy"]
    assert found.advantage == pytest.approx(0.35, abs=0.1)
    assert (found.verdict, found.decides, found.doubtful) == (verdict, verdict is not None, verdict is None)


@pytest.mark.parametrize("samples", [10, 2000])
def test_a_failed_theft_is_one_however_few_the_test_samples_are(samples: int) -> None:
    found = scores(Guess(Goal.MODEL, dict(part(0.0, 1.0).state_dict())), of_many(samples))["accuracy"]
    assert (found.advantage, found.verdict) == (0.0, "no leak")


@pytest.mark.parametrize(("samples", "room"), [(20, False), (2000, True)])
def test_what_the_real_part_gains_by_chance_is_nothing_to_steal(samples: int, room: bool) -> None:
    # Half of the samples are of either class; the real part is right on a tenth more than on half of them.
    labels = torch.arange(samples) % 2
    told = torch.where(torch.arange(samples) % 10 == 0, labels * 2 - 1, 1).float()[:, None]
    truth = model_truth(parts=[part(1.0), Signs()], inputs=told, labels=labels)
    found = scores(Guess(Goal.MODEL, dict(part(1.0).state_dict())), truth)["accuracy"]
    assert (found.best is not None) == room


def test_before_any_training_there_is_nothing_to_steal() -> None:
    theft = Guess(Goal.MODEL, dict(part(2.0).state_dict()))
    assert scores(theft, model_truth())["accuracy"].verdict == "leak"
    found = scores(theft, model_truth(learned=False))["accuracy"]
    assert (found.value, found.best, found.advantage, found.decides) == (1.0, None, None, False)
    # What has no room is in no doubt: it counts in no mean.
    near = Guess(Goal.MODEL, dict(part(1.0, 0.65).state_dict()))
    assert scores(near, model_truth(learned=False))["accuracy"].doubtful is False


@pytest.mark.parametrize(
    ("guess", "says"),
    [
        (Guess(Goal.MODEL, {}), "does not fit: .*Missing key.*0.weight"),
        (Guess(Goal.MODEL, {"0.weight": torch.zeros(2, 1), "0.bias": torch.zeros(1)}), "size mismatch for 0.weight"),
        (Guess(Goal.MODEL, dict(part(1.0).state_dict()), part=1), "number 1, the other seat has 1"),
        (Guess(Goal.MODEL, dict(part(1.0).state_dict()), part=-1), "number -1, the other seat has 1"),
    ],
)
def test_a_stolen_part_that_does_not_fit_is_refused(guess: Guess, says: str) -> None:
    with pytest.raises(PartError, match=says) as error:
        judge(guess, model_truth(), THRESHOLDS)
    assert "\n" not in str(error.value)
