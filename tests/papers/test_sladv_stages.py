"""What the paper concludes of both stages at once is told apart: what noise takes, what a perfect shadow adds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.papers.test_sladv import left
from tests.papers.test_sladv_conclusions import GROWS, by_alpha, cells, outcomes, rows

WHOLE_GROWS, FRAGILE = "the drop grows with alpha", "what random signs take grows with alpha"
PERFECT = "with the victim's own layers for a shadow, the drop is beyond random signs"


@pytest.mark.parametrize(
    ("signs", "whole", "beyond", "fragile"),
    [
        ((0.01, 0.1, 0.2), "holds", "does not hold", "holds"),
        ((0.02, 0.02, 0.02), "holds", "holds", "does not hold"),
    ],
)
def test_a_drop_that_grows_is_told_from_one_that_any_noise_makes_grow(
    tmp_path: Path, signs: Sequence[float], whole: str, beyond: str, fragile: str
) -> None:
    for (alpha, drop), taken in zip({0.0: 0.03, 0.1: 0.12, 1.0: 0.22}.items(), signs, strict=True):
        left(
            by_alpha()[alpha], tmp_path / str(alpha), drop, accuracy_drop=(drop, taken), random_signs_drop=(taken, 0.02)
        )
    found = rows(tmp_path)
    assert found[WHOLE_GROWS][:2] == ("the paper's", whole)
    assert found[GROWS][:2] == ("ours", beyond)
    assert found[FRAGILE][:2] == ("ours", fragile)


@pytest.mark.parametrize(
    ("drop", "outcome"), [(0.3, "holds"), (0.08, "cannot be told: within chance"), (-0.05, "does not hold")]
)
def test_the_second_stage_with_a_perfect_shadow(tmp_path: Path, drop: float, outcome: str) -> None:
    perfect = [e for e in cells("table 2", "attack=pgd") if e.options["pgd"].get("objective") == "similarity"]
    by_steps = {(e.under, e.options["pgd"]["iterations"]): e for e in perfect}
    assert set(by_steps) == {(under, steps) for under in ("", "sladv") for steps in (1, 10)}
    left(by_steps["", 10], tmp_path / "ten", 0.5)
    left(by_steps["sladv", 1], tmp_path / "attacked", 0.5)
    assert PERFECT not in outcomes(tmp_path), "that is told of the published step, on the honest victim"
    left(by_steps["", 1], tmp_path / "one", drop)
    assert rows(tmp_path)[PERFECT][:2] == ("ours", outcome)
