"""What each defense costs and what it saves: accuracy and bytes, beside the worst advantage that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from cutlayer.knowledge import Knows
from cutlayer.metric import Metric
from cutlayer.report import wording
from cutlayer.report.defended import Defended
from cutlayer.report.figure import Chart, Spot, against
from cutlayer.report.finding import NO_DEFENSE, SEVERITY, Finding, ScoreRow, Spread, spread
from cutlayer.report.panel import Panel
from cutlayer.report.summary import cuts_told, ranked, unlearned

# What an experiment can grant of the other party's own part, which no message carries.
_UNTOUCHED = tuple(what for what in Knows if what.facts.state)


@dataclass(frozen=True)
class Tradeoff:
    """A panel in which several defenses, or one and none, were audited."""

    panel: Panel
    defended: tuple[Defended, ...]
    goals: tuple[str, ...]

    def worst(self, under: Defended, goal: str) -> list[tuple[Finding, ScoreRow] | None]:
        """At each cut of the panel the attack that gets furthest."""
        return [under.worst(goal, cut) for cut in self.panel.cuts]

    def charts(self) -> list[tuple[str, Chart]]:
        """For each goal, the worst advantage against the accuracy that is left, a mark for each defense and cut."""
        made = []
        limits = self.panel.findings[0].first.thresholds
        for goal in self.goals:
            marks = {under.defense: self._marks(under, goal) for under in self.defended}
            if any(marks.values()):
                made.append((goal, against(goal, marks, limits.leak, limits.partial)))
        return made

    def said(self) -> list[str]:
        """For each defense what it changes; nothing where the run has no undefended deployment to compare with."""
        bare, *others = self.defended
        return [_compared(self, bare, under) for under in others] if bare.defense == NO_DEFENSE else []

    def worthless(self) -> str:
        """Where no defense could have cost anything, as nothing had been learned; else empty."""
        bare = self.defended[0]
        accurate = spread(found.mean for cut in self.panel.cuts if (found := bare.utility(cut)))
        if accurate is None or not (why := unlearned([f.first for f in bare.findings], accurate)):
            return ""
        share = wording.mean(accurate, Metric.ACCURACY)
        told = f"the trained model is {share} accurate{why}, and there was no accuracy to lose"
        return f"{bare.defense[:1].upper()}{bare.defense[1:]}: {told}."

    def past(self) -> list[str]:
        """For each attack, what it was granted that no defense touches: no fall of its score could be theirs."""
        granted: dict[str, dict[str, None]] = {}
        for finding in self.panel.findings:
            if finding.first.cell.defenses:
                own = dict.fromkeys(wording.knows(name) for name in _UNTOUCHED if name in finding.first.threat.used)
                granted.setdefault(finding.first.cell.attack, {}).update(own)
        return [
            f"{attack} was given {wording.join(names)} past every defense, which guards messages alone."
            for attack, names in granted.items()
            if names
        ]

    def _marks(self, under: Defended, goal: str) -> list[Spot]:
        marks = []
        for cut, found in zip(self.panel.cuts, self.worst(under, goal), strict=True):
            accuracy = under.utility(cut)
            if accuracy and found and found[1].advantage:
                marks.append(Spot(cut, accuracy, found[1].advantage))
        return marks


def tradeoff(panel: Panel) -> Tradeoff | None:
    """Of a panel with more than one setting of the defenses; else None."""
    goals = ranked({row.goal for finding in panel.findings for row in finding.deciding if row.advantage})
    several = len(panel.defended) > 1 and goals
    return Tradeoff(panel, panel.defended, tuple(goals)) if several else None


def _compared(whole: Tradeoff, bare: Defended, under: Defended) -> str:
    milder: dict[tuple[str, str, str], list[str]] = {}
    harsher: dict[tuple[str, str, str], list[str]] = {}
    uneven: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    compared = False
    for goal, cut in product(whole.goals, whole.panel.cuts):
        ran = bare.attacks(goal, cut), under.attacks(goal, cut)
        both = ran[0] & ran[1]
        if under.at(cut) and ran[0] != ran[1]:
            # One that failed under a defense would make it look good.
            uneven.setdefault((goal, tuple(sorted(both))), []).append(cut)
        before, after = (one[1].verdict if (one := side.worst(goal, cut, both)) else None for side in (bare, under))
        if before and after:
            compared = True
        if before and after and before != after:
            changes = milder if SEVERITY[after] < SEVERITY[before] else harsher
            changes.setdefault((goal, before, after), []).append(cut)
    clauses = [_change(changes) for changes in (milder, harsher) if changes]
    clauses += ["no verdict changes"] if compared and not clauses else []
    clauses += [f"{wording.goal(goal).lower()} {_uneven(both, cuts)}" for (goal, both), cuts in uneven.items()]
    return f"{under.defense}: {'; '.join([*clauses, *_costs(whole.panel.cuts, bare, under)])}."


def _uneven(both: Sequence[str], cuts: Sequence[str]) -> str:
    """Where attacks have a result on one side alone, and what is compared there."""
    where = cuts_told(cuts, False)
    if not both:
        return f"not compared {where}, where no attack has a result on both sides"
    return f"compared {where} by {wording.join(both)} alone, as others have a result on one side"


def _change(changes: dict[tuple[str, str, str], list[str]]) -> str:
    told = [
        f"{wording.goal(goal).lower()} from {before} to {after} {cuts_told(cuts, False)}"
        for (goal, before, after), cuts in changes.items()
    ]
    return wording.join(told)


def _costs(cuts: Sequence[str], bare: Defended, under: Defended) -> list[str]:
    pairs = [(bare.utility(cut), under.utility(cut)) for cut in cuts]
    lost = [one.mean - other.mean for one, other in pairs if one and other]
    told = []
    if lost:
        low, high = (wording.number(value, Metric.ACCURACY).removesuffix(" %") for value in (min(lost), max(lost)))
        told.append(f"accuracy lost: {low if low == high else f'{low} to {high}'} points")
    sizes = [(_bytes(bare, cut), _bytes(under, cut)) for cut in cuts]
    shares = [other.mean / one.mean for one, other in sizes if one and other and one.mean]
    if any(round(100 * share) != 100 for share in shares):
        low, high = map(wording.share, (min(shares), max(shares)))
        told.append(f"{low if low == high else f'{low} to {high}'} of the bytes")
    return told


def _bytes(under: Defended, cut: str) -> Spread | None:
    finding = under.at(cut)
    return finding.number("bytes_per_sample") if finding else None
