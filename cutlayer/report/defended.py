"""The defenses of a panel, one setting at a time: what each leaves to an attacker, and what it costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cutlayer.metric import Metric
from cutlayer.report import wording
from cutlayer.report.finding import Finding, ScoreRow, Spread, spread, tampered, untrained


@dataclass(frozen=True)
class Defended:
    """Defenses with their options, or none at all."""

    defense: str
    findings: tuple[Finding, ...]

    def at(self, cut: str) -> Finding | None:
        """The first finding at ``cut``: any will do for what the training costs."""
        return next((finding for finding in self.findings if finding.cut == cut), None)

    def utility(self, cut: str) -> Spread | None:
        """Test accuracy of the split model at ``cut``; None where every training there was attacked."""
        here = (finding for finding in self.findings if finding.cut == cut and not tampered(finding.first))
        return next((finding.number("utility") for finding in here), None)

    def accuracy(self, cut: str) -> str:
        """The test accuracy of the split model at ``cut``: the honestly trained one's, where there is one."""
        here = [finding for finding in self.findings if finding.cut == cut]
        if honest := self.utility(cut):
            later = " trained afterwards" if all(untrained(finding.first) for finding in here) else ""
            return wording.mean(honest, Metric.ACCURACY) + later
        # Each attack leaves a network of its own behind: their mean is that of none.
        left = spread(cell.record.utility for finding in here for cell in finding.cells)
        if left is None:
            return wording.DASH
        return f"{wording.span(left, Metric.ACCURACY) or wording.mean(left, Metric.ACCURACY)} under attack"

    def attacks(self, goal: str, cut: str) -> set[str]:
        """Those that were judged in ``goal`` at ``cut``."""
        here = (finding for finding in self.findings if finding.cut == cut)
        return {f.first.cell.attack for f in here if any(row.goal == goal for row in f.deciding)}

    def worst(self, goal: str, cut: str, of: Collection[str] | None = None) -> tuple[Finding, ScoreRow] | None:
        """The attack that gets furthest in ``goal`` at ``cut``, and the row that says so; None: ``of`` all attacks."""
        found = [
            (row.advantage.mean, finding, row)
            for finding in self.findings
            for row in finding.deciding
            if (row.goal, finding.cut) == (goal, cut) and row.advantage
            if of is None or finding.first.cell.attack in of
        ]
        return max(found, key=lambda one: one[0])[1:] if found else None


def by_defense(findings: Sequence[Finding]) -> tuple[Defended, ...]:
    """The findings by their defenses, in order of appearance."""
    groups: dict[str, list[Finding]] = {}
    for finding in sorted(findings, key=Finding.place):
        groups.setdefault(finding.defense, []).append(finding)
    return tuple(Defended(defense, tuple(members)) for defense, members in groups.items())
