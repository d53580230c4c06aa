"""The page of all papers: what each is known by, measured anew, beside what a blind guess scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cutlayer.record import write_atomically
from cutlayer.reproduction.block import Figure, Table, markdown
from cutlayer.reproduction.comparison import DASH
from cutlayer.reproduction.found import Found, nearest
from cutlayer.reproduction.page import SEEDS
from cutlayer.reproduction.paper import Headline, Paper

_HEADS = ["what", "metric", "here", "blind", "seeds better than blind", "printed", "setting"]


def write_summary(path: Path, papers: Mapping[str, tuple[Paper, Found]], lead: str) -> None:
    """One table for each paper, by the name of its page, which lies beside this one."""
    parts = ["# What the attacks reach", lead, SEEDS]
    for name, (paper, found) in papers.items():
        rows = [_row(headline, found) for headline in paper.headlines]
        parts += [f"## {paper.citation}", f"All of it: [{name}.md]({name}.md)."]
        parts.append(markdown(Table(_HEADS, rows), _nowhere))
    write_atomically(path, "\n\n".join(part.strip() for part in parts) + "\n")


def _row(headline: Headline, found: Found) -> list[str]:
    number, group = headline.number, nearest(found.groups(headline.exhibit.cells, headline.wanted))
    printed = " ".join(filter(None, (number.spell(headline.printed), headline.of)))
    if group is None:
        return [headline.what, number.head, "not run", DASH, DASH, printed, DASH]
    ours, blind = number.measured(group.records)
    guess = number.spell(blind.mean if blind else None)
    better, seeds = number.better(group.records)
    told = [number.spelled(ours), guess, f"{better} of {seeds}", printed, group.told]
    return [headline.what, number.head, *told]


def _nowhere(figure: Figure) -> str:
    raise AssertionError(f"{figure.name}: there are no figures here")
