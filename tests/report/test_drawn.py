"""The figures of a report as they are drawn: which series is which, and what stands under an axis."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.report.made_run import made_record, save
from tests.report.test_page import Page, page_of

Element = tuple[str, dict[str, str | None]]
LETTER = 10
"""The size of a chart's letters, in its own pixels."""


def many(run: Path) -> Page:
    """Of 24 series, two to an attack, at two cuts."""
    for number in range(12):
        for cut in (1, 3):
            record = made_record("unsplit", cut, 1, 0.9 - 0.05 * number)
            record["cell"]["attack"] = f"attack_{number:02d}"
            save(run, record)
    return page_of(run)


def chart_of(page: Page, name: str) -> list[Element]:
    """The first chart whose title begins so, and all that is drawn in it and beside it."""
    found = [attrs.get("aria-label") or "" for _, attrs in page.elements]
    first = next(place for place, label in enumerate(found) if label.startswith(name))
    tags = [tag for tag, _ in page.elements]
    return page.elements[first : tags.index("figure", first) if "figure" in tags[first:] else None]


def series_of(elements: list[Element]) -> list[tuple[str, str, str]]:
    """Color, dashes and shape of each group or item of a legend."""
    found: list[tuple[str, str, str]] = []
    for tag, attrs in elements:
        if tag in {"g", "li"}:
            found.append((attrs["class"] or "", "", ""))
        elif found and attrs.get("class") == "k":
            found[-1] = (found[-1][0], attrs.get("stroke-dasharray") or "", "")
        elif found and attrs.get("class") == "m":
            found[-1] = (*found[-1][:2], f"{tag} {(attrs.get('d') or '').partition('l')[2]}")
    return found


def test_two_dozen_series_are_told_apart_by_their_marks_and_by_their_lines(tmp_path: Path) -> None:
    elements = chart_of(many(tmp_path), "Advantage by cut")
    tags = [tag for tag, _ in elements]
    drawn, named = (series_of(part) for part in (elements[: tags.index("ul")], elements[tags.index("ul") :]))
    assert len(drawn) == 24
    assert len({(color, shape) for color, _, shape in drawn}) == 24
    assert len({(color, dashes) for color, dashes, _ in drawn}) == 24
    assert named == drawn, "the legend shows each as it is drawn"
    assert len({shape for _, _, shape in drawn[:4]}) == 4, "the first few without color, too"


@pytest.mark.parametrize("name", ["Advantage by cut", "inputs"])
def test_an_arrow_below_the_axis_covers_nothing_that_is_written_there(tmp_path: Path, name: str) -> None:
    for strength, defenses in ((0.5, []), (-7.0, ["rounding"])):
        record = made_record("unsplit", 1, 1, strength)
        record["cell"]["defenses"] = defenses
        save(tmp_path, record)
    (_, drawing), *elements = chart_of(page_of(tmp_path), name)
    arrows = [re.fullmatch(r"M[\d.]+ ([\d.]+)h10l-5 7z", attrs.get("d") or "") for _, attrs in elements]
    tips = [float(arrow[1]) + 7 for arrow in arrows if arrow]
    axis = next(float(attrs["y1"] or 0) for _, attrs in elements if attrs.get("class") == "base")
    lines = sorted({float(attrs["y"] or 0) for tag, attrs in elements if tag == "text"})
    names, title = (y for y in lines if y > axis + 10)
    assert axis < max(tips) < names - LETTER
    assert names < title - LETTER
    assert title < float((drawing["viewbox"] or "").split()[-1])
