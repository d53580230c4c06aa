"""What alpha 1 costs the clients: the last third of the epochs beside honest training's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TypeAlias

from cutlayer.papers.sladv.claims import FEW, UNTOLD, said
from cutlayer.papers.sladv.epochs import last_third
from cutlayer.papers.sladv.rows import CLEAN, of
from cutlayer.papers.sladv.tables import table_3
from cutlayer.papers.sladv.telling import DIVERGED, sift
from cutlayer.record import Epoch, Record
from cutlayer.reproduction.found import Found, Group

_MOST = 0.05
_LEAST = 2
"""Epochs below which nothing shows how far accuracy swings."""

_Draw: TypeAlias = "tuple[int, int, str | None]"
"""Seed, number of epochs and precision of a training."""


@dataclass(frozen=True)
class _Cost:
    """Mean accuracies of one seed over its last epochs."""

    ours: float
    honest: float
    swing: float
    """Between the best and the worst of these epochs, of the two trainings the larger."""
    epochs: int


def costs(found: Found, model: str) -> list[list[str]]:
    """Outcome, numbers and setting, by setting."""
    cells, wanted = table_3(model).cells, {**of("cifar10"), "aux_rows": 4096}
    honest = _honest(found.groups(cells, {**wanted, "sladv.alpha": 0.0}))
    groups = found.groups(cells, {**wanted, "sladv.alpha": 1.0})
    return [[*_judged(group.records, honest), group.told] for group in reversed(groups)]


def _honest(groups: Sequence[Group]) -> dict[_Draw, Sequence[Epoch]]:
    """At alpha 0 a training is honest, whatever the shadow beside it learns from."""
    return {_draw(record): record.training for group in groups for record in group.records}


def _draw(record: Record) -> _Draw:
    """Of one seed, too, trainings that round otherwise end otherwise."""
    return record.cell.seed, len(record.training), record.experiment.get("precision")


def _judged(records: Sequence[Record], honest: Mapping[_Draw, Sequence[Epoch]]) -> tuple[str, str]:
    sifted = sift(records, DIVERGED)
    known = [cost for record in sifted.telling or records if (cost := _cost(record, honest))]
    if not known:
        return FEW, "no accuracy of honest training by epochs"
    ours, beside, swing = mean(c.ours for c in known), mean(c.honest for c in known), max(c.swing for c in known)
    epochs = min(cost.epochs for cost in known)
    over = "the last epoch" if epochs == 1 else f"the last {epochs} epochs"
    told = f"accuracy over {over}: {CLEAN.spell(ours)} ({CLEAN.spell(beside)}{sifted.aside})"
    spare = ours - beside + _MOST
    untold = [*sifted.why] if not sifted.telling else []
    untold += ["one epoch"] if epochs < _LEAST else ["accuracy swings"] if swing > abs(spare) else []
    return f"{UNTOLD}: {', '.join(untold)}" if untold else said(spare >= 0), f"{told}, swing {CLEAN.signed(swing)[1:]}"


def _cost(record: Record, honest: Mapping[_Draw, Sequence[Epoch]]) -> _Cost | None:
    """None without honest training's accuracy after the same epochs."""
    beside = record.untampered or honest.get(_draw(record), ())
    own, other = (last_third(epochs) for epochs in (record.training, beside))
    if not own or len(own) != len(other):
        return None
    swing = max(max(accuracies) - min(accuracies) for accuracies in (own, other))
    return _Cost(mean(own), mean(other), swing, len(own))
