"""Honest trainings of one seed that did not end in the same bits: how far rounding alone takes them apart."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from cutlayer.papers.sladv.rows import CLEAN, SIGNS
from cutlayer.record import Record
from cutlayer.reproduction.block import Block, Text
from cutlayer.reproduction.found import Group

_WHY = """The cause was found: a training in bf16 that was interrupted and taken up again went on with its momentum laid
out otherwise in memory, and so rounded otherwise. It is mended for later records. The network of such a record is
another draw of the honest training. By rounding alone two honest trainings of one seed were {most} apart in accuracy
and {noise} in what random signs take: a difference of that size between single seeds says nothing."""


def redrawn(groups: Iterable[Group]) -> list[Block]:
    """Of ``groups`` at alpha 0 the records whose accuracy is not that of the honest training beside them."""
    runs = [(group.told, record) for group in groups for record in group.records]
    pairs = [(told, record, pair) for told, record in runs if (pair := _accuracies(record)) and pair[0] != pair[1]]
    if not pairs:
        return []
    named = "; ".join(_named(told, record, pair) for told, record, pair in pairs)
    most = CLEAN.signed(max(abs(ours - honest) for *_, (ours, honest) in pairs))[1:]
    noise = SIGNS.signed(max(_noise(record) for _, record, _ in pairs))[1:]
    why = _WHY.format(most=most, noise=noise)
    return [Text(f"At alpha 0, but not equal to the honest training of its seed: {named}. {why}")]


def _noise(record: Record) -> float:
    score = SIGNS.of(record)
    return 0.0 if score is None or score.value is None or score.blind is None else abs(score.value - score.blind)


def _named(told: str, record: Record, pair: tuple[float, float]) -> str:
    ours, honest = map(CLEAN.spell, pair)
    both = zip(record.training, record.untampered, strict=False)
    equal = len(list(takewhile(lambda epochs: epochs[0].accuracy == epochs[1].accuracy, both)))
    until = f", equal after each of the first {equal} of {len(record.training)} epochs" if equal else ""
    return f"seed {record.cell.seed} ({told}), {ours} instead of {honest}{until}"


def _accuracies(record: Record) -> tuple[float, float] | None:
    """Of the record's network and of the honest one: of all test images, or where that is not kept of the targets."""
    honest = record.untampered[-1].accuracy if record.untampered else None
    if record.utility is not None and honest is not None:
        return record.utility, honest
    score = CLEAN.of(record)
    return (score.value, score.blind) if score and score.value is not None and score.blind is not None else None
