"""What a finding can show beyond its scores: pictures, the confusion of labels, the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cutlayer.illustration import Feature
from cutlayer.report.evidence import Pixels
from cutlayer.report.figure import heat, picture
from cutlayer.report.finding import Finding, Spread, spread

_MOST_PICTURES, _MOST_CLASSES = 20, 20


@dataclass(frozen=True)
class Shot:
    """One target: its label and its pictures as data addresses, with the scores of the guesses."""

    label: str
    truth: str
    guess: str
    stretched: str | None
    """The guess with its own range stretched to black and white."""
    blind: str | None
    ssim: float | None
    stretched_ssim: float | None
    blind_ssim: float | None
    before: str = ""
    """What the deployment takes the truth for."""
    after: str = ""
    """What it takes the guess for."""


@dataclass(frozen=True)
class Grid:
    """The targets of one seed of one finding; ``hidden`` more were not drawn."""

    seed: int
    shots: tuple[Shot, ...]
    hidden: int
    scale: float = 1.0
    """What a change is multiplied by to be seen."""
    blind: str = ""
    """Which blind guess is pictured, as in the record."""


def grids(finding: Finding, most: int = _MOST_PICTURES) -> list[Grid]:
    """A grid of pictures for every seed that left some, the first ``most`` targets of each."""
    made = []
    for cell in finding.cells:
        images, about = cell.images(), cell.record.pictures
        truth, guess, stretched, blind = (images.get(name) for name in ("truth", "guess", "stretched", "blind"))
        if about is None or truth is None or guess is None:
            continue
        count = min(len(truth), len(guess))
        shots = []
        for i in range(min(count, most)):
            label = about.labels[i] if i < len(about.labels) else i
            scores = (_at(about.ssim, i), _at(about.stretched_ssim, i), _at(about.blind_ssim, i))
            drawn = (picture(truth[i]), picture(guess[i]), _drawn(stretched, i), _drawn(blind, i))
            taken = (about.before[i], about.after[i]) if i < len(about.before) and i < len(about.after) else ("", "")
            shots.append(Shot(str(label), *drawn, *scores, *taken))
        made.append(Grid(cell.record.cell.seed, tuple(shots), count - len(shots), about.scale or 1.0, about.blind))
    return made


def _drawn(pixels: Pixels | None, i: int) -> str | None:
    return picture(pixels[i]) if pixels is not None and i < len(pixels) else None


def _at(values: Sequence[float | None], i: int) -> float | None:
    return values[i] if i < len(values) else None


@dataclass(frozen=True)
class Heat:
    """Inferred labels by true label over all seeds: ``rows`` of (label, counts, shares), or an image if many."""

    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...], tuple[float, ...]], ...]
    image: str | None
    weakest: tuple[tuple[str, float], ...]


def confusion(finding: Finding) -> Heat | None:
    """The finding's confusion of labels; None when it inferred none or its counts are not a square of its labels."""
    tables = [cell.record.confusion for cell in finding.cells if cell.record.confusion]
    if not tables or any(table.labels != tables[0].labels for table in tables):
        return None
    labels, size = tables[0].labels, len(tables[0].labels)
    if any(len(t.counts) != size or any(len(row) != size for row in t.counts) for t in tables):
        return None
    counts = np.sum([np.asarray(table.counts, dtype=np.int64).reshape(size, size) for table in tables], axis=0)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A class that never occurs among the targets says nothing about the attack.
    order = [i for i in np.argsort(np.diag(fractions), kind="stable")[:5] if counts[i].sum()]
    weakest = tuple((labels[i], float(fractions[i, i])) for i in order)
    if size > _MOST_CLASSES:
        return Heat(labels, (), heat(fractions.astype(np.float32)), weakest)
    rows = zip(labels, counts.tolist(), fractions.tolist(), strict=True)
    return Heat(labels, tuple((name, tuple(row), tuple(part)) for name, row, part in rows), None, weakest)


@dataclass(frozen=True)
class Column:
    """One column of a table of numbers over all seeds."""

    name: str
    mse: Spread | None
    blind: Spread | None
    advantage: Spread | None


def columns(finding: Finding) -> list[Column]:
    """How well each column of a table was recovered, the best recovered one first."""
    by_name: dict[str, list[Feature]] = {}
    for cell in finding.cells:
        for feature in cell.record.features or ():
            by_name.setdefault(feature.name, []).append(feature)
    made = [
        Column(name, spread(f.mse for f in all_), spread(f.blind for f in all_), spread(f.advantage for f in all_))
        for name, all_ in by_name.items()
    ]
    return sorted(made, key=lambda column: -(column.advantage.mean if column.advantage else -1e9))


def strongest(found: Sequence[Finding]) -> tuple[Finding, Grid] | None:
    """The finding with pictures whose inputs leak most, with the first few targets of its first seed."""
    with_inputs = [
        (row.advantage.mean, finding)
        for finding in found
        for row in finding.deciding
        if row.goal == "inputs" and row.advantage and finding.first.pictures
    ]
    for _, finding in sorted(with_inputs, key=lambda pair: -pair[0]):
        made = grids(finding, 6)
        if made:
            return finding, made[0]
    return None
