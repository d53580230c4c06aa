"""Figures 2 and 3: in the course of the training, and beside the other attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cutlayer.metric import Metric
from cutlayer.papers.unsplit.setup import (
    DEPTHS,
    PAPERS_OWN,
    datasets,
    mse,
    published_mse,
    seeds,
    steps,
    unsplit_cells,
    victim,
)
from cutlayer.papers.unsplit.tables import MSE
from cutlayer.record import Record
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.comparison import Number, spelled
from cutlayer.reproduction.found import Found, Group, nearest
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.statistic import Interval, Quartiles, interval, quartiles

_EPOCHS = (0, 1, 2, 4, 7, 10)
_FREE = {"query-free, noise": "noise", "query-free, untrained shadow": "none", "query-free, labeled data": "labeled"}
_LEVEL_4 = "7"
_CLIPPED = Number("MSE", Metric.MSE, lower_is_better=True)


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
            measured = [MSE.measured(group.records) for group in groups]
            ours, blind = (interval(one.mean for one in each if one) for each in zip(*measured, strict=True))
            for name, over_depths in ((dataset, ours), (f"{dataset}, blind", blind)):
                if over_depths:
                    series.setdefault(name, []).append((epochs, _alone(over_depths.mean)))
            if ours:
                values = (MSE.spell(ours.mean), MSE.spell(blind.mean if blind else None))
                rows.append([dataset, str(epochs), told, seeds(groups), *values])
    if not rows:
        return []
    data = plot.lines({"mean over the depths": series}, "epoch", "MSE")
    caption = "MSE of UnSplit after each epoch of the victim's training, mean over all depths."
    return [Figure("figure-2", caption, data), Table(["dataset", "epoch", "setting", "seeds", "MSE", "blind"], rows)]


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
    rows, measured = [], dict[tuple[str, str, str], _Measured]()
    for dataset in DEPTHS:
        blinds: dict[str, Quartiles] = {}
        for name, wanted in attacks.items():
            for depth in DEPTHS[dataset]:
                group = nearest(found.groups(FIGURE_3A.cells, {"dataset": dataset, "cut": str(depth), **wanted}))
                each = quartiles(v for r in group.records if r.pictures for v in r.pictures.mse) if group else None
                if group and each:
                    panels.setdefault(dataset, {}).setdefault(name, []).append((str(depth), each))
                    measured[name, dataset, str(depth)] = _Measured(each.mean, group)
                    blind = _CLIPPED.measured(group.records)[1]
                    if blind:
                        blinds[str(depth)] = Quartiles(blind.mean, blind.mean, blind.mean, each.count)
                    told = f"{each.mean:.3f} ({each.low:.3f} to {each.high:.3f})"
                    rows.append([dataset, str(depth), name, group.told, str(len(group.runs)), told])
                    rows[-1].append(_CLIPPED.spell(blind.mean if blind else None))
        if blinds:
            panels[dataset]["blind"] = list(blinds.items())
    if not panels:
        return []
    caption = "MSE by split depth: mean over images and seeds, and quartiles; of the blind guess the mean alone."
    heads = ["dataset", "depth", "attack", "setting", "seeds", "MSE: mean (quartiles)", "blind"]
    return [
        Figure("figure-3a", caption, plot.boxes(panels, "split depth", "MSE")),
        Table(heads, rows),
        *_summary(measured),
    ]


@dataclass(frozen=True)
class _Measured:
    """The mean over images and seeds of one attack at one place, and the runs."""

    mean: float
    group: Group


def _summary(measured: dict[tuple[str, str, str], _Measured]) -> list[Text]:
    """Against each other attack, over all depths and datasets that both were run at: the paper's one sentence."""
    told, beside = list[str](), dict[tuple[str, str], Group]()
    for other in dict.fromkeys(name for name, _, _ in measured if name != "UnSplit"):
        both = [(data, at) for name, data, at in measured if name == other and ("UnSplit", data, at) in measured]
        if both:
            sides = {name: [measured[name, data, at] for data, at in both] for name in ("UnSplit", other)}
            means = {name: sum(one.mean for one in side) / len(side) for name, side in sides.items()}
            better, worse = sorted(sides, key=lambda name: means[name])
            less = f"{100 * (1 - means[better] / means[worse]):.0f} % more accurate than {worse}"
            values = f"{means[better]:.3f} to {means[worse]:.3f}"
            told.append(f"{better} is {less} ({values}; {other}: {_run([one.group for one in sides[other]])}).")
            beside |= {(data, at): measured["UnSplit", data, at].group for data, at in both}
    if not told:
        return []
    return [
        Text(
            "Means over the depths and datasets that both were run at, as the paper compares them: by how much the "
            f"lower MSE is below the higher. {' '.join(told)} UnSplit: {_run(list(beside.values()))}. The paper says "
            "that white-box is 38 % more accurate than UnSplit, and UnSplit 32 % more accurate than query-free "
            "inversion without data."
        )
    ]


def _run(groups: Sequence[Group]) -> str:
    """How many seeds, and how much of the published steps."""
    share = min(group.share for group in groups)
    taken = "all steps" if share >= 1 else f"{share:.2g} of the steps{' or more' if len(groups) > 1 else ''}"
    return f"{_counted(groups)}, {taken}"


def _counted(groups: Sequence[Group]) -> str:
    return "1 seed" if seeds(groups) == "1" else f"{seeds(groups)} seeds"


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
    own = MSE.measured(stolen.records)[0] if stolen else None
    blind = MSE.measured(hijack.records)[1]
    for name, level in (("UnSplit, no set-up", own), ("blind", blind)):
        if level:
            series[name] = [(points[0][0], level), (points[-1][0], level)]
    beside = MSE.spell(blind.mean if blind else None)
    rows = [[f"{place:.0f}", spelled(mean, MSE.spell), beside] for place, mean in points]
    caption = "MSE of FSHA against the iterations of its set-up, beside UnSplit on the same client and the blind guess."
    figure = Figure("figure-3b", caption, plot.lines({"level 4, MNIST": series}, "iterations", "MSE"))
    told = [f"FSHA: {_counted([hijack])}, {hijack.told}."]
    told += [f"UnSplit: {_counted([stolen])}, {stolen.told}, MSE {spelled(own, MSE.spell)}."] if stolen else []
    told += _against_blind(points, own, blind.mean) if blind else []
    if stolen is None or stolen.share < 1:
        told.append("So whether both are equal after so many iterations, as the paper sees it, cannot be judged here.")
    return [figure, Table(["iterations", "MSE of FSHA", "blind"], rows), Text(" ".join(told))]


def _against_blind(points: Sequence[tuple[float, Interval]], own: Interval | None, blind: float) -> list[str]:
    """Where the course is below the blind guess, where it ends, and whether UnSplit gets there."""
    below = [f"{place:.0f}" for place, mean in points if mean.mean < blind]
    end = points[-1][1].mean
    where = f"is below blind after {', '.join(below)} iterations" if below else "is nowhere below blind"
    told = [f"FSHA {where}, and ends {'below' if end < blind else 'above'} it ({MSE.spell(end)})."]
    return [*told, f"UnSplit {'is' if own.mean < blind else 'does not get'} below it."] if own else told


def _final(record: Record) -> int:
    """Training steps until the end."""
    last = record.training[-1].epoch
    return round(record.course[-1].step / record.course[-1].epoch * last) if record.course else last


FIGURE_3B = Exhibit(
    name="figure 3b",
    title="Beside feature-space hijacking",
    text="""The malicious server of FSHA needs a set-up in which it trains the client for its own purpose. The paper
sees both equal after about 1,000 of FSHA's 10,000 iterations. The client is FSHA's at level 4, on MNIST.""",
    cells=_figure_3b_cells,
    blocks=_figure_3b,
)
