"""Panels of figure 3: what a smoke run has left in the same folder is of other data, and stands apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cutlayer.papers.backdoor.figures import FIGURES
from cutlayer.reproduction import plot
from cutlayer.reproduction.found import find
from tests.papers.test_backdoor import cell_of, leave


def test_digits_and_mnist_are_not_drawn_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(plot, "lines", lambda given, *rest, **how: drawn.append(given) or b"<svg/>")
    figure = FIGURES["mnist"]
    leave(tmp_path, figure.cells("smoke")[0], 1, 0.1)
    leave(tmp_path, cell_of(figure, "quick", model="lenet", clients=1, **{"surrogate_client.alpha": 0.09}), 1, 0.8)
    assert figure.blocks(find([tmp_path]))
    (panels,) = drawn
    cuts = ("lenet, cut 1, alpha 0.09", "lenet, cut 2, alpha 0.09")
    assert panels.keys() == {*cuts, *(f"{cut}, digits" for cut in cuts)}
    for name, series in panels.items():
        ((clients, success),) = series["ASR"]
        assert (clients, success.values) == (1, (0.1,) if name.endswith("digits") else (0.8,))
