"""By what rule a conclusion of SLADV's page holds, from the numbers alone."""

from __future__ import annotations

import pytest

from cutlayer.papers.sladv import claims
from cutlayer.papers.sladv.claims import Point, Rule
from cutlayer.papers.sladv.telling import Sifted
from cutlayer.record import Record
from cutlayer.reproduction.found import Group


@pytest.mark.parametrize(
    ("rule", "gains", "outcome"),
    [
        (claims.falls, (0.3, 0.1), "holds"),
        (claims.falls, (0.1, 0.3), "does not hold"),
        # Of one gain chance makes less than of two: 0.032.
        (claims.beats_blind, (0.04,), "holds"),
        (claims.beats_blind, (0.03,), "cannot be told: within chance"),
        (claims.beats_blind, (-0.03,), "cannot be told: within chance"),
        (claims.beats_blind, (-0.04,), "does not hold"),
        (claims.below_blind, (-0.01, -0.02), "holds"),
        (claims.below_blind, (-0.01, 0.01), "does not hold"),
        (claims.alike, (0.2,), "holds"),
        (claims.alike, (0.2, 0.05), "does not hold"),
        (claims.negative, (-0.2, -0.1), "holds"),
        (claims.negative, (-0.2, -0.01), "cannot be told: within chance of 0"),
        (claims.negative, (-0.2, 0.04), "cannot be told: within chance of 0"),
        (claims.negative, (-0.2, 0.1), "does not hold"),
    ],
)
def test_rules(rule: Rule, gains: tuple[float, ...], outcome: str) -> None:
    points = [Point("", gain, 0.0, Group((), ()), Sifted([Record()]), unrelated=0.1) for gain in gains]
    assert rule(points, 0.045) == outcome
