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

_HEADS = ["what", "metric", "here", "blind", "by seed", "printed", "setting"]


def write_summary(path: Path, papers: Mapping[str, tuple[Paper, Found]], lead: str) -> None:
    """One table for each paper, by the name of its page, which lies beside this one."""
    parts = ["# What the papers are known by, measured anew", lead, SEEDS]
    for name, (paper, found) in papers.items():
        rows = [_row(headline, found) for headline in paper.headlines]
        parts += [f"## {paper.citation}", f"All of it: [{name}.md]({name}.md)."]
        parts.append(markdown(Table(_HEADS, rows), _nowhere))
    write_atomically(path, "\n\n".join(part.strip() for part in parts) + "\n")


def _row(headline: Headline, found: Found) -> list[str]:
    number, group = headline.number, nearest(found.groups(headline.exhibit.cells, headline.wanted))
    printed = " ".join(filter(None, (number.spell(headline.printed), headline.of)))
    metric = f"{number.head} {'↓' if number.lower_is_better else '↑'}"
    if group is None:
        return [headline.what, metric, "not run", DASH, DASH, printed, DASH]
    ours, blind = number.measured(group.records)
    guess, by_seed = number.spell(blind.mean if blind else None), DASH
    if number.beside == "blind":
        by_seed = number.by_seed(group.records)
    else:
        guess = f"{guess} ({number.beside})"
    return [headline.what, metric, number.spelled(ours), guess, by_seed, printed, headline.setting or group.told]


def _nowhere(figure: Figure) -> str:
    raise AssertionError(f"{figure.name}: there are no figures here")
