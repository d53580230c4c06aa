"""The page of a reproduction: every exhibit's tables and figures, as one HTML file or as Markdown with files beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from cutlayer.disk import write_whole
from cutlayer.reproduction.block import Block, Figure, Table, Text, html, markdown
from cutlayer.reproduction.cell import Scale
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit, Paper

_STYLE = """
:root { color-scheme: light dark; --line: #d6dde4; --soft: #51606e; --card: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #2b3845; --soft: #9db0c0; --card: #161e27; } }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 1440px; margin: 0 auto; padding: 24px; }
h1, h2 { font-family: Charter, Georgia, serif; } h2 { margin-top: 2.2em; } p { max-width: 90ch; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); } figure { margin: 18px 0; } figcaption { color: var(--soft); font-size: 13px; }
img { background: #fff; padding: 6px; max-width: 100%; border-radius: 6px; }
"""


SEEDS = """Values are means over the seeds with their 95 % interval (Student's t). Where there are fewer than three
seeds, or the interval would reach beyond what the number can be, or is wider than 50 percentage points (pp) of a share,
or than twice another number, the values of all seeds stand in brackets instead; where not all seeds have a number,
brackets say how many do. A number of ours with neither ± nor brackets is of one seed, unless a column or a sentence
beside it says of how many it is a mean; blind values are means over the same seeds. A printed value, which is of a
single run, is held against what one more run would give: the 95 % prediction interval; where there is no interval only
one farther from all seeds than 20 points of a share, or a fifth of another number, is remarked on. Bars in figures are
the intervals, or where there is none (fewer than three seeds, or beyond what the number can be) go from the lowest seed
to the highest, unless the caption says otherwise. *bf16* in a setting: so many seeds were trained in that precision,
on processors that are faster in it."""


def write_html(path: Path, paper: Paper, found: Found, lead: str) -> None:
    """One self-contained file; ``lead`` says what was run."""
    parts = [f"<h1>{escape(paper.citation)}, measured anew</h1>", html(Text(lead))]
    parts += [*_paragraphs(paper.text), *map(html, map(Text, _lossy(found))), html(Text(SEEDS))]
    for title, text, blocks in _sections(paper, found):
        parts += [f"<h2>{escape(title)}</h2>", *_paragraphs(text), *map(html, blocks)]
    head = f'<meta charset="utf-8"><title>{escape(paper.citation)}</title><style>{_STYLE}</style>'
    width = '<meta name="viewport" content="width=device-width">'
    body = "\n".join(parts)
    write_whole(path, f"<!doctype html><html lang=en><head>{width}{head}</head><body>{body}</body></html>\n")


def write_markdown(path: Path, paper: Paper, found: Found, lead: str, foot: str = "") -> None:
    """``path`` and, in a folder of the same name beside it, its figures; ``lead`` and ``foot`` say what was run."""

    def place(figure: Figure) -> str:
        name = f"{path.stem}/{figure.name}.{figure.kind}"
        write_whole(path.parent / name, figure.data)
        return name

    parts = [f"# {paper.citation}, measured anew", lead, paper.text, *_lossy(found), SEEDS]
    for title, text, blocks in _sections(paper, found):
        parts += [f"## {title}", text, *(markdown(block, place) for block in blocks)]
    parts.append(foot)
    write_whole(path, "\n\n".join(part.strip() for part in parts if part.strip()) + "\n")


def _lossy(found: Found) -> list[str]:
    """Of each dataset whose pixels are not the original ones, how many records are of such."""
    counted = Counter((run.record.cell.dataset, run.record.cell.pixels) for run in found.runs)
    told = []
    for (dataset, pixels), count in sorted(counted.items()):
        if pixels not in {"", "lossless"}:
            all_ = sum(other for (of, _), other in counted.items() if of == dataset)
            many = f"all {all_}" if count == all_ > 1 else f"{count} of {all_}"
            unsaid = f"; of {none} it is not known" if (none := counted[dataset, ""]) else ""
            told.append(f"Records of {dataset} that are of {_copies(pixels)}: {many} (by their `pixels`{unsaid}).")
    return told


def _copies(pixels: str) -> str:
    if "jpeg" in pixels.split():
        return f"{pixels.replace('jpeg', 'JPEG')} copies of its images, which lack their finest detail"
    return f"images whose pixels are {pixels}"


def _sections(paper: Paper, found: Found) -> Iterator[tuple[str, str, Sequence[Block]]]:
    """Title, text and blocks of each exhibit that has any; at last, how much of all of them was run."""
    rows = []
    for exhibit in paper.exhibits:
        blocks, cells = exhibit.blocks(found), exhibit.cells("quick")
        if blocks:
            yield f"{exhibit.name.capitalize()}: {exhibit.title}{_instead(exhibit, found)}", exhibit.text, blocks
        if cells or not blocks:
            counts = [found.seeds(cell) for cell in cells]
            whole = [count >= cell.seeds("quick") for count, cell in zip(counts, cells, strict=True)]
            run = [str(sum(count > 0 for count in counts)), str(sum(whole))] if cells else ["-", "-"]
            rows.append([exhibit.name, exhibit.title, exhibit.option, str(len(cells) or "-"), *run])
    heads = ["exhibit", "title", "option of cutlayer reproduce", "cells", "with a record", "with all seeds"]
    yield (
        "How much was run",
        "Of the cells of the scale *quick*, of which several exhibits can share one: with three seeds, or one where "
        "three take too long.",
        [Table(heads, rows)],
    )


def _instead(exhibit: Exhibit, found: Found) -> str:
    """What stood in for the paper's datasets, where there are no runs on any of them."""
    own: tuple[Scale, ...] = ("quick", "paper")
    printed = {cell.values["dataset"] for scale in own for cell in exhibit.cells(scale)}
    smoke = {cell.values["dataset"] for cell in exhibit.cells("smoke")}
    if not (smoke - printed) & {run.record.cell.dataset for run in found.runs}:
        return ""
    ran = {run.record.cell.dataset for group in found.groups(exhibit.cells, {}) for run in group.runs}
    return f" (here on {', '.join(sorted(ran))} instead)" if ran and not ran & printed else ""


def _paragraphs(text: str) -> list[str]:
    return [html(Text(part)) for part in text.split("\n\n")]
