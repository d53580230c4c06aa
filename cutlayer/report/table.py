"""The summary of a run as a table for the terminal, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from cutlayer.metric import Metric
from cutlayer.record import FAILED, LEAK, NONE, NOT_APPLICABLE, PARTIAL, Record
from cutlayer.report import wording
from cutlayer.report.evidence import Evidence
from cutlayer.report.finding import Finding, ScoreRow, findings, panel_of, spread, untrained
from cutlayer.report.toll import rows_of

_COLORS = {LEAK: "bold red", PARTIAL: "yellow", NONE: "green", FAILED: "bold red"}


def summary_tables(records: Iterable[Record]) -> list[Table]:
    """For each dataset, model and protocol a table, which names them where there are several.

    One line per cut, attack and goal (mean over seeds), and per cell that failed or does not apply. Only the deciding
    metrics have a line, what noise in a trigger's place does, what adversarial inputs take, and the accuracy that an
    attack on the training has left.
    """
    cells = [Evidence(record) for record in records]
    found, missing = findings(cells), [cell.record for cell in cells if not cell.done]
    links = list(dict.fromkeys(cell.record.link for cell in cells if cell.record.link_seconds is not None))
    panels = list(dict.fromkeys([*(finding.panel for finding in found), *map(panel_of, missing)]))
    tables = []
    for panel in panels:
        own = [finding for finding in found if finding.panel == panel]
        table = _table(", ".join(panel) if len(panels) > 1 else "", own, links)
        table.caption = Text("\n".join(_caption(own)), "dim") if own else None
        left = [record for record in missing if panel_of(record) == panel]
        if own and left:
            table.add_section()
        for record in left:
            table.add_row(*_missing(record))
        tables.append(table)
    return tables


def _table(title: str, found: Sequence[Finding], links: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False, caption_justify="left")
    if title:
        table.title, table.title_justify, table.title_style = Text(title), "left", "bold"
    table.add_column("cut", no_wrap=True)
    table.add_column("attack", overflow="fold", min_width=8)
    table.add_column("goal")
    table.add_column("metric")
    for name in ("value", "blind", "adv."):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for link in links:
        table.add_column(f"on {link}", justify="right", no_wrap=True)
    for before, finding in zip([None, *found], found, strict=False):
        if before and before.cut != finding.cut:
            table.add_section()
        for row in _shown(finding):
            first = finding.first
            times = [wording.seconds(first.on(link).link_seconds) for link in links]
            table.add_row(*_line(finding, row), *times, style="" if row.decides else "dim")
    return table


def _caption(found: Sequence[Finding]) -> Iterable[str]:
    """What every number above rests on: how well the deployments do their task, and how long attacks went on."""
    cells = [item.record for finding in found for item in finding.cells]
    # Before the training the network is no good, and the accuracy on record that of what was trained afterwards.
    utility = spread(record.utility for record in cells if not untrained(record))
    if utility:
        told = wording.span(utility, Metric.ACCURACY) or wording.mean(utility, Metric.ACCURACY)
        yield f"test accuracy of what was attacked: {told}"
    shares: dict[str, list[float]] = {}
    for finding in found:
        own = shares.setdefault(finding.first.cell.attack, [])
        own += [item.record.attack.fraction for item in finding.cells if item.record.attack.fraction is not None]
    short = {name: min(own) for name, own in shares.items() if own and min(own) < 1}
    if short:
        told = ", ".join(f"{name} {wording.share(part)}" for name, part in short.items())
        yield f"of the published steps: {told}"


def _missing(record: Record) -> list[Text]:
    short = "n/a" if record.status == NOT_APPLICABLE else record.status
    state = Text(short, _COLORS.get(record.status, "dim"))
    defenses = f" against {' + '.join(record.cell.defenses)}" if record.cell.defenses else ""
    return [Text(record.cell.cut), Text(f"{record.cell.attack}{defenses}"), *[Text(wording.DASH, "dim")] * 5, state]


def _shown(finding: Finding) -> Sequence[ScoreRow]:
    # A success as high without the planted trigger is another finding than a backdoor.
    decided = {row.guess for row in finding.deciding}
    noise = [row for row in finding.rows if row.metric == Metric.UNPLANTED_SUCCESS and row.guess in decided]
    # What the attack itself takes away, also where only what its training has done to the deployment can be judged.
    # And what needs no attack, from which on that counts.
    evading = {Metric.ACCURACY_DROP, Metric.PATTERN_DROP}
    taken = [row for row in finding.rows if row.metric in evading and not row.guess]
    beside = [*rows_of(finding), *noise, *taken]
    # A cell where nothing decides would else not be there at all.
    return [row for row in finding.rows if row.decides or row in beside] if finding.deciding else finding.rows


def _line(finding: Finding, row: ScoreRow) -> list[Text]:
    # Text, not markup: a name such as "[red]" is shown as it is.
    told = " ".join(filter(None, (finding.first.cell.attack, finding.variant, row.guess)))
    value = Text(wording.mean(row.value, row.metric))
    if span := wording.span(row.value, row.metric):
        value.append(f"\n{span.replace(' to ', wording.DASH)}", "dim")
    verdict = Text(row.verdict, _COLORS[row.verdict]) if row.verdict else Text(wording.DASH, "dim")
    if row.undecided:
        verdict.append(f"\n{row.undecided} undecided", "dim")
    names = map(Text, (finding.cut, told, row.goal, wording.metric(row.metric)))
    blind, gain = Text(wording.mean(row.blind, row.metric)), Text(wording.advantage(row.advantage))
    return [*names, value, blind, gain, verdict]
