"""Why a cell has no verdict, told apart: nothing guessed, a ruined training, a blind guess that leaves no room."""

from __future__ import annotations

import pytest

from cutlayer.judging.undecided import why
from cutlayer.record import Score


def scores(goal: str, **values: tuple[float, float]) -> list[Score]:
    return [Score(goal=goal, metric=metric, value=value, blind=blind) for metric, (value, blind) in values.items()]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "nothing was guessed"),
        (
            scores("backdoor", attack_success=(0.1, 0.2), clean_accuracy=(0.11, 0.92), recognition_rate=(0.8, 0.1)),
            "the deployment is right on 11.0 % of clean inputs, hardly more than always naming one class, and on "
            "92.0 % without the attack, which has ruined the training",
        ),
        (
            scores("backdoor", attack_success=(1.0, 1.0), clean_accuracy=(0.1, 0.12), recognition_rate=(0.0, 0.11)),
            "100.0 % of the inputs are taken for the target anyway, without the attack or the trigger; the deployment "
            "is right on 10.0 % of clean inputs, hardly more than always naming one class: train it for longer",
        ),
        (
            [Score(goal="labels", metric="accuracy", value=1.0, blind=0.25, advantage=1.0, guess="mine")],
            "a guess named 'mine' decides nothing: the attack's class does not name it among those that do",
        ),
        (
            scores("backdoor", attack_success=(1.0, 0.0), clean_accuracy=(0.9, 0.9), recognition_rate=(0.11, 0.11)),
            "without the attack 11.0 % of triggered inputs are recognized: the trigger covers them",
        ),
        (
            scores("backdoor", attack_success=(0.0, 0.0), clean_accuracy=(0.9, 0.9), recognition_rate=(0.0, 0.0)),
            "all test inputs are of the trigger's target class: none could be taken for it",
        ),
        (
            scores("backdoor", attack_success=(0.9, 0.1), clean_accuracy=(0.1, 0.12), recognition_rate=(0.11, 0.11)),
            "the deployment is right on 10.0 % of clean inputs, hardly more than always naming one class: train it for "
            "longer",
        ),
        (
            scores("backdoor", attack_success=(1.0, 0.99), clean_accuracy=(0.9, 0.9), recognition_rate=(0.01, 0.11)),
            "99.0 % of the inputs are taken for the target anyway, without the attack or the trigger",
        ),
        (
            scores("evasion", accuracy_drop=(0.6, 0.58), natural_accuracy=(0.6, 0.7)),
            "of 60.0 % accuracy (70.0 % without the attack) random noise of the budget takes 58.0 %, here or without "
            "the attack: that leaves hardly more than always naming one class gives",
        ),
        (
            scores("evasion", accuracy_drop=(0.1, 0.02), natural_accuracy=(0.13, 0.44)),
            "the deployment is right on 13.0 % of natural inputs, hardly more than always naming one class, and on "
            "44.0 % without the attack, which has ruined the training",
        ),
        (
            scores("model", accuracy=(0.1, 0.12)),
            "nothing was learned that could be stolen: a blind guess in the part's place is right on 12.0 %, and the "
            "real part on hardly more, if any",
        ),
        (
            [Score(goal="model", metric="accuracy", value=0.3, blind=0.2, advantage=0.2)],
            "too few test samples: a blind guess in the part's place is right on 20.0 %, the stolen part on 30.0 %, "
            "which may be chance",
        ),
        (
            scores("labels", accuracy=(1.0, 0.975)),
            "the targets leave nothing to take: a blind guess is right on 97.5 % of their labels",
        ),
        (
            scores("labels", relabeled_accuracy=(1.0, 1.0)),
            "the targets leave nothing to take: a blind guess is right on 100.0 % of their labels",
        ),
        (
            scores("inputs", ssim=(1.0, 0.96), ssim_stretched=(1.0, 0.955), mse=(0.0, 0.001)),
            "the targets leave nothing to take: a blind guess has an SSIM of 0.955 with them",
        ),
        (
            scores("inputs", mse=(0.0, 0.0), mse_published=(0.0, 0.0)),
            "the targets leave nothing to take: a blind guess is equal to them",
        ),
    ],
)
def test_the_reason_is_the_one_that_holds(found: list[Score], said: str) -> None:
    assert why(found) == said


def test_labels_guessed_under_names_are_told_of_as_well_and_the_commonest_class_before_groups() -> None:
    """Label inference names both of its guesses, and each of them could decide."""
    named = [
        Score(goal="labels", metric=metric, value=1.0, blind=blind, guess=guess)
        for guess, metric, blind in (("clustering", "relabeled_accuracy", 1.0), ("matching", "accuracy", 0.975))
    ]
    assert why(named) == "the targets leave nothing to take: a blind guess is right on 97.5 % of their labels"


def test_a_named_trigger_is_no_reason() -> None:
    assert why([Score(goal="backdoor", metric="attack_success", guess="another")]) == "no score decides"
