"""The page of all papers: what each is known by, measured anew, beside what a blind guess scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cutlayer.disk import write_whole
from cutlayer.reproduction.block import Figure, Table, markdown
from cutlayer.reproduction.comparison import DASH
from cutlayer.reproduction.found import Found, nearest
from cutlayer.reproduction.page import SEEDS
from cutlayer.reproduction.paper import Headline, Paper

_HEADS = ["what", "metric", "here", "blind", "by seed", "printed", "setting"]


def write_summary(path: Path, papers: Mapping[str, tuple[Paper, Found]], lead: str) -> None:
    """One table for each paper, by the name of its page, which lies beside this one."""
    parts = ["# What the papers are known by, measured anew", lead, SEEDS]
    for name, (paper, found) in papers.items():
        rows = [row for headline in paper.headlines if (row := _row(headline, found))]
        parts += [f"## {paper.citation}", f"All of it: [{name}.md]({name}.md)."]
        parts.append(markdown(Table(_HEADS, rows), _nowhere))
    write_whole(path, "\n\n".join(part.strip() for part in parts) + "\n")


def _row(headline: Headline, found: Found) -> list[str] | None:
    """None for a number that another one is only read against, where no record has it."""
    number, groups = headline.number, found.groups(headline.exhibit.cells, headline.wanted)
    group = nearest([group for group in groups if not group.differs_in(headline.but)])
    printed = " ".join(filter(None, (number.spell(headline.printed), headline.of)))
    metric = number.head if number.against else f"{number.head} {'↓' if number.lower_is_better else '↑'}"
    ours, blind = number.measured(group.records) if group else (None, None)
    if number.against and ours is None:
        return None
    if group is None:
        return [headline.what, metric, "not run", DASH, DASH, printed, DASH]
    guess, by_seed = number.spell(blind.mean if blind else None), DASH
    if number.beside == "blind":
        by_seed = number.by_seed(group.records)
    else:
        guess = f"{guess} ({number.beside})"
    what = headline.what
    if (beside := headline.beside) and (found_there := beside.measured(group.records)[0]):
        what = f"{what} ({beside.head} {beside.spell(found_there.mean)})"
    return [what, metric, number.told(group.records), guess, by_seed, printed, headline.setting or group.told]


def _nowhere(figure: Figure) -> str:
    raise AssertionError(f"{figure.name}: there are no figures here")
