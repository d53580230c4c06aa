"""Charts as plain geometry for the template to draw, and pictures as data addresses."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from cutlayer.record import LEAK, NONE, PARTIAL
from cutlayer.report.evidence import Pixels
from cutlayer.report.finding import Spread

_WIDTH = 340.0
# Beyond these a loss has exploded or vanished, and an axis that shows it shows nothing else.
_HUGE, _TINY = 1e100, 1e-100
_MARGIN = (14.0, 12.0, 34.0, 46.0)  # top, right, bottom, left
_ARROW = 10.0


@dataclass(frozen=True)
class Dot:
    """A value and its range over seeds, in pixels; ``clipped`` when the value lies below the axis."""

    x: float
    y: float
    top: float
    bottom: float
    clipped: bool
    text: str
    name: str = ""
    """What stands beside it."""


@dataclass(frozen=True)
class ChartLine:
    """One series: its place in the order of colors and markers, its name, its dots."""

    style: int
    label: str
    dots: tuple[Dot, ...]

    @property
    def path(self) -> str:
        """The dots joined, as the ``points`` of an SVG polyline."""
        return " ".join(f"{dot.x},{dot.y}" for dot in self.dots)


@dataclass(frozen=True)
class Band:
    """A stretch of the vertical axis with a meaning."""

    y: float
    height: float
    verdict: str


@dataclass(frozen=True)
class Chart:
    """Everything an SVG needs but its colors; all lengths in pixels of its own view box."""

    title: str
    axis: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[ChartLine, ...] = ()
    bands: tuple[Band, ...] = ()
    bars: tuple[tuple[float, float, float, float, int, str], ...] = ()
    joined: bool = True
    """Whether the dots of a line are joined."""
    room: float = 0.0
    """Between the axis and what is written under it, for the arrows of clipped dots."""


@dataclass(frozen=True)
class Points:
    """A series before it is drawn: its name and a spread at each of its places on the horizontal axis."""

    label: str
    at: tuple[tuple[float, Spread], ...]


@dataclass(frozen=True)
class Spot:
    """One place in a plane: its name, and a spread in either direction."""

    name: str
    x: Spread
    y: Spread


class _Axes:
    def __init__(self, size: tuple[float, float], x: tuple[float, float], y: tuple[float, float], log: bool = False):
        self.size, self.x, self.log = size, x, log
        self.y = (math.log10(y[0]), math.log10(y[1])) if log else y
        top, right, bottom, left = _MARGIN
        self.left, self.right, self.top, self.bottom = left, size[0] - right, top, size[1] - bottom

    def across(self, value: float) -> float:
        low, high = self.x
        return round(self.left + (value - low) / (high - low or 1) * (self.right - self.left), 1)

    def up(self, value: float) -> float:
        low, high = self.y
        value = math.log10(max(value, 1e-300)) if self.log else value
        return round(self.bottom - (min(max(value, low), high) - low) / (high - low or 1) * (self.bottom - self.top), 1)

    def chart(self, title: str, axis: str, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[float]) -> Chart:
        ticks = tuple((self.up(value), f"{value:g}".replace("-", "\u2212")) for value in y_ticks)
        edges = (self.left, self.right, self.top, self.bottom)
        return Chart(title, axis, *self.size, *edges, tuple((self.across(x), text) for x, text in x_ticks), ticks)


def by_cut(title: str, series: Sequence[Points], cuts: Sequence[str], leak: float, partial: float) -> Chart:
    """Advantage against cut, over bands that show what each advantage is worth; values below -0.25 are clipped."""
    low = -0.25 if any(spread.mean < -0.02 for line in series for _, spread in line.at) else 0.0
    frame = _Axes((_WIDTH, 260.0), (-0.5, len(cuts) - 0.5), (low, 1.0))
    # However many series there are, the dots of a cut stay nearer to it than to its neighbors.
    apart = min(7.0, 0.9 * (frame.right - frame.left) / max(len(cuts) * len(series), 1))
    drawn = []
    for style, line in enumerate(series):
        shift = apart * (style - (len(series) - 1) / 2)
        dots = tuple(_dot(frame, x, s, shift, f"{line.label}, cut {cuts[int(x)]}") for x, s in line.at)
        drawn.append(ChartLine(style, line.label, dots))
    chart = frame.chart(title, "cut", _thinned(cuts), _advantages(low))
    return replace(_with(chart, drawn), bands=_bands(frame, low, leak, partial))


def against(title: str, series: Mapping[str, Sequence[Spot]], leak: float, partial: float) -> Chart:
    """Advantage against test accuracy in percent, over the bands of ``by_cut``; a style for each series."""
    marks = [mark for line in series.values() for mark in line]
    ticks = _round_ticks(100 * min(mark.x.mean for mark in marks), 100 * max(mark.x.mean for mark in marks))
    low = -0.25 if any(mark.y.mean < -0.02 for mark in marks) else 0.0
    frame = _Axes((_WIDTH, 260.0), (ticks[0], ticks[-1]), (low, 1.0))
    drawn = []
    for style, (label, line) in enumerate(series.items()):
        told = [f"{label}, cut {mark.name}, accuracy {mark.x.mean:.1%}, advantage" for mark in line]
        dots = (_dot(frame, 100 * mark.x.mean, mark.y, 0, name) for mark, name in zip(line, told, strict=True))
        named = (replace(dot, name=mark.name) for dot, mark in zip(dots, line, strict=True))
        drawn.append(ChartLine(style, label, tuple(named)))
    chart = frame.chart(title, "test accuracy, %", [(x, f"{x:g}") for x in ticks], _advantages(low))
    return replace(_with(chart, drawn), bands=_bands(frame, low, leak, partial), joined=False)


def shares(title: str, series: Sequence[Points], cuts: Sequence[str]) -> Chart:
    """The client's shares in percent as bars, a group to each cut."""
    frame = _Axes((_WIDTH, 260.0), (-0.5, len(cuts) - 0.5), (0, 100))
    wide = min(26.0, 0.7 * (frame.right - frame.left) / max(len(cuts), 1) / max(len(series), 1))
    bars = []
    for style, line in enumerate(series):
        for x, spread in line.at:
            left = frame.across(x) + wide * (style - len(series) / 2)
            top, value = frame.up(100 * spread.mean), 100 * spread.mean
            text = f"{value:.0f}" if value >= 9.5 else f"{value:.2g}"
            bars.append((round(left, 1), top, round(wide - 2, 1), round(max(frame.bottom - top, 1), 1), style, text))
    return replace(frame.chart(title, "cut", _thinned(cuts), (0, 25, 50, 75, 100)), bars=tuple(bars))


def curves(title: str, axis: str, series: Sequence[Points]) -> Chart | None:
    """Values over epochs or rounds; logarithmic beyond two decades. None when there is nothing to draw."""
    values = [v for line in series for _, s in line.at for v in (s.low, s.high) if _drawable(v)]
    places = [x for line in series for x, _ in line.at]
    if not values:
        return None
    low, high = min(values), max(values)
    log = low > _TINY and high / low > 100
    ticks = _decades(low, high) if log else _round_ticks(low, high)
    bounds = (min(low, ticks[0]), max(high, ticks[-1]))
    frame = _Axes((_WIDTH, 210.0), (min(places), max(places)), bounds, log)
    drawn = []
    for style, line in enumerate(series):
        dots = (_dot(frame, x, s, 0, f"{line.label}, {x:g}") for x, s in line.at if _drawable(s.mean))
        drawn.append(ChartLine(style, line.label, tuple(dots)))
    across = [x for x in _round_ticks(min(places), max(places), 6) if min(places) <= x <= max(places) and x == int(x)]
    return replace(frame.chart(title, axis, [(x, f"{x:g}") for x in across], ticks), lines=tuple(drawn))


def _with(chart: Chart, lines: Sequence[ChartLine]) -> Chart:
    room = _ARROW if any(dot.clipped for line in lines for dot in line.dots) else 0.0
    return replace(chart, lines=tuple(lines), height=chart.height + room, room=room)


def _bands(frame: _Axes, low: float, leak: float, partial: float) -> tuple[Band, ...]:
    edges = ((LEAK, leak, 1.0), (PARTIAL, partial, leak), (NONE, low, partial))
    return tuple(Band(frame.up(high), round(frame.up(floor) - frame.up(high), 1), name) for name, floor, high in edges)


def _advantages(low: float) -> tuple[float, ...]:
    return (*((-0.25,) if low else ()), 0, 0.25, 0.5, 0.75, 1)


def _drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) < _HUGE


def _dot(frame: _Axes, x: float, spread: Spread, shift: float, name: str) -> Dot:
    low = 10 ** frame.y[0] if frame.log else frame.y[0]
    across, text = round(frame.across(x) + shift, 1), f"{name}: {spread.mean:.3g}"
    if spread.count > 1:
        text += f" ({spread.low:.3g} to {spread.high:.3g} over {spread.count} seeds)"
    up = frame.up
    return Dot(across, up(spread.mean), up(spread.high), up(spread.low), spread.mean < low - 1e-9, text)


def _thinned(names: Sequence[str]) -> list[tuple[float, str]]:
    # About 7 pixels a letter: every name where there is room, else every second, third ...
    room = max(1, int(_WIDTH / (7 * max((len(name) for name in names), default=1) + 12)))
    step = math.ceil(len(names) / room) if names else 1
    return [(float(i), name if len(name) < 24 else name[:22] + "…") for i, name in enumerate(names) if i % step == 0]


def _round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high), _TINY):
        return [low - (abs(low) / 2 or 1), low, low + (abs(low) / 2 or 1)]
    raw = span / (most - 1)
    unit = 10.0 ** math.floor(math.log10(raw))
    # The last one is there for a quotient that rounding left just above 10.
    step = next(m * unit for m in (1, 2, 2.5, 5, 10, 20) if m * unit >= raw)
    ticks = range(math.floor(low / step), math.ceil(high / step) + 1)
    return [float(f"{k * step:.12g}") for k in ticks]


def _decades(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**k for k in range(first, last + 1, max(1, math.ceil((last - first) / 5)))]


def picture(pixels: Pixels) -> str:
    """A PNG data address of one picture [C, H, W] in [0, 1]; values outside are clipped, one channel is gray."""
    whole = np.clip(np.nan_to_num(pixels), 0, 1) * 255
    raw = np.rint(whole).astype(np.uint8)
    if raw.shape[0] == 3:
        return _png(Image.fromarray(np.ascontiguousarray(raw.transpose(1, 2, 0))))
    return _png(Image.fromarray(np.ascontiguousarray(raw[0])))


def heat(shares_of_row: Pixels) -> str:
    """A PNG data address of a matrix of fractions [rows, columns], as opacity over whatever lies behind it."""
    opaque = np.rint(255 * np.clip(shares_of_row, 0, 1)).astype(np.uint8)
    color = np.broadcast_to(np.array([42, 111, 187], np.uint8), (*opaque.shape, 3))
    return _png(Image.fromarray(np.dstack([color, opaque])))


def _png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
