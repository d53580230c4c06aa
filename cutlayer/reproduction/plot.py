"""Figures from records, drawn by matplotlib: lines with intervals, quartiles side by side, grids of pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cutlayer.reproduction.statistic import Interval, Quartiles

_STYLE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "cutlayer"}
_MARKERS = "osD^vPX*"
_FEW = 8
"""Places up to which each has its own tick."""


def lines(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, Interval]]]],
    across: str,
    up: str,
    log: bool = False,
    wide: int = 0,
    shares: bool = False,
    near: float = 0,
) -> bytes:
    """An SVG: a panel for each name, a line for each series of (place, mean with interval); ``log``: the places.

    ``wide``: panels in a row; 0: all of them. ``shares``: all panels go from 0 to 1; without it, intervals much wider
    than what the means span leave the drawing. ``near``: places up to so far from 0 stand evenly, those beyond by their
    logarithm.
    """
    styles = _styles(panels)

    def draw(axes: Any, series: Mapping[str, Sequence[tuple[float, Interval]]]) -> None:
        for name, points in series.items():
            places, means = [place for place, _ in points], [found.mean for _, found in points]
            reach = [[abs(end - found.mean) for end in found.ends] for _, found in points]
            axes.errorbar(places, means, yerr=list(zip(*reach, strict=True)), label=name, **styles[name])
        axes.set_xlabel(across)
        places = sorted({place for points in series.values() for place, _ in points})
        if log:
            axes.set_xscale("log")
        elif near:
            axes.set_xscale("symlog", linthresh=near)
            axes.xaxis.set_major_formatter("{x:g}")
        elif len(places) <= _FEW:
            axes.set_xticks(places, [f"{place:g}" for place in places])
        means = [found.mean for points in series.values() for _, found in points]
        bottom, top = axes.get_ylim()
        room = max(means) - min(means)
        if shares:
            axes.set_ylim(-0.04, 1.04)
        elif room:
            axes.set_ylim(max(bottom, min(means) - room), min(top, max(means) + room))

    return _panels(panels, draw, up, wide)


def boxes(panels: Mapping[str, Mapping[str, Sequence[tuple[str, Quartiles]]]], across: str, up: str) -> bytes:
    """An SVG: a panel for each name; for each series, at each place, the mean and a bar from quartile to quartile."""
    styles = _styles(panels)

    def draw(axes: Any, series: Mapping[str, Sequence[tuple[str, Quartiles]]]) -> None:
        names = list(dict.fromkeys(name for points in series.values() for name, _ in points))
        for number, (label, points) in enumerate(series.items()):
            shift = 0.16 * (number - (len(series) - 1) / 2)
            at = [names.index(name) + shift for name, _ in points]
            means = np.array([found.mean for _, found in points])
            below = np.maximum(means - [found.low for _, found in points], 0)
            above = np.maximum([found.high for _, found in points] - means, 0)
            axes.errorbar(at, means, yerr=[below, above], label=label, linestyle="", **styles[label])
        axes.set_xticks(range(len(names)), names)
        axes.set_xlabel(across)

    return _panels(panels, draw, up)


def _styles(panels: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, Any]]:
    """The same color and marker for a series in every panel, whichever others are there."""
    names = dict.fromkeys(name for series in panels.values() for name in series)
    return {
        name: {"color": f"C{number % 10}", "marker": _MARKERS[number % len(_MARKERS)], "markersize": 4, "capsize": 2}
        for number, name in enumerate(names)
    }


def pictures(rows: Mapping[str, Sequence[NDArray[np.float32]]], columns: Sequence[str]) -> bytes:
    """A PNG: rows of pictures [C, H, W] in [0, 1] with a name before each, a name above each column."""
    from matplotlib.figure import Figure

    count = max(len(row) for row in rows.values())
    figure = Figure(figsize=(1.6 + 0.62 * count, 0.3 + 0.66 * len(rows)))
    grid = figure.subplots(len(rows), count, squeeze=False)
    for number, (name, row) in enumerate(rows.items()):
        for place, axes in enumerate(grid[number]):
            axes.set_axis_off()
            if place < len(row):
                image = np.clip(row[place], 0, 1).transpose(1, 2, 0)
                axes.imshow(image if image.shape[2] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
            if number == 0 and place < len(columns):
                axes.set_title(columns[place], fontsize=8)
        grid[number][0].text(-0.15, 0.5, name, transform=grid[number][0].transAxes, ha="right", va="center", fontsize=8)
    return _saved(figure, "png")


def _panels(panels: Mapping[str, Any], draw: Any, up: str, wide: int = 0) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        wide = min(wide or len(panels), len(panels))
        high = -(-len(panels) // wide)
        figure = Figure(figsize=(max(4.6, 3.6 * wide), 3.1 * high), layout="constrained")
        grid = figure.subplots(high, wide, squeeze=False).flatten()
        for axes, (name, series) in zip(grid, panels.items(), strict=False):
            draw(axes, series)
            axes.set_title(name, fontsize=9)
            axes.grid(axis="y", alpha=0.3)
        for place, axes in enumerate(grid):
            axes.set_visible(place < len(panels))
            if place % wide == 0:
                axes.set_ylabel(up)
        names = {name: handle for axes in grid for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        columns = min(len(names), 2 * wide)
        figure.legend(names.values(), names, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
        return _saved(figure, "svg")


def _saved(figure: Any, kind: str) -> bytes:
    stream = io.BytesIO()
    # Without a date the same records give the same file.
    metadata = {"Date": None} if kind == "svg" else {}
    figure.savefig(stream, format=kind, metadata=metadata, dpi=110, bbox_inches="tight")
    return stream.getvalue()
