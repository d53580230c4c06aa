"""Figures: pictures of any values, axes of any range."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from cutlayer.report.figure import Points, by_cut, curves, picture
from cutlayer.report.finding import Spread


@given(arrays(np.float32, (3, 2, 5), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_any_pixels_make_a_picture(pixels: np.ndarray) -> None:
    raw = base64.b64decode(picture(pixels).removeprefix("data:image/png;base64,"))
    with Image.open(io.BytesIO(raw)) as image:
        assert (image.size, image.mode) == ((5, 2), "RGB")


def flat(value: float) -> Spread:
    return Spread(value, value, value, 1)


@given(st.lists(st.floats(), min_size=1, max_size=5), st.integers(1, 10**6))
def test_curves_of_any_values_stay_in_their_frame(values: list[float], step: int) -> None:
    line = Points("a", tuple((float(1 + i * step), flat(value)) for i, value in enumerate(values)))
    chart = curves("title", "epoch", [line])
    drawable = np.isfinite(values) & (np.abs(values) < 1e100)
    assert (chart is None) == (not drawable.any())
    if chart:
        (drawn,) = chart.lines
        assert len(drawn.dots) == drawable.sum()
        assert all(chart.left <= d.x <= chart.right and chart.top <= d.y <= chart.bottom for d in drawn.dots)
        assert 1 <= len(chart.y_ticks) <= 8


def test_curves_over_decades_are_logarithmic_and_others_are_not() -> None:
    wide, narrow = (
        curves("title", "epoch", [Points("a", tuple((float(i), flat(v)) for i, v in enumerate(values)))])
        for values in ((1.0, 0.1, 0.001), (1.0, 0.9, 0.8))
    )
    assert wide
    assert narrow
    assert [text for _, text in wide.y_ticks] == ["0.001", "0.01", "0.1", "1"]
    assert [text for _, text in narrow.y_ticks] == ["0.8", "0.85", "0.9", "0.95", "1"]


def test_an_advantage_far_below_zero_is_drawn_at_the_edge_and_marked() -> None:
    series = [Points("a", ((0.0, flat(0.5)), (1.0, flat(-7.0))))]
    chart = by_cut("title", series, ["1", "2"], leak=0.25, partial=0.1)
    up, down = chart.lines[0].dots
    assert not up.clipped
    assert down.clipped
    assert down.y == chart.bottom
    assert [band.verdict for band in chart.bands] == ["leak", "partial leak", "no leak"]


@pytest.mark.parametrize(("count", "apart"), [(2, 7.0), (24, 3.5)])
def test_the_dots_of_many_series_stay_with_their_cut(count: int, apart: float) -> None:
    series = [Points(f"{number}", tuple((float(x), flat(0.5)) for x in range(3))) for number in range(count)]
    chart = by_cut("title", series, ["1", "3", "5"], leak=0.25, partial=0.1)
    groups = [[line.dots[place].x for line in chart.lines] for place in range(3)]
    for (middle, _), group in zip(chart.x_ticks, groups, strict=True):
        assert max(abs(x - middle) for x in group) < (chart.right - chart.left) / 6
    assert groups[0][1] - groups[0][0] == pytest.approx(apart, abs=0.11)
