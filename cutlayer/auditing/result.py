"""What a cell leaves behind: a record, filled in from what was judged and what the attack noted, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from cutlayer.judging.aftermath import Aftermath
from cutlayer.judging.judge import Judgement
from cutlayer.judging.undecided import why
from cutlayer.record import LEAK, NONE, NOT_APPLICABLE, PARTIAL, Course, Epoch, Record, Score
from cutlayer.seat.host import Findings
from cutlayer.simulation.traffic import Cost

_WORST_FIRST = (LEAK, PARTIAL, NONE)


@dataclass(frozen=True)
class Result:
    """A record, and the pictures that belong beside it."""

    record: Record
    images: Mapping[str, Tensor]


def not_applicable(record: Record, reason: str) -> Result:
    """Of a cell whose attack has nothing to do there."""
    return Result(record.ended(NOT_APPLICABLE, reason), {})


def images_of(judgements: Sequence[Judgement]) -> Mapping[str, Tensor]:
    """Those of the first guess that has any."""
    return next((judgement.images for judgement in judgements if judgement.images), {})


def scores_of(judgements: Sequence[Judgement]) -> tuple[Score, ...]:
    """Those of all guesses."""
    return tuple(score for judgement in judgements for score in judgement.scores)


def filled(
    record: Record,
    *,
    judgements: Sequence[Judgement],
    findings: Findings,
    cost: Cost,
    training: Sequence[Epoch],
    utility: float | None,
    untampered: Sequence[Epoch] = (),
    course: Sequence[Course] = (),
    outcome: str = "",
    aftermath: Aftermath | None = None,
) -> Record:
    """``record`` of a cell that has ended: the worst verdict is that of the cell.

    ``findings``: what its attack used, noted and tracked, and its time. The fields of ``cost`` and of ``aftermath`` are
    the record's own.
    """
    scores = scores_of(judgements)
    verdicts = {score.verdict for score in scores if score.decides}
    verdict = next((verdict for verdict in _WORST_FIRST if verdict in verdicts), NOT_APPLICABLE)
    curves = {name: note for name, note in findings.notes.items() if isinstance(note, list)}
    notes = {name: note for name, note in findings.notes.items() if name not in curves}
    return record.changed(
        scores=scores,
        verdict=verdict,
        reason=why(scores) if verdict == NOT_APPLICABLE else "",
        pictures=next((j.pictures for j in judgements if j.pictures), None),
        confusion=next((j.confusion for j in judgements if j.confusion), None),
        features=next((j.features for j in judgements if j.features), None),
        threat=record.threat.changed(used=findings.used),
        attack=record.attack.changed(notes=notes, curves=curves),
        attack_seconds=findings.seconds,
        training=training,
        utility=utility,
        untampered=untampered,
        course=course,
        outcome=outcome,
        **vars(cost),
        **vars(aftermath or Aftermath()),
    )
