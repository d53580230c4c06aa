"""What adversarial inputs take, and what noise takes, beside all that needs no attack; how much of the budget."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cutlayer.judging.evasion import evade
from cutlayer.judging.judge import judge
from cutlayer.judging.undecided import why
from cutlayer.record import LEAK, NONE, PARTIAL, Thresholds
from tests.judging.test_evasion import BUDGETS, COUNT, INPUTS, NETWORK, evasion_truth, guess_of, scores_of, truth_of


def dazzled(part: float) -> Callable[[Tensor], Tensor]:
    """Wrong on this part of the inputs where all values are higher."""
    lost = torch.arange(COUNT) < part * COUNT

    def answers(inputs: Tensor) -> Tensor:
        lifted = (inputs - INPUTS[: len(inputs)]).flatten(1).mean(1) > 0.05
        return NETWORK(INPUTS) * (1 - 2 * (lifted & lost).double()[:, None])

    return answers


def test_what_any_fixed_pattern_takes_is_no_leak() -> None:
    """It needs neither the wire nor the inputs; random signs are the weakest pattern of a budget."""
    brighter = scores_of(guess_of(INPUTS + 1), truth_of(answers=dazzled(0.2)))
    score, pattern = brighter["accuracy_drop"], brighter["pattern_drop"]
    assert score.value == pattern.value == pattern.blind == pytest.approx(0.2)
    assert score.blind < 0.1, "what stands beside it is what random signs take: next to nothing"
    assert (score.advantage, score.decides, score.verdict) == (pytest.approx(0), True, NONE)
    assert not pattern.decides, "nobody has tampered with the training"


def test_where_a_fixed_pattern_leaves_nothing_no_attack_is_judged() -> None:
    judgement = judge(guess_of(INPUTS + 1), truth_of(answers=dazzled(0.9)), Thresholds())
    assert not any(score.decides for score in judgement.scores)
    assert "of 100.0 % accuracy a fixed pattern of the budget takes 90.0 %, here or without" in why(judgement.scores)


@pytest.mark.parametrize(("part", "verdict"), [(0.15, NONE), (0.3, PARTIAL), (0.9, LEAK)])
def test_a_training_that_opens_the_deployment_to_a_pattern_is_judged_by_that(part: float, verdict: str) -> None:
    """Random signs take nothing from either deployment; the honest one stands every pattern."""
    opened = truth_of(answers=dazzled(part), honest=lambda inputs: NETWORK(INPUTS), tampered=True)
    found = scores_of(guess_of(INPUTS + 1), opened)
    pattern = found["pattern_drop"]
    assert (pattern.value, pattern.blind, pattern.verdict) == (pytest.approx(part), 0, verdict)
    assert found["random_signs_drop"].verdict == NONE
    assert found["accuracy_drop"].verdict in {NONE, None}, "it adds nothing to the pattern"


def test_a_deployment_more_open_to_noise_than_the_honest_one_needs_more_than_another_training_brings() -> None:
    noisy = BUDGETS[""].noise(INPUTS, torch.Generator().manual_seed(5), signs=True)
    found = {}
    for share in (0.15, 0.3):
        lost = torch.arange(COUNT) < share * COUNT

        def opened(inputs: Tensor, lost: Tensor = lost) -> Tensor:
            moved = ((inputs - INPUTS).abs().flatten(1).amax(1) > 0) & lost
            return NETWORK(INPUTS) * (1 - 2 * moved.double()[:, None])

        truth = truth_of(answers=opened, honest=lambda inputs: NETWORK(INPUTS), tampered=True)
        found[share] = scores_of(guess_of(noisy), truth)["random_signs_drop"]
    assert [score.value for score in found.values()] == pytest.approx([0.15, 0.3])
    assert [score.verdict for score in found.values()] == [NONE, PARTIAL]


def test_how_much_of_the_budget_is_used_is_told() -> None:
    middle = torch.full_like(INPUTS, 0.5)
    for share in (0.0, 0.5, 1.0):
        claimed = middle + share * 0.2 * INPUTS.sub(0.5).sign()
        found = evade(guess_of(claimed), claimed, evasion_truth(natural=middle))
        assert found.size == pytest.approx(share)
        assert found.noise_size == pytest.approx(1.0)
