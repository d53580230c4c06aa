"""What adversarial inputs take, and what noise takes, beside all that needs no attack."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cutlayer.record import NONE, PARTIAL
from tests.judging.test_evasion import BUDGETS, COUNT, INPUTS, NETWORK, guess_of, scores_of, truth_of


def test_what_any_fixed_pattern_takes_is_no_leak() -> None:
    """It needs neither the wire nor the inputs; random signs are the weakest pattern of a budget."""

    def dazzled(inputs: Tensor) -> Tensor:
        """Wrong on two thirds of the inputs where all values are higher."""
        lifted = (inputs - INPUTS[: len(inputs)]).flatten(1).mean(1) > 0.05
        return NETWORK(INPUTS) * (1 - 2 * (lifted & (torch.arange(COUNT) % 3 > 0)).double()[:, None])

    brighter = scores_of(guess_of(INPUTS + 1), truth_of(answers=dazzled))
    score, pattern = brighter["accuracy_drop"], brighter["pattern_drop"]
    assert score.value == pattern.value == pytest.approx(2 / 3, abs=0.05)
    assert score.advantage == pytest.approx((score.value - score.blind) / (1 - score.blind))
    assert score.blind == pattern.blind < 0.1, "random signs take next to nothing"
    assert (score.decides, score.verdict) == (True, NONE)


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
