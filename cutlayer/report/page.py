"""The report of a run: one self-contained HTML file, written from the records that lie in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cutlayer.disk import write_whole
from cutlayer.layout import RunFolder
from cutlayer.metric import Metric
from cutlayer.record import DONE, LEAK, PARTIAL
from cutlayer.report import crossing, exhibit, panel, recipe, summary, wording
from cutlayer.report.evidence import Evidence, read_run
from cutlayer.report.finding import as_written, findings, worst
from cutlayer.report.request import Request, requested
from cutlayer.report.threats import adversaries
from cutlayer.report.toll import tolls
from cutlayer.report.tradeoff import tradeoff

_HERE = Path(__file__).parent


def write_report(run: Path) -> Path:
    """Write ``run``/report.html from ``run``/cells/*/record.json and the pictures beside them; returns its path.

    Cells that failed, do not apply or cannot be read are shown as such, and those that the last command has not come
    to are counted, so a run that is not finished, or is empty, has a report too. Raises ``NotADirectoryError`` when
    ``run`` is not a folder.
    """
    if not run.is_dir():
        raise NotADirectoryError(f"{str(run)!r} is not the folder of a run")
    path = RunFolder(run).report
    write_whole(path, render(run.resolve().name, read_run(run), requested(run)))
    return path


def render(name: str, evidence: Sequence[Evidence], request: Request) -> str:
    """The report of the run ``name`` as HTML text; nothing in it is loaded from anywhere else."""
    # The page shows names that came from files and hubs: everything is escaped, and there is no way around it.
    page = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page.globals.update(say=wording, summary=summary, exhibit=exhibit)
    page.globals.update(story=panel.story, as_written=as_written, tolls=tolls, zip=zip)
    return page.get_template("page.html.j2").render(_context(name, evidence) | {"request": request})


def _context(name: str, evidence: Sequence[Evidence]) -> dict[str, Any]:
    found = findings(evidence)
    records = [item.record for item in evidence]
    finished = [record for record in records if record.status == DONE]
    shown = panel.panels(found, evidence)
    return {
        "name": name,
        "records": records,
        "finished": finished,
        "repeats": [len(finding.cells) for finding in found] or [0],
        "others": [record for record in records if record.status != DONE],
        "found": found,
        "panels": shown,
        "tradeoffs": [part for part in map(tradeoff, shown) if part],
        "verdict": worst(finding.verdict for finding in found),
        "leaks": summary.headline(found, LEAK),
        "in_part": summary.headline(found, PARTIAL),
        "hero": exhibit.strongest(found),
        "started": min((record.started for record in records if record.started), default=""),
        "adversaries": adversaries(found),
        "patterned": any(finding.row(Metric.PATTERN_DROP) for finding in found),
        "pipelined": any(record.experiment.get("pipelined") for record in finished),
        "crossings": crossing.crossings(finished),
        "experiment": recipe.experiment(records),
        "codes": recipe.distinct(records, "code"),
        "environments": recipe.distinct(records, "environment"),
        "commands": list(dict.fromkeys(record.command for record in records if record.command)),
        "thresholds": list(dict.fromkeys(record.thresholds for record in finished)),
    }
