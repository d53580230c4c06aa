"""UnSplit's options: their defaults, and what is refused."""

from __future__ import annotations

import pytest
from torch import nn

from cutlayer import registry
from cutlayer.attacks.unsplit import UnSplit
from cutlayer.message import Kind
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, View
from tests.parties import layout_of


@pytest.mark.parametrize(
    ("options", "blocks", "weight"),
    [
        ({}, 4, 0.1),
        ({}, 5, 1.0),
        ({"tv": "squared"}, 5, 0.1),
        ({"tv_weight": 0.0}, 5, 0.0),
    ],
)
def test_the_weight_of_variation_by_depth(options, blocks, weight):
    # Split depth k is blocks 0 to k.
    assert UnSplit(**options).variation_weight(nn.Sequential(*(nn.ReLU() for _ in range(blocks)))) == weight


def test_the_threat_is_a_curious_server_that_knows_the_layers():
    threat = UnSplit().threat
    assert (threat.seat, threat.tampers, threat.knows) == (Seat.SERVER, False, {Knows.PEER_ARCHITECTURE})
    assert threat.goals == {Goal.INPUTS, Goal.MODEL}
    assert UnSplit.watches == {Kind.PREDICT}


def test_in_label_only_there_is_nothing_to_invert():
    with pytest.raises(NotOfferedError, match="label_only"):
        UnSplit().begin(View(UnSplit().threat, {Knows.PEER_ARCHITECTURE: lambda: None}, [], layout_of("label_only")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds = 0: it takes at least 1"),
        ({"restarts": 0}, "restarts = 0: it takes at least 1"),
        ({"update": "simultaneous", "model_steps": 50}, "equally many steps of both, not input_steps = 100"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        UnSplit(**options)


def test_presets_and_work():
    assert UnSplit().work(10, 0) == 10 * 1000 * 200
    for name in ("paper", "quick", "rehearsal"):
        made = registry.make(UnSplit, UnSplit.presets[name], "unsplit")
        assert made.work(10, 0) <= UnSplit().work(10, 0)
    assert registry.make(UnSplit, UnSplit.presets["paper"], "unsplit") == UnSplit()
