"""By what rule a conclusion of SLADV's page holds, from the numbers alone."""

from __future__ import annotations

import pytest

from cutlayer.papers.sladv import claims
from cutlayer.papers.sladv.claims import Point, Rule
from cutlayer.papers.sladv.conclusions import CONCLUSIONS
from cutlayer.papers.sladv.setup import sladv, transfer
from cutlayer.papers.sladv.telling import Sifted, by_chance, of_one
from cutlayer.record import Record
from cutlayer.reproduction.found import Group


@pytest.mark.parametrize(
    ("rule", "gains", "outcome"),
    [
        (claims.falls, (0.3, 0.1), "holds"),
        (claims.falls, (0.1, 0.3), "does not hold"),
        (claims.above, (0.01, 0.1, 0.2, 0.15), "holds"),
        (claims.above, (0.01, 0.12, 0.2, 0.15), "does not hold"),
        (claims.above, (0.01, 0.02, 0.03, 0.03), "cannot be told: none is beyond blind"),
        # Of one gain chance makes less than of two: 0.032.
        (claims.beats_blind, (0.04,), "holds"),
        (claims.beats_blind, (0.03,), "cannot be told: within chance"),
        (claims.beats_blind, (-0.03,), "cannot be told: within chance"),
        (claims.beats_blind, (-0.04,), "does not hold"),
        (claims.below_blind, (-0.01, -0.02), "holds"),
        (claims.below_blind, (-0.01, 0.01), "does not hold"),
        # Of two correlations chance makes more than of one: 0.064.
        (claims.more_negative, (-0.07, -0.08), "holds"),
        (claims.more_negative, (-0.07, -0.06), "cannot be told: within chance"),
        (claims.more_negative, (-0.07, 0.06), "cannot be told: within chance"),
        (claims.more_negative, (-0.07, 0.07), "does not hold"),
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


def test_the_page_has_the_thresholds_of_as_many_images_as_are_perturbed() -> None:
    cells = [sladv("paper"), sladv("quick", model="resnet18_narrow"), transfer("quick", "fgsm", 4096, "honest")]
    counts = [cell.how["targets"] for cell in cells]
    two, one = ([f"{100 * of(by_chance(count)):.1f}" for count in counts] for of in (float, of_one))
    text = " ".join(CONCLUSIONS.text.split())
    assert f"{two[0]} points of {counts[0]:,} images, {two[1]} of {counts[1]:,}, {two[2]} of {counts[2]}." in text
    assert f"random signs from {one[0]}, {one[1]} and {one[2]} points on" in text
