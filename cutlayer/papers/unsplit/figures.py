"""Figures 2 and 3: in the course of the training, and beside the other attacks."""

from __future__ import annotations

from typing import Any

from cutlayer.papers.unsplit.setup import DEPTHS, PAPERS_OWN, datasets, mse, published_mse, steps, unsplit_cells, victim
from cutlayer.record import Record
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import DASH, spelled
from cutlayer.reproduction.found import Found, Group, nearest
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, Quartiles, interval, quartiles

_EPOCHS = (0, 1, 2, 4, 7, 10)
_FREE = {"query-free, noise": "noise", "query-free, untrained shadow": "none", "query-free, labeled data": "labeled"}
_LEVEL_4 = "7"


def _figure_2_cells(scale: Scale) -> list[Cell]:
    epochs = _EPOCHS[:2] if scale == "smoke" else _EPOCHS
    times = [("after" if number else "before", number or 10) for number in epochs]
    return unsplit_cells(scale, PAPERS_OWN if scale == "paper" else PAPERS_OWN[:2], times)


def _alone(mean: float) -> Interval:
    # Depths are no draws of one thing: their spread is no interval.
    return Interval(mean, None, (mean,))


def _figure_2(found: Found) -> list[Block]:
    series: dict[str, list[tuple[float, Interval]]] = {}
    rows = []
    for dataset in DEPTHS:
        told, course = _course(found, dataset)
        for epochs, groups in course.items():
            values = [interval(map(mse, group.records)) for group in groups]
            over_depths = interval(value.mean for value in values if value)
            if over_depths:
                series.setdefault(dataset, []).append((epochs, _alone(over_depths.mean)))
                seeds = min(len(group.runs) for group in groups)
                rows.append([dataset, str(epochs), told, str(seeds), f"{over_depths.mean:.3f}"])
    if not rows:
        return []
    data = plot.lines({"mean over the depths": series}, "epoch", "MSE")
    caption = "MSE of UnSplit after each epoch of the victim's training, mean over all depths."
    return [Figure("figure-2", caption, data), Table(["dataset", "epoch", "setting", "seeds", "MSE"], rows)]


def _course(found: Found, dataset: str) -> tuple[str, dict[int, list[Group]]]:
    """The setting with which most epochs were attacked at every depth, and its groups of all depths by epoch.

    A mean over other depths, or over runs of other settings, would draw a course that is none.
    """
    courses: dict[tuple[str, ...], dict[int, list[Group]]] = {}
    for epochs in _EPOCHS:
        wanted: dict[str, Any] = {"dataset": dataset, "when": "after" if epochs else "before"}
        wanted |= {"epochs": epochs} if epochs else {}
        depths = [
            {group.setting: group for group in found.groups(FIGURE_2.cells, {**wanted, "cut": str(depth)})}
            for depth in DEPTHS[dataset]
        ]
        for setting in depths[0]:
            if all(setting in groups for groups in depths):
                courses.setdefault(setting, {})[epochs] = [groups[setting] for groups in depths]
    course = max(courses.values(), key=len, default={})
    told = dict.fromkeys(group.told for groups in course.values() for group in groups)
    return "; ".join(told), course


FIGURE_2 = Exhibit(
    name="figure 2",
    title="The attack in the course of the training",
    text="The paper draws falling curves and prints no numbers. Epoch 0 is the untrained victim.",
    cells=_figure_2_cells,
    blocks=_figure_2,
)


def _figure_3a_cells(scale: Scale) -> list[Cell]:
    cells = unsplit_cells(scale)
    for dataset in datasets(scale):
        for depth in DEPTHS[dataset]:
            values = {**victim(dataset, scale), "cut": str(depth), "when": "after", "steps": steps(scale)}
            short: dict[str, Any] = {"inversion_white_box.iterations": 5, "isolate": False} if scale == "smoke" else {}
            offers = {"offers": ["peer_architecture", "peer_weights"]}
            cells.append(Cell({**values, "attack": "inversion_white_box"}, {**offers, **short}))
            short = {"inversion_query_free.epochs": 1, "isolate": False} if scale == "smoke" else {}
            offers = {"offers": ["peer_architecture", "aux_inputs", "aux_labels"]}
            for data in _FREE.values():
                shadow = {"attack": "inversion_query_free", "inversion_query_free.data": data}
                cells.append(Cell({**values, **shadow}, {**offers, **short}))
    return cells


def _figure_3a(found: Found) -> list[Block]:
    attacks = {
        "white-box": {"attack": "inversion_white_box"},
        "UnSplit": {"attack": "unsplit"},
        **{name: {"attack": "inversion_query_free", "inversion_query_free.data": data} for name, data in _FREE.items()},
    }
    panels: dict[str, dict[str, list[tuple[str, Quartiles]]]] = {}
    rows = []
    for dataset in DEPTHS:
        for name, wanted in attacks.items():
            for depth in DEPTHS[dataset]:
                group = nearest(found.groups(FIGURE_3A.cells, {"dataset": dataset, "cut": str(depth), **wanted}))
                each = quartiles(v for r in group.records if r.pictures for v in r.pictures.mse) if group else None
                if group and each:
                    panels.setdefault(dataset, {}).setdefault(name, []).append((str(depth), each))
                    told = f"{each.mean:.3f} ({each.low:.3f} to {each.high:.3f})"
                    rows.append([dataset, str(depth), name, group.told, str(len(group.runs)), told])
    if not panels:
        return []
    caption = "MSE by split depth: mean over images and seeds, and quartiles."
    heads = ["dataset", "depth", "attack", "setting", "seeds", "MSE: mean (quartiles)"]
    return [
        Figure("figure-3a", caption, plot.boxes(panels, "split depth", "MSE")),
        Table(heads, rows),
        *_summary(panels),
    ]


def _summary(panels: dict[str, dict[str, list[tuple[str, Quartiles]]]]) -> list[Text]:
    """Against each other attack, over all depths and datasets that both were run at: the paper's one sentence."""
    means = {
        (name, dataset, place): each.mean
        for dataset, series in panels.items()
        for name, points in series.items()
        for place, each in points
    }
    told = []
    for other in dict.fromkeys(name for name, _, _ in means if name != "UnSplit"):
        both = [place for name, *place in means if name == other and ("UnSplit", *place) in means]
        if both:
            own, theirs = (sum(means[name, dataset, depth] for dataset, depth in both) for name in ("UnSplit", other))
            told.append(f"{other} {theirs / own - 1:+.0%} ({theirs / len(both):.3f} to {own / len(both):.3f})")
    if not told:
        return []
    return [
        Text(
            f"Mean MSE beside UnSplit's, over the depths and datasets that both were run at: {'; '.join(told)}. The "
            "paper says that white-box is 38 % more accurate than UnSplit, and UnSplit 32 % more accurate than "
            "query-free inversion without data."
        )
    ]


FIGURE_3A = Exhibit(
    name="figure 3a",
    title="Beside the inversions of He et al.",
    text="""MSE per image, clipped to the range. What the paper means by query-free inversion without data is open: a
shadow trained on noise and an untrained one are both shown, and the one with labeled data as published.""",
    cells=_figure_3a_cells,
    blocks=_figure_3a,
)


def _figure_3b_cells(scale: Scale) -> list[Cell]:
    whole = {
        **victim("mnist", "paper"),
        "model": "fsha_resnet",
        "cut": _LEVEL_4,
        "when": "after",
        "steps": steps(scale),
    }
    if scale == "smoke":
        return []
    # The iterations of the set-up: 1,000 on CPU, and 10 epochs and more as published.
    few = {"train_rows": 8000, "epochs": 8, "test_rows": 2000} if scale == "quick" else {"epochs": 11}
    hijack = {**whole, **few, "attack": "fsha", "learning_rate": 1e-5}
    short = {"train_rows": 8000, "epochs": 1, "test_rows": 2000} if scale == "quick" else {"epochs": 1}
    stolen = {**whole, **short, "attack": "unsplit"}
    rounds = {"unsplit.rounds": 5, "unsplit.restarts": 1} if scale == "quick" else {}
    # As the client's optimizer is published; AMSGrad would never forget a large gradient.
    adam = {"amsgrad": False, "epsilon": 1e-7}
    return [Cell(hijack, {"offers": ["aux_inputs"], "aux": "test", **adam}), Cell(stolen, rounds)]


def _figure_3b(found: Found) -> list[Block]:
    hijack, stolen = (nearest(found.groups(FIGURE_3B.cells, {"attack": name})) for name in ("fsha", "unsplit"))
    if hijack is None:
        return []
    courses = [
        [*((part.step, published_mse(part.scores)) for part in r.course), (_final(r), mse(r))] for r in hijack.records
    ]
    means = ((at[0][0], interval(value for _, value in at)) for at in zip(*courses, strict=False))
    points = [(float(place), mean) for place, mean in means if mean]
    series = {"FSHA": points}
    own = interval(mse(record) for record in stolen.records) if stolen else None
    if own:
        series["UnSplit, no set-up"] = [(points[0][0], own), (points[-1][0], own)]
    rows = [[f"{place:.0f}", spelled(mean, _three)] for place, mean in points]
    caption = "MSE of FSHA against the iterations of its set-up, beside UnSplit on the same client."
    told = f"FSHA: {hijack.told}. UnSplit: {stolen.told if stolen else DASH}, MSE {spelled(own, _three)}."
    figure = Figure("figure-3b", caption, plot.lines({"level 4, MNIST": series}, "iterations", "MSE"))
    return [figure, Table(["iterations", "MSE of FSHA"], rows), Text(told)]


def _final(record: Record) -> int:
    """Training steps until the end."""
    last = record.training[-1].epoch
    return round(record.course[-1].step / record.course[-1].epoch * last) if record.course else last


def _three(value: float | None) -> str:
    return DASH if value is None else f"{value:.3f}"


FIGURE_3B = Exhibit(
    name="figure 3b",
    title="Beside feature-space hijacking",
    text="""The malicious server of FSHA needs a set-up in which it trains the client for its own purpose. The paper
sees both equal after about 1,000 of FSHA's 10,000 iterations. The client is FSHA's at level 4, on MNIST.""",
    cells=_figure_3b_cells,
    blocks=_figure_3b,
)
