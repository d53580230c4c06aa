"""Proxies: put together as the protocol has the parts, renewed whatever the deployment has learned."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cutlayer.attack import Attack
from cutlayer.attacks.fgsm import FGSM
from cutlayer.attacks.inversion_black_box import InversionBlackBox
from cutlayer.attacks.pgd import PGD
from cutlayer.attacks.ssa import SSA
from cutlayer.attacks.vmi_fgsm import VMIFGSM
from cutlayer.budget import Budget
from cutlayer.threat import Architecture, Knows, Layout, Seat, View
from tests.evasions import natural, parts, view_of


@pytest.mark.parametrize(
    "owners", ["client server", "client server client", "server client", "server client server"], ids=lambda o: o
)
def test_parts_stand_in_the_protocol_s_order(owners: str) -> None:
    """Whoever holds two parts, each with the weights that it has there."""
    attack, order = PGD(network="victim"), [Seat(name) for name in owners.split()]
    held = {seat: [nn.Linear(3, 3) for _ in range(order.count(seat))] for seat in Seat}
    drawn = [nn.Linear(3, 3) for _ in held[Seat.CLIENT]]
    known: dict[Knows, Any] = dict.fromkeys(attack.threat.knows, lambda: None)
    known[Knows.OWN_PART] = lambda number: held[Seat.SERVER][number]
    known[Knows.PEER_ARCHITECTURE] = lambda: Architecture(drawn.__getitem__, ((3,),) * len(drawn), 3)
    known[Knows.PEER_WEIGHTS] = lambda: nn.ModuleList(held[Seat.CLIENT]).state_dict()
    attack.begin(View(attack.threat, known, (), Layout("mine", tuple(order), Seat.CLIENT, order[0])))
    parts = {seat: iter(own) for seat, own in held.items()}
    true = nn.Sequential(*(next(parts[owner]) for owner in order)).state_dict()
    found = attack._true().state_dict()
    assert found.keys() == true.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in true.items())


def test_steps_are_counted() -> None:
    assert FGSM(epochs=3, batch_size=10).work(600, 25) == 3 * 3 + 3
    assert FGSM(epochs=3, batch_size=10, least_steps=20).work(600, 25) == 9 * 3 + 3
    assert FGSM(least_steps=20).work(600, 0) == 3
    assert VMIFGSM(epochs=3, batch_size=10, iterations=4, neighbors=5).work(600, 25) == 3 * 3 + 3 * 4 * 6


@pytest.mark.parametrize("kind", [FGSM, PGD, SSA, VMIFGSM, InversionBlackBox])
def test_a_rehearsal_takes_no_least_number_of_steps(kind: type[Attack]) -> None:
    rehearsed = kind(**{"least_steps": 1000, **kind.presets["rehearsal"]})
    assert rehearsed.work(1, 25) < 20


def test_a_proxy_has_the_deployment_s_form_and_none_of_its_statistics() -> None:
    attack = FGSM(epochs=1, learning_rate=1e-12)
    view = view_of(attack, (Budget((0.1,)),), natural())
    attack.begin(view)
    torch.manual_seed(0)
    trained = attack._trained().state_dict()
    deployed = nn.Sequential(*parts(7)).state_dict()
    assert trained.keys() == deployed.keys()
    assert all(trained[name].shape == tensor.shape for name, tensor in deployed.items())
    assert not torch.allclose(trained["1.fc.weight"], deployed["1.fc.weight"])
