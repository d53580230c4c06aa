"""What a cell leaves behind: a record, filled in from what was judged and what the attack noted, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cutlayer.judging.judge import Judgement
from cutlayer.judging.undecided import why
from cutlayer.record import LEAK, NONE, NOT_APPLICABLE, PARTIAL, Record
from cutlayer.seat.host import Findings

_WORST_FIRST = (LEAK, PARTIAL, NONE)


@dataclass(frozen=True)
class Result:
    """A record, and the pictures that belong beside it."""

    record: Record
    images: Mapping[str, Tensor]


def not_applicable(record: Record, reason: str) -> Result:
    """Of a cell whose attack has nothing to do there."""
    return Result(record.model_copy(update={"status": NOT_APPLICABLE, "verdict": NOT_APPLICABLE, "reason": reason}), {})


def images_of(judgements: Sequence[Judgement]) -> Mapping[str, Tensor]:
    """Those of the first guess that has any."""
    return next((judgement.images for judgement in judgements if judgement.images), {})


def judged(judgements: Sequence[Judgement]) -> dict[str, Any]:
    """The fields of a record that the judge decides: the worst verdict is that of the cell."""
    scores = tuple(score for judgement in judgements for score in judgement.scores)
    verdicts = {score.verdict for score in scores if score.decides}
    verdict = next((verdict for verdict in _WORST_FIRST if verdict in verdicts), NOT_APPLICABLE)
    return {
        "scores": scores,
        "verdict": verdict,
        "reason": why(scores) if verdict == NOT_APPLICABLE else "",
        "pictures": next((j.pictures for j in judgements if j.pictures), None),
        "confusion": next((j.confusion for j in judgements if j.confusion), None),
        "features": next((j.features for j in judgements if j.features), None),
    }


def found(record: Record, findings: Findings) -> dict[str, Any]:
    """The fields of a record that its attack fills: what it used, noted and tracked, and its time."""
    curves = {name: note for name, note in findings.notes.items() if isinstance(note, list)}
    notes = {name: note for name, note in findings.notes.items() if name not in curves}
    return {
        "threat": record.threat.model_copy(update={"used": {str(what): n for what, n in findings.used.items()}}),
        "attack": record.attack.model_copy(update={"notes": notes, "curves": curves}),
        "attack_seconds": findings.seconds,
    }
