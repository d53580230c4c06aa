"""What SLADV costs the clients is told by several epochs, beside the same epochs of honest training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cutlayer.papers.sladv.claims import FAILS
from tests.papers.test_sladv import left
from tests.papers.test_sladv_conclusions import CHEAP, by_alpha, otherwise, rows


@pytest.mark.parametrize(
    ("ours", "honest", "outcome"),
    [
        # Of the first six epochs nothing counts.
        ((0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.57, 0.58, 0.59), (0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.6, 0.6, 0.6), "holds"),
        ((0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.47, 0.48, 0.49), (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.6, 0.6), FAILS),
        # Two points of swing, one from 5 points lost.
        ((0.5,) * 6 + (0.53, 0.54, 0.55), (0.6,) * 9, "cannot be told: accuracy swings"),
        ((0.54,) * 9, (0.6,) * 6 + (0.59, 0.6, 0.61), "cannot be told: accuracy swings"),
        ((0.1,) * 5, (0.6,) * 5, "cannot be told: one epoch"),
        ((0.1,) * 9, (0.6,) * 8, "too few cells"),
        ((0.1,) * 9, (), "too few cells"),
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_what_it_costs_is_told_by_the_last_third_of_the_epochs(
    tmp_path: Path, ours: Sequence[float], honest: Sequence[float], outcome: str, beside: bool
) -> None:
    left(by_alpha()[1.0], tmp_path / "1", 0.1, accuracies=ours, untampered=honest if beside else ())
    if not beside:
        left(by_alpha()[0.0], tmp_path / "0", 0.1, accuracies=honest)
        left(by_alpha()[0.0], tmp_path / "other", 0.1, accuracies=(0.3,) * len(ours), seed=2)
    assert rows(tmp_path)[CHEAP][:2] == ("ours", outcome)


def test_honest_training_is_that_of_the_same_precision(tmp_path: Path) -> None:
    fp32, bf16 = {"precision": "fp32"}, {"precision": "bf16"}
    left(by_alpha()[1.0].model_copy(update=fp32), tmp_path / "1", 0.1, accuracies=(0.58,) * 9)
    clipped = otherwise(by_alpha()[0.0].model_copy(update=fp32), clip=10.0)
    left(clipped, tmp_path / "clipped", 0.1, accuracies=(0.6,) * 9)
    # The nearer to what was published, and of another draw.
    left(by_alpha()[0.0].model_copy(update=bf16), tmp_path / "0", 0.1, accuracies=(0.9,) * 9)
    assert rows(tmp_path)[CHEAP][1] == "holds"


def test_what_a_diverged_shadow_cost_is_not_what_alpha_costs(tmp_path: Path) -> None:
    diverged = {"similarity_loss": [1.0, 5.0, 0.5]}
    left(by_alpha()[1.0], tmp_path / "1", 0.1, diverged, (0.1,) * 9, (0.6,) * 9)
    _, outcome, numbers, _ = rows(tmp_path)[CHEAP]
    assert outcome == "cannot be told: diverged"
    assert numbers == "accuracy over the last 3 epochs: 10.0 % (60.0 %; left out: diverged), swing 0.0 pp"
    left(by_alpha()[1.0], tmp_path / "2", 0.1, None, (0.58,) * 9, (0.6,) * 9, seed=2)
    _, outcome, numbers, _ = rows(tmp_path)[CHEAP]
    assert outcome == "holds"
    assert "58.0 % (60.0 %; left out 1 of 2 seeds: diverged)" in numbers
