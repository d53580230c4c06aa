"""Notes of an attack: numbers, texts and lists of numbers, and one sentence for whatever no record keeps."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from cutlayer.record import AttackRun, Cell, Record, read_record, write_record
from cutlayer.threat import Goal, Seat, ThreatModel, View


def view() -> View:
    return View(ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset()), {}, ())


@pytest.mark.parametrize("value", [1, 0.5, True, np.float64(0.5), "text", [], [1.0, 0.5], [float("nan")], float("inf")])
def test_what_a_record_keeps_is_a_note(value: Any, tmp_path: Any) -> None:
    window = view()
    window.note("it", value)
    assert window.notes == {"it": value}
    curve = isinstance(value, list)
    attack = AttackRun(notes={} if curve else window.notes, curves=window.notes if curve else {})
    write_record(tmp_path, Record(cell=Cell(attack="a"), attack=attack), {})
    kept = read_record(tmp_path)
    assert kept is not None
    said = json.dumps(window.notes).replace("NaN", "null").replace("Infinity", "null")
    assert json.dumps({**kept.attack.notes, **kept.attack.curves}) == said


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (torch.tensor(1.0), "a Tensor"),
        (np.float32(1), "a float32"),
        (None, "a NoneType"),
        ((1.0, 2.0), "a tuple"),
        ({"a": 1}, "a dict"),
        (["a", "b"], "a list with a str in it"),
        ([1.0, torch.tensor(1.0)], "a list with a Tensor in it"),
        ([[1.0]], "a list with a list in it"),
    ],
)
def test_what_no_record_keeps_is_refused_in_one_sentence(value: Any, told: str) -> None:
    window = view()
    with pytest.raises(TypeError) as error:
        window.note("it", value)
    assert str(error.value) == f"note 'it' is {told}: a record keeps a float, an int, a text or a list of numbers"
    assert window.notes == {}
