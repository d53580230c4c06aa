"""What several seeds say together."""

from __future__ import annotations

import pytest

from cutlayer.metric import Metric
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.statistic import interval, quartiles


def test_an_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0, None])
    assert found is not None
    assert (found.mean, found.values) == (2.0, (1.0, 2.0, 3.0))
    assert found.half == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    # One more run varies, too: 4.303 deviations times the root of 1 + 1/3.
    reach = 4.303 * (4 / 3) ** 0.5
    assert found.beyond(2.0) == found.beyond(5.0) == found.beyond(2 - 0.99 * reach) == 0
    assert found.beyond(8.0) == pytest.approx(6 - reach, rel=1e-3)
    assert found.beyond(-4.0) == pytest.approx(6 - reach, rel=1e-3)
    alone = interval([1.0])
    assert alone is not None
    assert (alone.half, alone.beyond(7.0), alone.ends) == (None, 6.0, (1.0, 1.0))
    two = interval([1.0, 4.0])
    assert two is not None
    assert (two.mean, two.half, two.ends, two.beyond(0.5)) == (2.5, None, (1.0, 4.0), 0.5)
    assert interval([None]) is quartiles([]) is None


def test_quartiles_are_of_the_values() -> None:
    found = quartiles([0.0, 1.0, 2.0, 3.0, 4.0])
    assert found is not None
    assert (found.mean, found.low, found.high, found.count) == (2.0, 1.0, 3.0, 5)


def test_a_wide_interval_gives_way_to_the_values() -> None:
    share = Number("accuracy", Metric.ACCURACY)
    assert share.spelled(interval([0.97, 0.98, 0.96])) == "97.0 % ± 2.5 %"
    assert share.spelled(interval([0.98, 0.2, 0.3])) == "49.3 % (seeds: 20.0 %; 30.0 %; 98.0 %)"
    assert Number("SSIM", Metric.SSIM).spelled(interval([0.1, 0.9, 0.95])) == "0.650 (seeds: 0.100; 0.900; 0.950)"
    assert share.signed(-0.2994) == "-29.9 pp"
    assert Number("SSIM", Metric.SSIM).signed(0.05) == "+0.050"
    assert Number("PSNR", Metric.PSNR).spelled(interval([15.0, 25.0, 20.0])) == "20.000 ± 12.421"
    assert share.spelled(interval([0.5])) == "50.0 %"
    assert share.spelled(None) == "-"


def test_no_number_has_an_interval_that_reaches_beyond_what_it_can_be() -> None:
    share, drop = (Number("share", metric) for metric in (Metric.ACCURACY, Metric.ACCURACY_DROP))
    for values in ([0.002, 0.004, 0.046], [0.998, 0.996, 0.954]):
        found = share.over(values)
        assert found is not None
        assert (found.half, found.ends) == (None, (min(values), max(values)))
    assert share.spelled(share.over([0.002, 0.004, 0.046])) == "1.7 % (seeds: 0.2 %; 0.4 %; 4.6 %)"
    assert share.spelled(share.over([1.0, 1.0, 1.0])) == "100.0 % ± 0.0 %"
    # The difference of two shares can be below 0.
    assert drop.spelled(drop.over([0.002, 0.004, 0.046])) == "1.7 % ± 6.2 %"
    ssim, mse = Number("SSIM", Metric.SSIM), Number("MSE", Metric.MSE)
    assert ssim.spelled(ssim.over([0.99, 0.95, 0.97])) == "0.970 (seeds: 0.950; 0.970; 0.990)"
    assert ssim.spelled(ssim.over([0.92, 0.9, 0.94])) == "0.920 ± 0.050"
    assert mse.spelled(mse.over([0.01, 0.02, 0.06])) == "0.030 (seeds: 0.010; 0.020; 0.060)"
    assert mse.spelled(mse.over([1.4, 1.5, 1.6])) == "1.500 ± 0.248"
