"""What an attack on the training has cost the deployment itself, whatever it gained by it."""

from __future__ import annotations

from collections.abc import Iterable

from cutlayer.metric import Metric
from cutlayer.report import wording
from cutlayer.report.finding import Finding, ScoreRow

# The accuracy that is left, which stands beside that of the same training without the attack.
_LEFT: dict[tuple[str, str], str] = {
    ("backdoor", Metric.CLEAN_ACCURACY): "clean inputs",
    ("evasion", Metric.NATURAL_ACCURACY): "natural targets",
}
_NOTED = 0.05
"""The fall of the accuracy from which on it belongs into the first lines of a report."""


def rows_of(finding: Finding) -> list[ScoreRow]:
    """The accuracy that is left, once for each kind of inputs; none where nothing has tampered with the training."""
    rows = {(row.goal, row.metric): row for row in reversed(finding.rows) if (row.goal, row.metric) in _LEFT}
    return list(rows.values()) if finding.first.threat.tampers else []


def left(finding: Finding) -> tuple[tuple[str, str], ...]:
    """What the deployment is still right on: (of what, how often) for each kind of inputs that were tried."""
    return tuple(
        (_LEFT[row.goal, row.metric], f"{value} right, {without} without the attack")
        for row, value, without in ((row, *_told(row)) for row in rows_of(finding))
    )


def tolls(found: Iterable[Finding]) -> list[str]:
    """A sentence for each attack that has cost the deployment 5 percentage points or more, at the worst setting."""
    harmed: dict[tuple[str, str], list[tuple[float, Finding, ScoreRow]]] = {}
    for finding in found:
        for row in rows_of(finding):
            if row.value and row.blind:
                lost = row.blind.mean - row.value.mean
                harmed.setdefault((finding.first.cell.attack, row.metric), []).append((lost, finding, row))
    lines = []
    for (attack, _), settings in harmed.items():
        lost, worst, row = max(settings, key=lambda setting: setting[0])
        many = sum(loss >= _NOTED for loss, *_ in settings)
        if lost >= _NOTED:
            value, without = _told(row)
            place = f"at cut {worst.cut}{wording.told(worst.variant)}"
            where = f"A{place[1:]} " if many == 1 else f"In {many} of {len(settings)} settings "
            most = "" if many == 1 else f", most {place}"
            of = _LEFT[row.goal, row.metric]
            cost = (
                f"cost the deployment accuracy{most}: it is right on {value} of {of}, without the attack on {without}"
            )
            lines.append(f"{where}{attack} has {cost}.")
    return lines


def _told(row: ScoreRow) -> tuple[str, str]:
    return wording.mean(row.value, row.metric), wording.mean(row.blind, row.metric)
