"""Write docs/results/ from the records under results/: nothing in it is typed.

    python scripts/results.py                       writes every paper's page
    python scripts/results.py unsplit RUN [RUN ...] first takes the records of the paper's cells from those run folders

Pictures stay with the run; figures of the page are drawn from records and lie beside it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cutlayer.commands.reproduce import paper
from cutlayer.disk import write_whole
from cutlayer.reproduction.cell import SCALES
from cutlayer.reproduction.found import Found, Run, find
from cutlayer.reproduction.minute import Papers, minute
from cutlayer.reproduction.page import write_markdown
from cutlayer.reproduction.summary import write_summary

ROOT = Path(__file__).parent.parent
LEAD = "Written by `python scripts/results.py` from the {count} records in `results/{name}/`.{how}"
SUMMARY = """## How to read the tables

Written by `python scripts/results.py` from the {count} records in `results/`.{how}

What each paper is known by, in the setting nearest to the published one that has been run, and in a few of ours. ↓:
less is better for the attacker, ↑: more. *Blind* is what a guess scores that never looks at the wire; a value that is
no better is no evidence of a leak, and none of safety either: other settings of the same attack may do better, as
UnSplit's do. *By seed* counts verdicts, or where a metric decides nothing the seeds that are better than blind, by
however little. A metric without an arrow is read against the one above it: *ASR of noise* is the success of any other
noise in the trigger's place. UnSplit's *printed* MSE is of other images than ours: what is blind on those stands
beside it. Pages of the papers have the rest: other cuts, datasets, networks, numbers of clients and shadows."""
FOOT = "## Commands\n\nThose that left the records behind, with the code's version:"


def main(arguments: Sequence[str]) -> None:
    """Take records in, then write the pages of all papers that have any."""
    if arguments:
        take(arguments[0], [Path(run) for run in arguments[1:]])
    papers = {}
    for folder in sorted((ROOT / "results").iterdir()):
        page = ROOT / "docs" / "results" / f"{folder.name}.md"
        found = find([folder])
        papers[folder.name] = (paper(folder.name), found)
        lead = LEAD.format(name=folder.name, count=len(found.runs), how=how_made(found))
        foot = "\n".join([FOOT, "", "```", *commands(found), "```"])
        write_markdown(page, paper(folder.name), found, lead, foot)
        print(page.relative_to(ROOT))
    write_summary(ROOT / "docs" / "results" / "summary.md", papers, summary(papers))


def summary(papers: Papers) -> str:
    """What stands above the tables of all papers."""
    every = Found([run for _, found in papers.values() for run in found.runs])
    return f"{minute(papers)}\n\n{SUMMARY.format(count=len(every.runs), how=how_made(every))}"


def how_made(found: Found) -> str:
    """How many of the records were measured in one process, and how many with code that no commit holds."""
    beside = [run.record for run in found.runs if run.record.isolated is False]
    verified = sum(bool(record.verified_by) for record in beside)
    unkept = sum(bool(run.record.code.get("dirty")) for run in found.runs)
    told = ""
    if beside:
        checked = (
            f"{verified} of these name an isolated cell of the same attack, protocol and code that ended in the same"
            " bits (`isolate=once`), the others were not checked against an isolated run"
            if verified
            else "none was checked against an isolated run of the same cell"
        )
        told = (
            f" {len(beside)} of them were measured with the attack in the judge's process, not isolated; {checked};"
            " tests make that check on small cells only."
        )
    return told + (f" {unkept} were made with changes that were not committed at the time." if unkept else "")


def commands(found: Found) -> list[str]:
    """Each distinct command, and how many of the records came of which code."""
    counted: Counter[str] = Counter()
    for run in found.runs:
        code = run.record.code
        state = " with changes" if code.get("dirty") else ""
        counted[f"{run.record.command}  # code {str(code.get('commit', '?'))[:10]}{state}"] += 1
    return [f"{command}, records: {count}" for command, count in sorted(counted.items())]


def take(name: str, runs: Sequence[Path]) -> None:
    """Copy the records that belong to a cell of the paper."""
    taken = belonging(name, runs)
    for run in [*taken, *_speaking(taken)]:
        places = {key: run.record.experiment.get(key) or "" for key in ("data_dir", "out", "plugins", "weights")}
        for key, place in places.items():
            if Path(place).is_absolute():
                sys.exit(f"{run.folder}: {key} = {place!r} is a place on one machine: run it with a relative path")
        target = ROOT / "results" / name / run.folder.name / "record.json"
        write_whole(target, (run.folder / "record.json").read_bytes())
    print(f"{len(taken)} records taken")


def _speaking(taken: Sequence[Run]) -> list[Run]:
    """The isolated cells, in the same run folders, that those ``taken`` are verified by."""
    named = {run.folder.parent / run.record.verified_by for run in taken if run.record.verified_by}
    return list(find(sorted(named)).runs)


def belonging(name: str, runs: Sequence[Path]) -> list[Run]:
    """The runs that are a cell of the paper at any scale but ``smoke``."""
    found = find(runs)
    kept: dict[Path, Run] = {}
    for exhibit in paper(name).exhibits:
        for cell in (cell for scale in SCALES if scale != "smoke" for cell in exhibit.cells(scale)):
            for group in found.groups(exhibit.cells, cell.values):
                kept |= {run.folder: run for run in group.runs}
    return list(kept.values())


if __name__ == "__main__":
    main(sys.argv[1:])
