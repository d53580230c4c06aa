"""What UnSplit's options buy: MSE, SSIM and the clone's accuracy against seconds, beside the published order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.unsplit.setup import victim
from cutlayer.record import Record
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import Found, nearest
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval

_PUBLISHED = {"order": "sequential", "input_learning_rate": 1e-3, "bounds": "none", "restarts": 1}
_JOINT = {**_PUBLISHED, "order": "joint"}
_FAST = {**_JOINT, "input_learning_rate": 3e-3, "bounds": "unit"}
BEST = "joint, rate 3e-3, bounds, 4 restarts"
_SETS: Mapping[str, Mapping[str, Any]] = {
    "published order": _PUBLISHED,
    "joint": _JOINT,
    "joint, rate 3e-3, bounds": _FAST,
    BEST: {**_FAST, "restarts": 4},
}
_ROUNDS: Mapping[Scale, Sequence[int]] = {"smoke": (), "quick": (5, 10, 25, 50), "paper": (5, 10, 25, 50, 100, 200)}
_DEPTHS = ("1", "2", "3")
_NUMBERS = (
    Number("MSE", Metric.MSE_PUBLISHED),
    Number("SSIM", Metric.SSIM),
    Number("SSIM, stretched", Metric.SSIM_STRETCHED),
    Number("accuracy with the clone", Metric.ACCURACY, "model"),
)


def seconds_an_image(records: Iterable[Record]) -> float | None:
    """Of whole attacks, over all their images; None where none is known."""
    known = [(record.attack_seconds or 0.0, len(record.pictures.labels)) for record in records if record.pictures]
    images = sum(count for _, count in known)
    return sum(seconds for seconds, _ in known) / images if images else None


def shown(found: Found) -> set[Path]:
    """The folders of all runs that stand in this exhibit."""
    groups = (group for cell in _cells("paper") for group in found.groups(SPEED.cells, cell.values))
    return {run.folder for group in groups for run in group.runs}


def _cells(scale: Scale) -> list[Cell]:
    return [
        Cell(_values(depth, options, rounds, scale))
        for depth in _DEPTHS
        for options in _SETS.values()
        for rounds in _ROUNDS[scale]
    ]


def wanted(depth: str, name: str, rounds: int) -> dict[str, Any]:
    """What the cells of one of the named sets of options have."""
    return _values(depth, _SETS[name], rounds)


def _values(depth: str, options: Mapping[str, Any], rounds: int, scale: Scale = "paper") -> dict[str, Any]:
    own = {f"unsplit.{name}": value for name, value in {**options, "rounds": rounds}.items()}
    whole = victim("mnist", scale)
    return {**whole, "attack": "unsplit", "cut": depth, "when": "after", "steps": "paper", **own}


def _blocks(found: Found) -> list[Block]:
    rows = []
    curves: dict[str, dict[str, dict[str, list[tuple[float, Interval]]]]] = {}
    for depth in _DEPTHS:
        for name, options in _SETS.items():
            for rounds in _ROUNDS["paper"]:
                group = nearest(found.groups(SPEED.cells, _values(depth, options, rounds)))
                seconds = seconds_an_image(group.records) if group else None
                if group is None or seconds is None:
                    continue
                measured = [number.measured(group.records) for number in _NUMBERS]
                told = []
                for number, (mean, blind) in zip(_NUMBERS, measured, strict=True):
                    told += [number.spelled(mean), number.spell(blind.mean if blind else None)]
                rows.append([depth, name, str(rounds), str(len(group.runs)), f"{seconds:.2f}", *told])
                for number, (mean, _) in zip(_NUMBERS[:2], measured, strict=False):
                    if mean:
                        panel = curves.setdefault(number.head, {}).setdefault(f"depth {depth}", {})
                        panel.setdefault(name, []).append((seconds, mean))
    if not rows:
        return []
    figures = [
        Figure(
            f"speed-{head.lower()}",
            f"{head} against seconds an image, MNIST: mean over the seeds, 95 % interval as far as it fits in.",
            plot.lines(panels, "seconds an image", head, log=True),
        )
        for head, panels in curves.items()
    ]
    return [*figures, Table(["depth", "options", "rounds", "seeds", "seconds an image", *_HEADS], rows)]


_HEADS = [head for number in _NUMBERS for head in (number.head, "blind")]

SPEED = Exhibit(
    name="speed",
    title="Fewer steps",
    text="""Not in the paper, whose runs have 1,000 rounds of 100 steps each for an image and for the clone, one image
after another. Here rounds are cut short, in the published order and with all images side by side (*joint*), then with a
larger rate for the images and the range of images known to the adversary, then the best of four restarts by the error
that the attack itself sees. These options were chosen on seeds 101 to 103. Seconds are those of one thread of whatever
machine ran it.""",
    cells=_cells,
    blocks=_blocks,
)
