"""One number beside its blind value: the advantage, and the verdict where it decides."""

from __future__ import annotations

from dataclasses import dataclass

from cutlayer.metric import Metric
from cutlayer.record import NONE, Score, Thresholds
from cutlayer.threat import Goal

ROOM = 0.05
"""What is gained by less than this over the blind guess leaves nothing to take."""
ERRORS = 2
"""Standard errors that a difference measured on a test split must come to, to be more than chance."""


def has_room(metric: Metric, blind: float, best: float) -> bool:
    """Whether more than noise lies between a blind guess and the best: ``ROOM`` of a share or of SSIM.

    Errors have no scale of their own: there it is anything at all.
    """
    return best - blind >= ROOM if metric.bounds[1] == 1 else best != blind


@dataclass(frozen=True)
class Scorer:
    """What the scores of one guess have in common."""

    goal: Goal
    guess: str
    """The guess's name."""
    thresholds: Thresholds
    deciding: bool = True
    """Whether anything is decided by it."""

    def score(
        self,
        metric: Metric,
        value: float,
        blind: float,
        best: float | None = None,
        decides: bool = False,
        floor: float | None = None,
        error: float = 0.0,
    ) -> Score:
        """A value beside its blind value: advantage = (value - floor) / (best - floor), the same for every attack.

        ``floor``: from where on it counts, where that is another value than ``blind`` that stands beside it.
        ``error``: the standard error of value - floor. What looks like a leak within ``ERRORS`` of them decides
        nothing; that there is none can be said however few samples it was measured on.
        Without room between ``floor`` and ``best`` an advantage would be a quotient of two noises: there is none then,
        and nothing is decided. At most 1: where a defense has ruined the deployment, a stolen part does better than the
        one it stands in for. Below 0 there is no bound: with one, guesses at random would beat blind in the mean.
        """
        floor = blind if floor is None else floor
        best = best if best is not None and has_room(metric, floor, best) else None
        advantage = None if best is None else min((value - floor) / (best - floor), 1.0)
        decides = decides and self.deciding and advantage is not None
        verdict = self.thresholds.verdict(advantage) if decides and advantage is not None else None
        doubtful = verdict not in {None, NONE} and abs(value - floor) < ERRORS * error
        if doubtful:
            decides, verdict = False, None
        return Score(
            goal=self.goal.value,
            metric=metric.value,
            value=value,
            blind=blind,
            best=best,
            advantage=advantage,
            guess=self.guess,
            decides=decides,
            doubtful=doubtful,
            verdict=verdict,
        )
