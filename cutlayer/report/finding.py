"""What the cells say once repeated seeds are taken together: mean and range, never the best seed."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cutlayer.metric import Metric
from cutlayer.record import LEAK, NONE, PARTIAL, Record, Score, Thresholds
from cutlayer.report.evidence import ASIDE, Evidence, latest

NO_DEFENSE = "no defense"
SEVERITY = {LEAK: 2, PARTIAL: 1, NONE: 0}

_AXES = ("defenses", "clients", "when", "steps", "pixels")
# Keys of an experiment that its cell says already.
_TOLD = {"dataset", "model", "protocol", "cut", "attack", "defense", "seed", "steps", "when", "clients", "options"}


@dataclass(frozen=True)
class Spread:
    """Mean and range of one number over ``count`` seeds."""

    mean: float
    low: float
    high: float
    count: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and range of the values that are there; None when there is none."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return Spread(sum(known) / len(known), min(known), max(known), len(known)) if known else None


@dataclass(frozen=True)
class ScoreRow:
    """One metric of one finding over its seeds."""

    goal: str
    metric: str
    guess: str
    decides: bool
    value: Spread | None
    blind: Spread | None
    advantage: Spread | None
    verdict: str | None
    seed_verdicts: tuple[str, ...]
    beats_blind: bool | None
    undecided: int
    """Seeds where it decides nothing, though in others it does: they are left out of all values here."""


def _said(row: ScoreRow) -> tuple[int, float]:
    return SEVERITY.get(row.verdict or "", -1), row.advantage.mean if row.advantage else -math.inf


@dataclass(frozen=True)
class Finding:
    """One attack at one cut in one setting, over all its seeds (``cells``, in order of the seed)."""

    cells: tuple[Evidence, ...]
    variant: str
    rows: tuple[ScoreRow, ...]

    @property
    def first(self) -> Record:
        """The record of the lowest seed: what is equal in all of them is read here."""
        return self.cells[0].record

    @property
    def cut(self) -> str:
        """The cut as the experiment writes it: a block's index or name, two joined by a colon."""
        return self.first.cell.cut

    @property
    def panel(self) -> tuple[str, str, str]:
        """``panel_of`` its cells."""
        return panel_of(self.first)

    @property
    def defense(self) -> str:
        """The defenses with the options that were asked for, as a reader knows them."""
        asked = self.first.experiment.get("options") or {}
        told = [
            " ".join([name, *(f"{key}={as_written(value)}" for key, value in asked.get(name, {}).items())])
            for name in self.first.cell.defenses
        ]
        return " + ".join(told) or NO_DEFENSE

    def place(self) -> tuple[bool, list[str | float], list[str | float]]:
        """A key for the order among findings of one attack and cut: none before any defense, numbers as numbers."""
        return self.defense != NO_DEFENSE, _counted(self.defense), _counted(self.variant)

    @property
    def deciding(self) -> tuple[ScoreRow, ...]:
        """The rows whose advantage the verdict rests on; of several metrics of one guess, the one that says most.

        What gains less in every metric gains less here, too, whichever metric speaks for it.
        """
        best: dict[tuple[str, str], ScoreRow] = {}
        for row in self.rows:
            held = best.get((row.goal, row.guess))
            if row.decides and (held is None or _said(row) > _said(held)):
                best[row.goal, row.guess] = row
        return tuple(best.values())

    @property
    def verdict(self) -> str | None:
        """The worst verdict among the deciding rows; None where nothing decides."""
        return worst(row.verdict for row in self.deciding)

    def row(self, metric: str) -> ScoreRow | None:
        """The row of ``metric`` of the first guess; None where it has none."""
        return next((row for row in self.rows if row.metric == metric), None)

    def number(self, field: str) -> Spread | None:
        """Mean and range over the seeds of one numeric field of the record."""
        return spread(getattr(item.record, field) for item in self.cells)

    def share(self, part: str, whole: str) -> float | None:
        """``part`` as a fraction of ``whole``, both fields of the record."""
        top, bottom = self.number(part), self.number(whole)
        return top.mean / bottom.mean if top and bottom and bottom.mean else None


def panel_of(record: Record) -> tuple[str, str, str]:
    """Dataset, model and protocol: cells that share these share an axis of cuts."""
    return record.cell.dataset, record.cell.model, record.cell.protocol


def worst(verdicts: Iterable[str | None]) -> str | None:
    """The most severe of the verdicts that are verdicts; None when there is none."""
    return max((v for v in verdicts if v in SEVERITY), key=SEVERITY.__getitem__, default=None)


def findings(evidence: Iterable[Evidence]) -> list[Finding]:
    """The finished cells, those that differ in nothing but the seed taken together, in order of attack and cut."""
    groups: dict[tuple[str, ...], list[Evidence]] = defaultdict(list)
    for item in latest(evidence):
        if item.done:
            groups[_scope(item.record), item.record.cell.cut, _told(item.record)].append(item)
    varied = _varied([group[0].record for group in groups.values()])
    made = []
    for group in groups.values():
        ordered = tuple(sorted(group, key=lambda item: item.record.cell.seed))
        first = ordered[0].record
        # Nothing else on a page says that the network was not the trained one.
        named = varied[_scope(first)] | ({"when"} if untrained(first) else set())
        told = {name: value for name, value in _coordinates(first).items() if name in named}
        found = Finding(ordered, "", _rows(ordered))
        if "defenses" in told:
            # Their options belong to them, and stand with their names.
            told = {name: value for name, value in told.items() if name.partition(".")[0] not in first.cell.defenses}
            told["defenses"] = found.defense
        made.append(replace(found, variant=", ".join(_axis(name, value) for name, value in told.items())))
    return sorted(made, key=lambda f: (f.panel, cut_order(f.first), f.first.cell.attack, f.place()))


def cut_order(record: Record) -> tuple[float, ...]:
    """A key that puts cuts in order of depth: by number, or by the client's work where they go by name."""
    parts = record.cell.cut.split(":")
    if all(part.isdecimal() for part in parts):
        return tuple(float(part) for part in parts)
    return (float(record.client_flops or 0),)


def _counted(text: str) -> list[str | float]:
    """Words and numbers in turn, so that 10 comes after 2."""
    return [float(part) if part[:1].isdigit() else part for part in re.split(r"(\d+(?:\.\d+)?)", text)]


def _scope(record: Record) -> str:
    cell = record.cell
    return json.dumps([cell.dataset, cell.model, cell.protocol, cell.attack])


def _told(record: Record) -> str:
    return json.dumps(_coordinates(record))


def _coordinates(record: Record) -> dict[str, str]:
    """All that makes two cells of one attack and cut different measurements, the seed left out."""
    told = {name: as_written(getattr(record.cell, name)) for name in _AXES}
    told |= {name: as_written(value) for name, value in sorted(record.attack.options.items())}
    asked = record.experiment
    told |= {name: as_written(asked[name]) for name in sorted(asked) if name not in _TOLD | ASIDE}
    for plugin, options in (asked.get("options") or {}).items():
        if plugin != record.cell.attack:
            told |= {f"{plugin}.{name}": as_written(value) for name, value in options.items()}
    return told


def _varied(records: Sequence[Record]) -> dict[str, set[str]]:
    """For each dataset, model, protocol and attack, the coordinates of which one cut has more than one value.

    What changes with the cut alone, such as an attack's weight by depth, tells no two cells apart.
    """
    cells: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for record in records:
        cells[_scope(record), record.cell.cut].append(_coordinates(record))
    varied: dict[str, set[str]] = defaultdict(set)
    for (scope, _), told in cells.items():
        names = {name for one in told for name in one}
        varied[scope] |= {name for name in names if len({one.get(name) for one in told}) > 1}
    return varied


def as_written(value: Any) -> str:
    """A value of an option as people write it."""
    if isinstance(value, Mapping):
        name = value.get("name") or value.get("kind") or ""
        rest = " ".join(f"{key}={as_written(item)}" for key, item in value.items() if key not in ("name", "kind"))
        return f"{name} {rest}".strip()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(as_written, value))
    return str(value)


def _axis(name: str, value: str) -> str:
    if name == "defenses":
        return value
    if name in ("when", "steps"):
        return {"before": "attacked before training", "after": "attacked after training"}.get(value, f"{value} steps")
    return f"{name}={value}"


def _rows(cells: Sequence[Evidence]) -> tuple[ScoreRow, ...]:
    together: dict[tuple[str, str, str], list[Score]] = defaultdict(list)
    for item in cells:
        for score in item.record.scores:
            together[score.goal, score.guess, score.metric].append(score)
    thresholds = cells[0].record.thresholds
    rows = [_row(scores, thresholds) for scores in together.values()]
    return tuple(sorted(rows, key=lambda row: (row.goal, _counted(row.guess), not row.decides)))


def untrained(record: Record) -> bool:
    """Whether the network was attacked before its training."""
    return record.cell.when == "before"


def tampered(record: Record) -> bool:
    """Whether the training was tampered with, by the cell's attack or by the one before it."""
    return record.threat.tampers or bool(record.experiment.get("under"))


def told_apart(score: Score) -> str:
    """The guess by its name; what noise does is a question of its own beside what adversarial inputs do."""
    noise = {Metric.RANDOM_SIGNS_DROP.value: "random signs", Metric.PATTERN_DROP.value: "a fixed pattern"}
    return score.guess or (noise.get(score.metric, "") if score.decides else "")


def _row(scores: Sequence[Score], thresholds: Thresholds) -> ScoreRow:
    decides = any(score.decides for score in scores)
    # The mean over seeds of which some are told apart from a blind guess and others cannot be is that of no attack.
    # Those in doubt count: without them the seeds that gain most would be missing.
    told = [score for score in scores if score.decides or score.doubtful] if decides else scores
    undecided, scores = len(scores) - len(told), told
    one, advantage = scores[0], spread(score.advantage for score in scores)
    value, blind = spread(s.value for s in scores), spread(s.blind for s in scores)
    said = tuple(score.verdict for score in scores if score.verdict in SEVERITY)
    return ScoreRow(
        one.goal, one.metric, told_apart(one), decides, value, blind, advantage,
        _verdict(said, advantage, thresholds, len(said) < len(scores)) if decides else None, said,
        _beats(value, blind, advantage, one), undecided,
    )  # fmt: skip


def _verdict(said: Sequence[str], advantage: Spread | None, thresholds: Thresholds, doubted: bool) -> str | None:
    if len(set(said)) == 1 and not doubted:
        return said[0]
    if advantage is None:
        return worst(said)
    return thresholds.verdict(advantage.mean)


def _beats(value: Spread | None, blind: Spread | None, advantage: Spread | None, score: Score) -> bool | None:
    if advantage is not None:
        return advantage.mean > 0
    if value is None or blind is None:
        return None
    if score.best is None and score.metric != Metric.PSNR:
        # Shown to be read, not to be beaten: which way is better, if any, is not said.
        return None
    up = score.best is None or score.best > blind.mean
    return value.mean > blind.mean if up else value.mean < blind.mean
