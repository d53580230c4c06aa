"""What the conclusions in short are from: how many seeds and iterations, and how well the victims were trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from cutlayer.message import Kind
from cutlayer.papers.sladv import printed
from cutlayer.papers.sladv.rows import CLEAN
from cutlayer.papers.sladv.setup import NARROW, deployment
from cutlayer.record import Record
from cutlayer.reproduction.found import Group

_ITERATIONS = 3000
"""Of the paper's trainings."""
_ITERATING = (Kind.TRAIN, Kind.FORWARD)
"""One round trip of one of these is an iteration: the first of two parts, the second of three."""


def basis(model: str, groups: Sequence[Group]) -> str:
    """In a few sentences; ``groups``: all that the conclusions on this network are from."""
    records = [record for group in groups for record in group.records]
    seeds = _span([len(group.runs) for group in groups], str)
    told = [f"{seeds} {'seed' if seeds == '1' else 'seeds'} a cell"]
    if iterations := [count for record in records if (count := _iterations(record))]:
        told.append(f"{_span(iterations, '{:,}'.format)} of the paper's {_ITERATIONS:,} iterations")
    if ours := [record.utility for record in records if record.utility is not None]:
        theirs = list(chain.from_iterable(row.values() for row in printed.TABLE_4.values()))
        paper = f"the paper's: {_span(theirs, CLEAN.spell)}"
        told.append(f"victims with an accuracy of {_span(ours, CLEAN.spell)} ({paper})")
    network = "narrow ResNet18, an eighth of the paper's channels" if model == NARROW else "whole ResNet18"
    return f"The {network}: {', '.join(told)}.{_caution(model, records)}"


def _caution(model: str, records: Sequence[Record]) -> str:
    """What an outcome on less than the paper's network, or after less than its iterations, cannot say."""
    short = any(record.experiment["epochs"] < deployment("paper")["epochs"] for record in records)
    where = [*(["in this short run"] if short else []), *(["on this narrow network"] if model == NARROW else [])]
    unseen = f"*not seen {' and '.join(where)}*"
    return f" *Does not hold* there means {unseen} and is no failed reproduction." if where else ""


def _iterations(record: Record) -> int:
    return max((record.traffic[kind].round_trips for kind in _ITERATING if kind in record.traffic), default=0)


def _span(values: Sequence[float], spell: Callable[[float], str]) -> str:
    """From the least to the most; where they read alike, once."""
    return " to ".join(dict.fromkeys((spell(min(values)), spell(max(values)))))
