"""Who is told what: each thing to know comes from where its facts say, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from cutlayer.computing import Computing
from cutlayer.knowledge import Knows
from cutlayer.message import Kind
from cutlayer.optimization import Optimization
from cutlayer.seat import seating
from cutlayer.seat.making import party_of
from cutlayer.seat.seating import Outside, seat_clients, seat_server
from cutlayer.simulation.assembly import brief
from cutlayer.threat import NotOfferedError, Row, Seat
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


def answers(what: Knows, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {"0.fc.weight": torch.ones(2)} if what.facts.state else {"value": torch.ones(2)}


def told(what: Knows, seat: Seat, outside: Outside | None) -> Any:
    """What an adversary is told that declares it, where everything is offered."""
    scene = scene_of(attack="cheat", protocol="vanilla", cut="1")
    asking = replace(brief(scene, attack=True), offers=tuple(Knows))
    attack = replace(cast(Any, scene.attack), declares=what.value)
    own = party_of(Seat.CLIENT, 0, [nn.Linear(2, 2)], Optimization(), 7, Computing())
    # Past the check that the live party is for those alone who tamper.
    with patch.object(type(attack), "begin"), patch.object(seating, "make_attack", lambda *asked: attack):
        if seat is Seat.SERVER:
            occupant = seat_server(asking, outside).occupant
        else:
            occupant = seat_clients(asking, lambda: own, outside)
    assert occupant.adversary
    occupant.announce((Row(Kind.PREDICT, 0, 0),))
    return occupant.adversary.view.grant(what)


@pytest.mark.parametrize("what", Knows)
def test_a_server_knows_what_it_need_not_ask_for(what: Knows) -> None:
    if what.facts.outside:
        with pytest.raises(NotOfferedError, match=f"does not offer {what} "):
            told(what, Seat.SERVER, None)
    else:
        told(what, Seat.SERVER, None)


@pytest.mark.parametrize("what", [what for what in Knows if what.facts.outside])
def test_a_server_is_told_the_rest_in_the_form_that_attacks_expect(what: Knows) -> None:
    assert isinstance(told(what, Seat.SERVER, answers), dict if what.facts.state else Tensor)


@pytest.mark.parametrize("what", Knows)
def test_a_client_is_told_what_is_not_for_servers_alone(what: Knows) -> None:
    if what.facts.server_only:
        with pytest.raises(NotOfferedError, match=f"does not offer {what} "):
            told(what, Seat.CLIENT, answers)
    else:
        told(what, Seat.CLIENT, answers)
