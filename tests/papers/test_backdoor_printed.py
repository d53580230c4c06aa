"""Printed values of the backdoor paper: what was typed from the authors' files, read a second time."""

from __future__ import annotations

import pytest

from cutlayer.papers.backdoor import PAPER
from cutlayer.papers.backdoor.printed import INJECTOR, injected

BY_NAME = {exhibit.name: exhibit for exhibit in PAPER.exhibits}
ONE_CLIENT = {
    ("mnist", "lenet"): [(4.368, 90.2), (1.109, 90.18), (6.508, 78.14)],
    ("mnist", "stripnet"): [(0.089, 99.04), (0.067, 98.5), (0.055, 99.36)],
    ("mnist", "resnet9"): [(0.089, 99.09), (0.155, 99.12), (0.078, 99.36)],
    ("fashion_mnist", "lenet"): [(16.922, 79.23), (24.889, 79.18), (2.911, 54.84)],
    ("fashion_mnist", "stripnet"): [(2.789, 88.68), (2.011, 87.34), (2.6, 88.7)],
    ("cifar10", "lenet"): [(2.554, 31.6), (4.623, 50.9), (15.819, 17.76)],
    ("cifar10", "stripnet"): [(0.78, 76.34), (0.888, 66.2), (1.151, 78.76)],
}


@pytest.mark.parametrize("place", ONE_CLIENT)
def test_the_injector_s_values_are_those_of_the_files(place: tuple[str, str]) -> None:
    for cut, said in enumerate(ONE_CLIENT[place], start=1):
        assert INJECTOR[*place, 1, None, cut] == tuple(pytest.approx(value / 100, abs=0.00051) for value in said)


def test_the_injector_s_values_are_whole() -> None:
    assert len(INJECTOR) == 3 * 3 * 4 * 3
    assert injected("fashion_mnist", "resnet9") == (pytest.approx(0.043), (pytest.approx(0.904), pytest.approx(0.934)))
    assert injected("cifar10", "resnet9") == (pytest.approx(0.025), (pytest.approx(0.789), pytest.approx(0.860)))
    assert injected("mnist", "densenet") is None


def test_what_takes_too_long_takes_one_seed_at_the_scale_quick() -> None:
    taken = {name: {cell.seeds("quick") for cell in exhibit.cells("quick")} for name, exhibit in BY_NAME.items()}
    assert {name for name, seeds in taken.items() if seeds == {1}} == {"figure 6", "figure 9", "table 3"}
    assert taken["figure 3"] == {3}
