"""Rows of the tables: the drop at three budgets, of whose runs, and what the paper prints there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.sladv.setup import EIGHT, NARROW, SIXTEEN, own_images
from cutlayer.reproduction.block import Block, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, Number, TableLine, comparison
from cutlayer.reproduction.found import Found, Group
from cutlayer.reproduction.paper import Exhibit

ALPHAS = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0)
READINGS = ("distance=", "clip=")
"""In a setting: another attack than SLADV with its options as they are."""
SEEN = ("svhn", "cifar10", "cifar100", "tiny_imagenet")
CLEAN = Number("clean accuracy", Metric.NATURAL_ACCURACY, "evasion", beside="honest")
DROP = Number(
    *("accuracy drop", Metric.ACCURACY_DROP, "evasion"),
    blindly="random signs of the same budget",
    limit=CLEAN,
)
_AT_8 = Number(f"drop at {EIGHT}", Metric.ACCURACY_DROP, "evasion", EIGHT)
_AT_16 = Number(f"drop at {SIXTEEN}", Metric.ACCURACY_DROP, "evasion", SIXTEEN)
_DROPS = (DROP, _AT_8, _AT_16)
SIGNS = Number("random signs alone", Metric.RANDOM_SIGNS_DROP, "evasion")
_LEFT = Number("accuracy left", Metric.ADVERSARIAL_ACCURACY, "evasion")
_EXCHANGED = Number("drop by another image's change", Metric.EXCHANGED_DROP, "evasion")
_PATTERN = Number("drop by a fixed pattern", Metric.PATTERN_DROP, "evasion")
SIZE = Number("mean change in budgets", Metric.PERTURBATION_SIZE, "evasion")
_PROXY = Number("proxy accuracy", Metric.PROXY_ACCURACY, "evasion")
_BEHIND = (SIGNS, _PATTERN, _EXCHANGED, CLEAN, _LEFT, SIZE, _PROXY)

Cells = Callable[[Scale], Sequence[Cell]]


def columns(scale: Scale, model: str) -> Sequence[str]:
    """Where the server's own images come from; those that are not here are not run."""
    return ("cifar10",) if scale == "smoke" or (scale, model) == ("quick", NARROW) else SEEN


class Rows:
    """The rows of one table of drops, on one network."""

    def __init__(self, found: Found, cells: Cells, model: str, heads: Sequence[str]) -> None:
        self._found, self._cells, self._heads = found, cells, heads
        self._narrow = model == NARROW
        self._lines: list[TableLine] = []

    def add(self, wanted: dict[str, Any], place: Sequence[str], said: float | None, but: str = "") -> None:
        """A row for each setting in which the wanted cells were run; the paper prints ``said``.

        ``but``: what a difference from the published setting begins with that stands elsewhere.
        """
        for group in self._found.groups(self._cells, wanted):
            if not (but and any(difference.startswith(but) for difference in group.differences)):
                self._lines.append(self._line(place, group, said))

    def _line(self, place: Sequence[str], group: Group, said: float | None) -> TableLine:
        behind = tuple(number.spelled(number.measured(group.records)[0]) for number in _BEHIND)
        if self._narrow:
            # No difference is taken: the printed values are those of another network.
            return TableLine(place, group, (None, None, None), (*behind, DROP.spell(said)))
        return TableLine(place, group, (said, None, None), behind)

    def blocks(self) -> list[Block]:
        """The table; nothing where it has no row."""
        heads = [*(number.head for number in _BEHIND), *(["printed of the whole network"] if self._narrow else [])]
        # What was first measured later than any of these runs has no column.
        kept = [
            n for n in range(len(heads)) if n >= len(_BEHIND) or any(line.behind[n] != DASH for line in self._lines)
        ]
        lines = [replace(line, behind=[line.behind[n] for n in kept]) for line in self._lines]
        return list(comparison(self._heads, _DROPS, lines, [heads[n] for n in kept])) if lines else []

    def missing(self, wanted: Iterable[str] = SEEN) -> list[Block]:
        """Which of the paper's columns have no run at all, where others have."""
        there = {line.place[-1] for line in self._lines}
        absent = [column for column in wanted if column not in there]
        return [Text(f"Not run: {', '.join(absent)}.")] if there and absent else []


def of(column: str) -> dict[str, Any]:
    """What a cell of the column has."""
    return {"dataset": "cifar10", "aux": own_images(column, 0, "paper")["aux"]}


def by_alpha(found: Found, cells: Cells) -> Iterator[tuple[str, float, list[Group]]]:
    """By where the server's own images come from and by alpha, all settings that have a record, the nearest last."""
    for column in (*SEEN, "digits"):
        own = {"dataset": "digits"} if column == "digits" else of(column)
        for alpha in ALPHAS:
            if groups := found.groups(cells, {**own, "sladv.alpha": alpha}):
                yield column, alpha, groups


def apart(groups: Sequence[Group]) -> list[str]:
    """What tells each one's setting from the others': the differences that not all of them have."""
    shared = set.intersection(*(set(group.differences) for group in groups)) if groups else set()
    own = [", ".join(part for part in group.differences if part not in shared) for group in groups]
    return [told or "otherwise as published" for told in own] if any(own) else own


def drawing(name: str, model: str) -> str:
    """Of a figure, the name of its file."""
    return f"narrow-{name}" if model == NARROW else name


def exhibit(
    name: str,
    title: str,
    text: str,
    model: str,
    cells: Callable[[str, Scale], Sequence[Cell]],
    blocks: Callable[[str, Cells, Found], Sequence[Block]],
) -> Exhibit:
    """An exhibit of the paper on ``model``; on the narrow one it is ours, and has no part in the scale ``smoke``."""
    run = partial(_run, cells, model)
    if model == NARROW:
        name, title = f"narrow {name}", f"{title}, on a narrow ResNet18"
    return Exhibit(name=name, title=title, text=text, cells=run, blocks=partial(blocks, model, run))


def _run(cells: Callable[[str, Scale], Sequence[Cell]], model: str, scale: Scale) -> Sequence[Cell]:
    return () if (scale, model) == ("smoke", NARROW) else cells(model, scale)
