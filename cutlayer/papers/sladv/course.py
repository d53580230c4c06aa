"""What the tables leave out: could the clients have noticed, the theory of section 4.3, and other readings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from cutlayer.papers.sladv.rows import ALPHAS, SEEN, Cells, Rows, exhibit, of
from cutlayer.papers.sladv.setup import NARROW, sladv
from cutlayer.papers.sladv.tables import alpha_cells
from cutlayer.record import Record
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, Number, spelled
from cutlayer.reproduction.found import Found, Group, nearest
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

_CURVES = {
    "task_gradient_norm": "norm of the task's gradient",
    "returned_gradient_norm": "norm of the returned one",
    "gradient_cosine": "cosine of the two",
}


def _by_alpha(found: Found, cells: Cells) -> list[tuple[str, float, Group]]:
    groups = []
    for column in (*SEEN, "digits"):
        own = {"dataset": "digits"} if column == "digits" else of(column)
        for alpha in ALPHAS:
            group = nearest(found.groups(cells, {**own, "sladv.alpha": alpha}))
            groups += [(column, alpha, group)] if group else []
    return groups


def _noticed(model: str, cells: Cells, found: Found) -> list[Block]:
    groups, rows = _by_alpha(found, cells), []
    panels: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    for column, alpha, group in groups:
        means = [interval(_mean(record, name) for record in group.records) for name in _CURVES]
        rows.append([f"{alpha:g}", column, group.told, str(len(group.runs)), *(spelled(m, _three) for m in means)])
        if column in {"cifar10", "digits"}:
            for name, told in _CURVES.items():
                courses = [record.attack.curves.get(name, []) for record in group.records]
                _draw(panels.setdefault(told, {}), f"alpha {alpha:g}", courses)
            epochs = [[epoch.accuracy for epoch in record.training] for record in group.records]
            _draw(panels.setdefault("test accuracy after each epoch", {}), f"alpha {alpha:g}", epochs)
    if not rows:
        return []
    heads = ["alpha", "own images", "setting", "seeds", *_CURVES.values()]
    caption = "What a client gets back over the training (points spread evenly over its steps), and the accuracy."
    panels = {told: series for told, series in panels.items() if series}
    drawn = [Figure(_drawing("gradients", model), caption, plot.lines(panels, "point", ""))] if panels else []
    return [*drawn, Table(heads, rows)]


def _draw(
    series: dict[str, list[tuple[float, Interval]]], name: str, courses: Sequence[Sequence[float | None]]
) -> None:
    """The mean over runs at each place that all of them have."""
    points = [(float(place + 1), interval(at)) for place, at in enumerate(zip(*courses, strict=False))]
    if drawable := [(place, mean) for place, mean in points if mean]:
        series[name] = drawable


def _mean(record: Record, name: str) -> float | None:
    """Of a curve that the attack left, over the training; None where it left none."""
    found = interval(record.attack.curves.get(name, []))
    return found.mean if found else None


def _drawing(name: str, model: str) -> str:
    return f"narrow-{name}" if model == NARROW else name


def _three(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


def gradients(model: str) -> Exhibit:
    """What a client could have noticed."""
    return exhibit(
        "gradients",
        "Could the clients have noticed?",
        """Means over the training. Who is returned a gradient sees only the sum; what honest training would return is
the row of alpha = 0. The task's own gradient in the same step is already that of a network which earlier pulls have
changed, so that a cosine near 1 hides nothing: the norms do not, nor does the accuracy, which clients can measure on
data of their own after each epoch. The paper says that clients cannot detect it.""",
        model,
        alpha_cells,
        _noticed,
    )


_THEORY = {
    "loss_correlation": "rank correlation of similarity and loss",
    "layer_distance": "largest distance d of the layers",
    "slope_similarity": "similarity of their input gradients",
}


_COURSE = ("L_sim at first", "at its highest", "in its last tenth")


def _theory(model: str, cells: Cells, found: Found) -> list[Block]:
    groups, rows = _by_alpha(found, cells), []
    panels: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    numbers = {name: Number(told, name, "evasion") for name, told in _THEORY.items()}
    for column, alpha, group in groups:
        told = []
        for name, number in numbers.items():
            ours, blind = number.measured(group.records)
            told += [number.spelled(ours), number.spell(blind.mean if blind else None)]
            # On an axis of powers of ten there is no place for 0.
            at = alpha or min(other for other in ALPHAS if other) / 10
            if ours:
                other = [difference for difference in group.differences if difference.startswith("distance=")]
                series = ", ".join([column, *other])
                panels.setdefault(_THEORY[name], {}).setdefault(series, []).append((at, ours))
        courses = [_course(record.attack.curves.get("similarity_loss", [])) for record in group.records]
        told += [_spelled(found) for found in zip(*courses, strict=True)]
        rows.append([f"{alpha:g}", column, group.told, str(len(group.runs)), *told])
    if not rows:
        return []
    heads = ["alpha", "own images", "setting", "seeds"]
    heads += [*(head for told in _THEORY.values() for head in (told, "blind")), *_COURSE]
    caption = "The quantities of section 4.3 against alpha (alpha = 0 at the left end)."
    drawn = [Figure(_drawing("theory", model), caption, plot.lines(panels, "alpha", "", log=True))] if panels else []
    return [*drawn, Table(heads, rows)]


def _course(losses: Sequence[float | None]) -> tuple[float | None, ...]:
    """Of a loss over the training: at first, at its highest, and in the middle of its last tenth."""
    if not losses:
        return (None,) * len(_COURSE)
    # What is no number is kept as none: the loss had left the range of numbers.
    known = [math.inf if loss is None else loss for loss in losses]
    return known[0], max(known), median(known[-max(1, len(known) // 10) :])


def _spelled(values: Sequence[float | None]) -> str:
    if math.inf in values:
        return "no number"
    return spelled(interval(values), lambda value: DASH if value is None else f"{value:.1f}")


def theory(model: str) -> Exhibit:
    """What section 4.3 says, measured."""
    return exhibit(
        "theory",
        "The theory of section 4.3, measured",
        """Conclusion 1: the lower the cosine similarity of what the server's part gives, the higher the loss: a
negative rank correlation over the targets; blind, the same for random signs. Conclusion 2: the similarity's loss brings
true and shadow layers together (d, of single images; blind, a shadow that always gives the mean) and with them their
input gradients (cosine; blind 0). Where L_sim, which is to fall, rises above what it was at first, the shadow has
diverged, and what the clients' layers were pulled to is no likeness of theirs: such a victim says what divergence does,
not what alpha does.""",
        model,
        alpha_cells,
        _theory,
    )


_READINGS: dict[str, dict[str, Any]] = {
    "as in table 1": {},
    "aligned at the server's output": {"align": "server_output"},
    "L2 norm of each image's difference": {"distance": "image"},
    "mean square of the elements": {"distance": "mean"},
    "mean square, alpha 100": {"distance": "mean", "alpha": 100.0},
    "in vanilla": {"protocol": "vanilla"},
}
_BY_IMAGE: dict[str, dict[str, Any]] = {
    f"L2 norm of each image's difference, alpha {alpha:g}": {"distance": "image", "alpha": alpha}
    for alpha in (0.1, 10.0)
}
"""On the narrow network alone: the other norm over the range of alpha."""


def _all_readings(model: str) -> dict[str, dict[str, Any]]:
    return {**_READINGS, **(_BY_IMAGE if model == NARROW else {})}


def _readings_cells(model: str, scale: Scale) -> list[Cell]:
    return [sladv(scale, model=model, **reading) for reading in _all_readings(model).values()]


def _readings(model: str, cells: Cells, found: Found) -> list[Block]:
    rows = Rows(found, cells, model, ("reading", "dataset"))
    for told, reading in _all_readings(model).items():
        for scale in ("paper", "smoke"):
            values = sladv(scale, model=model, **reading).values
            keys = ("dataset", "protocol", "sladv.align", "sladv.distance", "sladv.alpha")
            wanted = {key: values[key] for key in keys if key in values}
            # What does not ask for another distance is a reading of the usual one.
            rows.add(wanted, (told, values["dataset"]), None, but="" if "distance" in reading else "distance=")
    return rows.blocks()


def readings(model: str) -> Exhibit:
    """What the paper leaves open, otherwise than in the tables."""
    return exhibit(
        "readings",
        "Aligned elsewhere, measured otherwise, and in vanilla",
        """Section 4.1 says that aligning at the server's output is worse than at the cut, and that the attack carries
over to vanilla split learning; neither has a table. The printed loss is an L2 norm whose reduction is unsaid: ours is
that over the whole batch. At the cut its gradient has length 1 however near the two layers are, several times the
task's; the mean of each image's norm pulls by the root of the batch's size less, the mean square with a small part of
the task's gradient. Under either norm the shadow can diverge at the printed rate, so that its own gradient is clipped;
how its loss went stands under *theory*. Of 10, 1 and 0.1 we clip at 1 by that loss alone: on another seed than these
it fell within an epoch at all three, in a record of nine epochs at 10 it then rose above what it was at first. The
clean accuracy tells readings apart: the paper's falls slowly with alpha, to 75 % at 100 (table 4).""",
        model,
        _readings_cells,
        _readings,
    )
