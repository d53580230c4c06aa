"""Budgets: what they let through, channel by channel, and noise that uses them up."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cutlayer.budget import Budget, BudgetError, budgets

NATURAL = torch.tensor([0.0, 0.1, 0.5, 0.95]).view(1, 1, 2, 2).expand(3, 2, 2, 2)
BY_CHANNEL = Budget((0.1, 0.3))


def test_what_is_within_stays() -> None:
    changed = (NATURAL + torch.tensor([0.09, -0.29]).view(1, 2, 1, 1)).clamp(0, 1)
    assert torch.equal(BY_CHANNEL.clip(changed, NATURAL), changed)


def test_what_is_beyond_is_brought_back_by_channel_and_range() -> None:
    clipped = BY_CHANNEL.clip(NATURAL + 5, NATURAL)
    torch.testing.assert_close(clipped[0, 0].flatten(), torch.tensor([0.1, 0.2, 0.6, 1.0]))
    torch.testing.assert_close(clipped[0, 1].flatten(), torch.tensor([0.3, 0.4, 0.8, 1.0]))
    torch.testing.assert_close(BY_CHANNEL.clip(NATURAL - 5, NATURAL)[0, 1].flatten(), torch.tensor([0, 0, 0.2, 0.65]))
    assert torch.equal(Budget((0.0,)).clip(NATURAL + 5, NATURAL), NATURAL)


def test_rows_of_tables_have_one_budget() -> None:
    rows = torch.tensor([[0.2, 0.9]])
    torch.testing.assert_close(Budget((0.25,)).clip(rows + 1, rows), torch.tensor([[0.45, 1.0]]))


def test_noise() -> None:
    gray = torch.full((50, 2, 4, 4), 0.5)
    signs, uniform = (BY_CHANNEL.noise(gray, torch.Generator().manual_seed(1), kind) - gray for kind in (True, False))
    torch.testing.assert_close(signs.abs().amax((0, 2, 3)), torch.tensor([0.1, 0.3]))
    torch.testing.assert_close(signs.abs().amin((0, 2, 3)), torch.tensor([0.1, 0.3]))
    assert 0.45 < (signs > 0).float().mean() < 0.55
    assert (uniform.abs().amax((0, 2, 3)) <= torch.tensor([0.1, 0.3]) + 1e-6).all()
    torch.testing.assert_close(uniform.abs().mean((0, 2, 3)), torch.tensor([0.05, 0.15]), rtol=0.2, atol=0)
    at_the_edge = BY_CHANNEL.noise(NATURAL, torch.Generator().manual_seed(1), True)
    assert at_the_edge.min() >= 0
    assert at_the_edge.max() <= 1


def test_budgets_by_unit() -> None:
    assert budgets(0.3, "pixel", (), 3, None) == (Budget((0.3,)),)
    own, *beside = budgets(0.3, "normalized", (8, 16), 3, (0.2, 0.25, 0.5))
    assert own.reach == pytest.approx((0.06, 0.075, 0.15))
    assert beside == [Budget((8 / 255,), "8/255"), Budget((16 / 255,), "16/255")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1.2, "pixel", (), 3, None), "budget = 1.2: a change of 1.2 is above the range of inputs, which is 1"),
        ((6, "normalized", (), 3, (0.2, 0.2, 0.1)), "budget = 6: a change of 1.2 is above"),
        ((0.3, "normalized", (), 3, None), "budget_unit = 'normalized': the network does not normalize its inputs"),
        ((0.3, "pixel", (8, 16, 8.0000001), 3, None), "8/255 is there twice"),
        ((0.3, "pixel", (300,), 3, None), "pixel_budgets = 300: a number of 255ths goes from 0 to 255"),
    ],
)
def test_budgets_that_make_no_sense(arguments: Any, said: str) -> None:
    with pytest.raises(BudgetError, match=said):
        budgets(*arguments)
