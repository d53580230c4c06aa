"""Pages of reproductions: from whatever records there are, with what is missing counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cutlayer.papers.unsplit import PAPER
from cutlayer.reproduction.found import find
from cutlayer.reproduction.page import write_html, write_markdown
from tests.reproduction.test_reproduction import leave

SHORT = replace(PAPER, exhibits=tuple(e for e in PAPER.exhibits if e.name in {"table 2", "figure 3a"}))


def test_every_exhibit_is_on_a_page_of_few_records(tmp_path: Path) -> None:
    leave(tmp_path, 1, 0.05)
    write_html(tmp_path / "page.html", PAPER, find([tmp_path]), "lead")
    page = (tmp_path / "page.html").read_text()
    assert [exhibit.name for exhibit in PAPER.exhibits if exhibit.title not in page] == []


def test_pages_are_written_from_any_records(tmp_path: Path) -> None:
    for depth in (1, 2):
        leave(tmp_path / "runs", 1, 0.05 * depth, depth)
    for folder in ("runs", "none"):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_markdown(tmp_path / f"{folder}.md", SHORT, find([tmp_path / folder]), "lead")
    text = (tmp_path / "runs.md").read_text()
    assert "0.054" in text
    counted = "| table 2 | Inputs and client parts from activations alone | --table 2 | 40 |"
    empty = (tmp_path / "none.md").read_text()
    assert "## Table 2" in text
    assert f"{counted} 2 | 0 |" in text
    assert "## Table 2" not in empty
    assert f"{counted} 0 | 0 |" in empty
    assert (tmp_path / "runs" / "figure-3a.svg").read_bytes().startswith(b"<?xml")
    before = (tmp_path / "runs" / "figure-3a.svg").read_bytes()
    write_markdown(tmp_path / "runs.md", SHORT, find([tmp_path / "runs"]), "lead")
    assert (tmp_path / "runs" / "figure-3a.svg").read_bytes() == before


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (("lossless", "lossless"), ""),
        (("jpeg", "jpeg"), "all 2 (by their `pixels`)."),
        (("jpeg", "lossless"), "1 of 2 (by their `pixels`)."),
        (("jpeg", ""), "1 of 2 (by their `pixels`; of 1 it is not known)."),
        (("", ""), ""),
    ],
)
def test_a_page_says_of_how_many_records_only_copies_were_at_hand(
    tmp_path: Path, pixels: tuple[str, ...], said: str
) -> None:
    for seed, kind in enumerate(pixels, start=1):
        leave(tmp_path / str(seed), seed, 0.05)
        (path,) = (tmp_path / str(seed)).glob("**/record.json")
        path.write_text(path.read_text().replace('"pixels":""', f'"pixels":"{kind}"'))
    write_markdown(tmp_path / "page.md", SHORT, find([tmp_path]), "lead")
    _, copies, rest = (
        (tmp_path / "page.md")
        .read_text()
        .partition("Records of mnist that are of JPEG copies of its images, which lack their finest detail: ")
    )
    assert rest.partition("\n")[0] == said
    assert bool(copies) is bool(said)


def test_seeds_of_several_settings_are_not_counted_together(tmp_path: Path) -> None:
    def counted() -> int:
        found = find([tmp_path])
        return max(found.seeds(cell) for exhibit in PAPER.exhibits for cell in exhibit.cells("quick"))

    leave(tmp_path, 1, 0.05)
    leave(tmp_path, 2, 0.06, options={"rounds": 500})
    assert counted() == 1
    leave(tmp_path, 3, 0.07)
    assert counted() == 2


def test_a_page_writes_what_pixels_are_as_records_do(tmp_path: Path) -> None:
    leave(tmp_path, 1, 0.05)
    (path,) = tmp_path.glob("**/record.json")
    path.write_text(path.read_text().replace('"pixels":""', '"pixels":"8x8 interpolated to 28x28"'))
    write_markdown(tmp_path / "page.md", SHORT, find([tmp_path]), "lead")
    assert (
        "Records of mnist that are of images whose pixels are 8x8 interpolated to 28x28: 1 of 1 (by their `pixels`)."
        in (tmp_path / "page.md").read_text()
    )
