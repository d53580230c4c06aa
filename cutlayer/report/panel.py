"""One dataset, model and protocol of a run, laid out by cut for the page: what leaks, and what the charts show."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cutlayer.metric import Metric
from cutlayer.record import DONE, Course
from cutlayer.report import wording
from cutlayer.report.defended import Defended, by_defense
from cutlayer.report.evidence import Evidence
from cutlayer.report.figure import Chart, Points, by_cut, curves, shares
from cutlayer.report.finding import Finding, ScoreRow, Spread, cut_order, spread, told_apart

_MOST_POINTS = 200
_OF_EPOCHS = {"loss": "Loss", "accuracy": "Test accuracy"}
_NOTICED = {
    "gradient_norm": "Norm of the returned gradient",
    "label_gap": "Label gap of the returned gradient",
}
_PLANTED = (Metric.ATTACK_SUCCESS, Metric.CLEAN_ACCURACY)


@dataclass(frozen=True)
class Tile:
    """One cut of one series: its finding and deciding row, or the status of the cell that has none."""

    cut: str
    finding: Finding | None
    row: ScoreRow | None
    status: str


@dataclass(frozen=True)
class Series:
    """One attack going for one goal, over the cuts of a panel."""

    attack: str
    variant: str
    goal: str
    guess: str
    tiles: tuple[Tile, ...]

    @property
    def label(self) -> str:
        """The series by name, as legends and tables print it."""
        told = ", ".join(filter(None, (self.variant, self.guess)))
        return f"{self.attack}: {self.goal}" + (f" ({told})" if told else "")

    @property
    def findings(self) -> list[Finding]:
        """The findings that there are, in order of the cut."""
        return [tile.finding for tile in self.tiles if tile.finding]


@dataclass(frozen=True)
class Panel:
    """All findings of one dataset, model and protocol."""

    dataset: str
    model: str
    protocol: str
    cuts: tuple[str, ...]
    findings: tuple[Finding, ...]
    series: tuple[Series, ...]

    @property
    def defended(self) -> tuple[Defended, ...]:
        """The findings by their defenses, no defense first."""
        return by_defense(self.findings)

    def at(self, cut: str, among: Sequence[Finding] | None = None) -> Finding | None:
        """The first finding at ``cut``; among all of them any will do for the client's share of the network."""
        return next((f for f in (self.findings if among is None else among) if f.cut == cut), None)

    def attacks(self) -> list[tuple[str, str, list[Finding]]]:
        """The findings by attack and variant."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.findings:
            groups.setdefault((finding.first.cell.attack, finding.variant), []).append(finding)
        return [(*name, members) for name, members in groups.items()]

    def leakage(self) -> Chart | None:
        """Advantage of every series against the cut."""
        points = [
            Points(
                s.label,
                tuple((float(x), q.row.advantage) for x, q in enumerate(s.tiles) if q.row and q.row.advantage),
            )
            for s in self.series
        ]
        if not any(line.at for line in points):
            return None
        limits = self.findings[0].first.thresholds
        return by_cut("Advantage by cut", points, self.cuts, limits.leak, limits.partial)

    @property
    def deeper(self) -> str:
        """What a deeper cut does to the client's work, in a sentence; empty where it goes neither way."""
        known = [f.share("client_flops", "flops") for f in map(self.at, self.cuts) if f]
        steps = [after - before for before, after in itertools.pairwise(s for s in known if s is not None)]
        if not any(steps) or min(steps) < 0 < max(steps):
            return ""
        more = "more" if max(steps) > 0 else "less"
        return f"A deeper cut leaves {more} of the work to the client; whether less leaks is what this shows."

    def work(self) -> Chart | None:
        """The client's share of parameters and of forward FLOPs against the cut."""
        points = []
        for label, part, whole in (
            ("parameters", "client_parameters", "parameters"),
            ("FLOPs", "client_flops", "flops"),
        ):
            found = [(float(x), self.at(cut)) for x, cut in enumerate(self.cuts)]
            known = [(x, f.share(part, whole)) for x, f in found if f]
            points.append(Points(label, tuple((x, Spread(v, v, v, 1)) for x, v in known if v is not None)))
        if not any(line.at for line in points):
            return None
        return shares("The client's share by cut", points, self.cuts)

    @property
    def noticeable(self) -> bool:
        """Whether a server tampered with any of the trainings, and what it sent back was measured."""
        servers = (
            f for f in self.findings if f.first.experiment.get("under") or (f.first.threat.tampers and _at_server(f))
        )
        return any(epoch.gradient_norm is not None for f in servers for epoch in f.first.training)

    @property
    def unmeasured(self) -> str:
        """The cuts, with seeds where it is not all, at which an attack's honest counterpart was not measured so."""
        cuts: dict[str, dict[int, bool]] = {}
        for cell in (cell for finding in self.findings for cell in finding.cells):
            attacked, honest = cell.record.training, cell.record.untampered
            if honest and any(epoch.gradient_norm is not None for epoch in attacked):
                here = cuts.setdefault(cell.record.cell.cut, {})
                here[cell.record.cell.seed] = all(epoch.gradient_norm is None for epoch in honest)
        told = []
        for cut, seeds in cuts.items():
            lacking = [str(seed) for seed, lacks in seeds.items() if lacks]
            told += [f"{cut} (seed {', '.join(lacking)})" if len(lacking) < len(seeds) else cut] if lacking else []
        return ", ".join(told)

    def training(self) -> list[Chart]:
        """By epoch, what the training came to and, where some were attacked, what clients could have noticed.

        Equal curves are drawn once.
        """
        charts = []
        for field, told in (_OF_EPOCHS | _NOTICED if self.noticeable else _OF_EPOCHS).items():
            lines: dict[tuple[tuple[float, Spread], ...], list[str]] = {}
            for finding in self.findings:
                by = finding.first.cell.attack if finding.first.threat.tampers else ""
                by += f" ({finding.variant})" if by and finding.variant else ""
                by = by or str(finding.first.experiment.get("under") or "")
                own, beside = (_over_epochs(finding, field, whose) for whose in ("training", "untampered"))
                for line, under in ((beside, ""), (own, f" under {by}" if by else "")):
                    if line:
                        lines.setdefault(line, []).append(f"{finding.cut}{under}")
            points = [Points(f"cut {', '.join(dict.fromkeys(cuts))}", line) for line, cuts in lines.items()]
            chart = curves(f"{told} by epoch", "epoch", points)
            charts += [chart] if chart else []
        return charts

    def course(self) -> list[Chart]:
        """What an attack on the training would have got by then, with what stands beside it.

        A backdoor by epochs, whether or not anything was decided at the end; else each deciding metric by steps.
        """
        made = []
        for finding in self.findings:
            planted = [r for r in finding.rows if (r.goal, r.guess) == ("backdoor", "") and r.metric in _PLANTED]
            others = [("training step", [row]) for row in finding.deciding if row not in planted]
            for axis, rows in [*([("epoch", planted)] if planted else []), *others]:
                points = [
                    Points(name, _over_course(finding, row, field, axis == "epoch"))
                    for row in rows
                    for name, field in _drawn(row)
                ]
                told = f"{finding.first.cell.attack}, cut {finding.cut}{wording.told(finding.variant)}: {rows[0].goal}"
                chart = curves(told, axis, points) if points[0].at else None
                made += [chart] if chart else []
        return made

    def progress(self) -> list[Chart]:
        """What each attack tracked while it ran, a chart for each attack and curve, at points spread evenly over it."""
        lines: dict[tuple[str, str], list[Points]] = {}
        for finding in self.findings:
            attack, told = finding.first.cell.attack, f" ({finding.variant})" if finding.variant else ""
            for name in finding.first.attack.curves:
                line = _over_rounds([cell.record.attack.curves.get(name, []) for cell in finding.cells])
                lines.setdefault((attack, name), []).append(Points(f"cut {finding.cut}{told}", line))
        made = [
            curves(f"{attack}: {name.replace('_', ' ')}", "point", points) for (attack, name), points in lines.items()
        ]
        return [chart for chart in made if chart]


def panels(found: Sequence[Finding], evidence: Iterable[Evidence]) -> list[Panel]:
    """The findings by dataset, model and protocol; cells without a finding mark their tile with their status."""
    cells, made = list(evidence), []
    for key in dict.fromkeys(finding.panel for finding in found):
        own = [finding for finding in found if finding.panel == key]
        here = [e.record for e in cells if (e.record.cell.dataset, e.record.cell.model, e.record.cell.protocol) == key]
        depth = {record.cell.cut: cut_order(record) for record in here}
        cuts = sorted(depth, key=lambda cut: (depth[cut], cut))
        missing = {(r.cell.attack, r.cell.cut): r.status for r in here if r.status != DONE}
        made.append(Panel(*key, tuple(cuts), tuple(own), tuple(_series(own, cuts, missing))))
    return made


def _series(own: Sequence[Finding], cuts: Sequence[str], missing: dict[tuple[str, str], str]) -> Iterable[Series]:
    names = dict.fromkeys((f.first.cell.attack, f.variant, r.goal, r.guess) for f in own for r in f.deciding)
    for attack, variant, goal, guess in names:
        tiles = []
        for cut in cuts:
            mine = (f for f in own if (f.first.cell.attack, f.variant, f.cut) == (attack, variant, cut))
            finding = next(mine, None)
            rows = finding.deciding if finding else ()
            row = next((row for row in rows if (row.goal, row.guess) == (goal, guess)), None)
            without = missing.get((attack, cut), "no verdict" if finding else "not run")
            tiles.append(Tile(cut, finding, row, "" if row else without))
        yield Series(attack, variant, goal, guess, tuple(tiles))


def _at_server(finding: Finding) -> bool:
    return finding.first.threat.seat == "server"


def _over_epochs(finding: Finding, field: str, whose: str) -> tuple[tuple[float, Spread], ...]:
    at: dict[float, list[float | None]] = {}
    for cell in finding.cells:
        for epoch in getattr(cell.record, whose):
            at.setdefault(epoch.epoch, []).append(getattr(epoch, field))
    line = ((epoch, spread(values)) for epoch, values in sorted(at.items()))
    return tuple((epoch, value) for epoch, value in line if value)


def _drawn(row: ScoreRow) -> tuple[tuple[str, str], tuple[str, str]]:
    """The two curves of a row, by name, and the field of a score that each is of."""
    metric, beside = wording.metric(row.metric), wording.beside(row)
    return (metric, "value"), (f"{metric}, {beside}" if beside else "blind", "blind")


def _over_course(finding: Finding, row: ScoreRow, field: str, by_epoch: bool) -> tuple[tuple[float, Spread], ...]:
    at: dict[float, list[float | None]] = {}
    for record in (cell.record for cell in finding.cells if cell.record.course):
        first, last = record.course[0], record.training[-1].epoch
        end = Course(epoch=last, step=first.step // first.epoch * last, scores=record.scores)
        for part in (*record.course, end):
            for score in part.scores:
                if (score.goal, score.metric, told_apart(score)) == (row.goal, row.metric, row.guess):
                    at.setdefault(part.epoch if by_epoch else part.step, []).append(getattr(score, field))
    line = ((place, spread(values)) for place, values in sorted(at.items()))
    return tuple((place, value) for place, value in line if value)


def _over_rounds(runs: Sequence[Sequence[float | None]]) -> tuple[tuple[float, Spread], ...]:
    length = max(map(len, runs), default=0)
    places: list[int] = np.unique(np.linspace(0, length - 1, min(length, _MOST_POINTS)).round().astype(int)).tolist()
    line = ((float(i + 1), spread(run[i] for run in runs if i < len(run))) for i in places)
    return tuple((place, value) for place, value in line if value)


def story(series: Series) -> list[str]:
    """A sentence per cut: the verdict and the numbers it rests on."""
    said = []
    for tile in series.tiles:
        if tile.row:
            split = dict.fromkeys(tile.row.seed_verdicts)
            seeds = f"; by seed: {', '.join(tile.row.seed_verdicts)}" if len(split) > 1 else ""
            said.append(
                f"Cut {tile.cut}: {tile.row.verdict or 'not judged'}. {_clause(tile.row, tile.finding)}{seeds}."
            )
    return said


def _clause(row: ScoreRow, finding: Finding | None) -> str:
    text = wording.compared(row, finding.row(Metric.PATTERN_DROP) if finding else None)
    return text[0].upper() + text[1:]
