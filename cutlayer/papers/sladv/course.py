"""What the tables leave out: could the clients have noticed, and other readings of what the paper says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cutlayer.papers.sladv.rows import Cells, Rows, apart, by_alpha, drawing, exhibit
from cutlayer.papers.sladv.setup import NARROW, sladv
from cutlayer.papers.sladv.tables import alpha_cells
from cutlayer.record import Record
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, spelled
from cutlayer.reproduction.found import Found
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, interval

_CURVES = {
    "task_gradient_norm": "norm of the task's gradient",
    "returned_gradient_norm": "norm of the returned one",
    "gradient_cosine": "cosine of the two",
}


def _noticed(model: str, cells: Cells, found: Found) -> list[Block]:
    kept = [(column, alpha, of[-1]) for column, alpha, of in by_alpha(found, cells)]
    rows: list[list[str]] = []
    panels: dict[str, dict[str, list[tuple[float, Interval]]]] = {}
    for (column, alpha, group), setting in zip(kept, apart([group for *_, group in kept]), strict=True):
        means = [interval(_mean(record, name) for record in group.records) for name in _CURVES]
        rows.append([f"{alpha:g}", column, group.told, str(len(group.runs)), *(spelled(m, three) for m in means)])
        if column in {"cifar10", "digits"}:
            line = ", ".join(filter(None, (f"alpha {alpha:g}", setting)))
            for name, told in _CURVES.items():
                courses = [record.attack.curves.get(name, []) for record in group.records]
                _draw(panels.setdefault(told, {}), line, courses)
            epochs = [[epoch.accuracy for epoch in record.training] for record in group.records]
            _draw(panels.setdefault("test accuracy after each epoch", {}), line, epochs)
    if not rows:
        return []
    heads = ["alpha", "own images", "setting", "seeds", *_CURVES.values()]
    caption = "What a client gets back over the training (at most 100 points, spread over its steps), and the accuracy."
    panels = {told: series for told, series in panels.items() if series}
    drawn = [Figure(drawing("gradients", model), caption, plot.lines(panels, "point", ""))] if panels else []
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


def three(value: float | None) -> str:
    """To three places."""
    return DASH if value is None else f"{value:.3f}"


def gradients(model: str) -> Exhibit:
    """What a client could have noticed."""
    return exhibit(
        "gradients",
        "Could the clients have noticed?",
        """Means over the training, of the points of it that a record keeps: at most 100, spread evenly over the steps.
A client is returned the sum of the task's gradient and of the pull, and sees only that sum; what honest training would
return is the row of alpha = 0. The task's own gradient in the same step is already that of a network which earlier
pulls have changed. A cosine near 1 therefore does not mean that nothing could be noticed: the norms and the accuracy
show it. Clients can measure the accuracy on data of their own after each epoch.

The paper says that clients cannot detect gradient tampering "by only observing the returned gradients" (section 4.1).
The accuracy is no evidence against that: it is not seen in the gradients. The norms are, but only beside those of
honest training, which a client under attack may not have.""",
        model,
        alpha_cells,
        _noticed,
    )


_READINGS: dict[str, dict[str, Any]] = {
    "as in table 1": {},
    "aligned at the server's output": {"align": "server_output"},
    "L2 norm of each image's difference": {"distance": "image"},
    "mean square of the elements": {"distance": "mean"},
    "mean square, alpha 100": {"distance": "mean", "alpha": 100.0},
    "in vanilla": {"protocol": "vanilla"},
}
_OVER_ALPHA: dict[str, dict[str, Any]] = {
    f"{told}, alpha {alpha:g}": {"distance": distance, "alpha": alpha}
    for told, distance, alphas in (
        ("L2 norm of each image's difference", "image", (0.1, 10.0)),
        ("mean square", "mean", (0.0, 10.0)),
    )
    for alpha in alphas
}
"""On the narrow network alone: the other distances over the range of alpha."""


def _all_readings(model: str) -> dict[str, dict[str, Any]]:
    return {**_READINGS, **(_OVER_ALPHA if model == NARROW else {})}


def _readings_cells(model: str, scale: Scale) -> list[Cell]:
    return [sladv(scale, model=model, **reading) for reading in _all_readings(model).values()]


def _readings(model: str, cells: Cells, found: Found) -> list[Block]:
    rows = Rows(found, cells, model, ("reading", "dataset"))
    for told, reading in _all_readings(model).items():
        for scale in ("paper", "smoke"):
            values = sladv(scale, model=model, **reading).values
            keys = ("dataset", "protocol", "sladv.align", "sladv.distance", "sladv.alpha")
            wanted = {key: values[key] for key in keys if key in values}
            # Of the attack as in table 1 another distance is a reading of its own.
            rows.add(wanted, (told, values["dataset"]), None, but="" if reading else "distance=")
    return rows.blocks()


def readings(model: str) -> Exhibit:
    """What the paper leaves open, otherwise than in the tables."""
    return exhibit(
        "readings",
        "Aligned elsewhere, measured otherwise, and in vanilla",
        """Section 4.1 says that aligning at the server's output usually does worse than at the cut. The introduction
says that the attack can be applied to vanilla split learning. Neither has a table. The printed loss is an L2 norm; the
paper does not say over what, and ours is over the whole batch. At the cut its gradient has length 1 however near the
two layers are. That is many times the length of the task's gradient in honest training; under attack the task's own
grows, and can become longer (both under *gradients*). The mean of each image's norm pulls less, by the root of the
batch's size as a factor; the mean square pulls with a small part of the task's gradient. Under either norm the shadow
can diverge at the printed rate. Therefore its own gradient is clipped, at 1, a value that was chosen by the shadow's
own loss alone; how L_sim went with it and with 10 stands under *theory*.

The clean accuracy tells readings apart: the paper's falls slowly with alpha, to 75 % at 100 (table 4). A reading under
which it falls by much at alpha 1 is hardly the authors'.""",
        model,
        _readings_cells,
        _readings,
    )
