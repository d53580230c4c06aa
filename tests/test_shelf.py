"""What one attack has made another takes, with its notes and what it cost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from cutlayer.shelf import made
from cutlayer.threat import Goal, Seat, ThreatModel, TooLateError, View


class Plank:
    """A shelf in memory."""

    def __init__(self) -> None:
        self.there: dict[str, Mapping[str, Tensor]] = {}

    def take(self, key: str) -> Mapping[str, Tensor] | None:
        return self.there.get(key)

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        self.there[key] = tensors


def view_of(shelf: Plank | None) -> View:
    return View(ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset()), {}, (), shelf=shelf)


def test_what_is_there_is_not_made_again() -> None:
    shelf, calls = Plank(), []
    views = [view_of(shelf) for _ in range(2)]
    for view in views:
        view.note("own", 3)

        def make(view: View = view) -> Mapping[str, Tensor]:
            calls.append(view)
            view.note("loss", [1.0, 0.5])
            return {"weight": torch.arange(3.0)}

        assert torch.equal(view.made_once("a", make)["weight"], torch.arange(3.0))
    assert len(calls) == 1
    assert views[0].notes == views[1].notes == {"own": 3, "loss": [1.0, 0.5]}
    assert views[0].spared == 0 < views[1].spared


def test_another_key_is_another_thing() -> None:
    shelf, notes = Plank(), dict[str, object]()
    for number, key in enumerate("aba"):
        found, _ = made(shelf, key, lambda number=number: {"x": torch.tensor(number)}, notes)
        assert found["x"] == {"a": 0, "b": 1}[key], number


def test_after_the_guess_nothing_is_taken_or_left() -> None:
    shelf = Plank()
    view = view_of(shelf)
    view.close()
    with pytest.raises(TooLateError, match="after the guess"):
        view.made_once("a", lambda: {"x": torch.ones(1)})
    assert not shelf.there


@pytest.mark.parametrize("view", [view_of(None), view_of(Plank())])
def test_what_is_made_is_given_whether_there_is_a_shelf_or_not(view: View) -> None:
    assert view.made_once("a", lambda: {"x": torch.ones(1)})["x"] == 1
    assert view.spared == 0
