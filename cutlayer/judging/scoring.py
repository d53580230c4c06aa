"""One number beside its blind value: the advantage, and the verdict where it decides."""

from __future__ import annotations

from cutlayer.metric import Metric
from cutlayer.record import Score, Thresholds
from cutlayer.threat import Goal

ROOM = 0.05
"""What is gained by less than this over the blind guess leaves nothing to take."""


def score(
    goal: Goal,
    metric: Metric,
    value: float,
    blind: float,
    best: float | None,
    thresholds: Thresholds,
    guess: str,
    decides: bool,
) -> Score:
    """A value beside its blind value: advantage = (value - blind) / (best - blind), the same for every attack.

    At most 1: where a defense has ruined the deployment, a stolen part does better than the one it stands in for.
    """
    advantage = None if best is None or best == blind else min((value - blind) / (best - blind), 1.0)
    verdict = thresholds.verdict(advantage) if decides and advantage is not None else None
    return Score(
        goal=goal.value,
        metric=metric.value,
        value=value,
        blind=blind,
        best=best,
        advantage=advantage,
        guess=guess,
        decides=decides,
        verdict=verdict,
    )
