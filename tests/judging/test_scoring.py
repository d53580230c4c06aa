"""Where less than the judge's room lies between a blind guess and the best, nothing is told and nothing decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cutlayer.judging.scoring import Scorer
from cutlayer.metric import Metric
from cutlayer.record import LEAK, NONE, PARTIAL
from cutlayer.threat import Goal
from tests.guesses import THRESHOLDS

SCORER = Scorer(Goal.LABELS, "", THRESHOLDS)


@pytest.mark.parametrize("metric", [Metric.ACCURACY, Metric.RELABELED_ACCURACY, Metric.SSIM, Metric.SSIM_STRETCHED])
@pytest.mark.parametrize(("blind", "room"), [(0.9, True), (0.95, True), (0.9501, False), (0.975, False), (1.0, False)])
def test_a_share_and_ssim_need_the_room(metric: Metric, blind: float, room: bool) -> None:
    found = SCORER.score(metric, 1.0, blind, 1.0, decides=True)
    assert (found.best, found.advantage, found.decides, found.verdict) == (
        (1.0, 1.0, True, LEAK) if room else (None, None, False, None)
    )


@pytest.mark.parametrize(("blind", "room"), [(0.001, True), (0.0, False)])
def test_an_error_needs_no_more_than_any(blind: float, room: bool) -> None:
    found = SCORER.score(Metric.MSE, 0.0, blind, 0.0, decides=True)
    assert (found.advantage, found.verdict) == ((1.0, LEAK) if room else (None, None))


def test_what_is_worse_than_blind_is_as_much_worse_as_it_is() -> None:
    """Twenty targets, two classes: chance would beat always naming the commonest in the mean, were this cut off."""
    found = [SCORER.score(Metric.ACCURACY, value, 0.9, 1.0, decides=True) for value in (0.6, 1.0)]
    assert [score.advantage for score in found] == pytest.approx([-3.0, 1.0])
    assert [score.verdict for score in found] == [NONE, LEAK]


@pytest.mark.parametrize(
    ("floor", "advantage", "verdict"), [(None, 0.7, LEAK), (0.6, 0.4, LEAK), (0.7, 0.2, PARTIAL), (0.8, -0.2, NONE)]
)
def test_an_advantage_counts_from_all_that_needs_no_attack(floor: float | None, advantage: float, verdict: str) -> None:
    found = SCORER.score(Metric.ACCURACY_DROP, 0.76, 0.2, 1.0, decides=True, floor=floor)
    assert found.advantage == pytest.approx(advantage)
    assert (found.blind, found.decides, found.verdict) == (0.2, True, verdict)


def test_where_that_leaves_no_room_nothing_is_decided() -> None:
    found = SCORER.score(Metric.ACCURACY_DROP, 1.0, 0.2, 1.0, decides=True, floor=0.96)
    assert (found.best, found.advantage, found.decides) == (None, None, False)


def test_what_does_not_count_decides_nothing() -> None:
    found = replace(SCORER, deciding=False).score(Metric.ACCURACY, 1.0, 0.5, 1.0, decides=True)
    assert (found.advantage, found.decides, found.verdict) == (1.0, False, None)


def test_what_is_shown_beside_decides_nothing() -> None:
    found = SCORER.score(Metric.ACCURACY, 1.0, 0.5, 1.0)
    assert (found.advantage, found.decides, found.verdict) == (1.0, False, None)
