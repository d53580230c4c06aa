"""Proxies: put together as the protocol has the parts, renewed whatever the deployment has learned."""

from __future__ import annotations

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
from cutlayer.threat import Architecture, Knows, View
from tests.evasions import SHAPE, natural, parts, view_of
from tests.parties import layout_of


@pytest.mark.parametrize(
    ("protocol", "order"),
    [("vanilla", ["peer", "own"]), ("u_shaped", ["peer", "own", "peer"]), ("label_only", ["own", "peer"])],
)
def test_parts_stand_in_the_protocol_s_order(protocol: str, order: list[str]) -> None:
    attack = FGSM()
    number = order.count("peer")
    known = dict.fromkeys(attack.threat.knows, lambda: None)
    peers = [nn.Identity() for _ in range(number)]
    known[Knows.PEER_ARCHITECTURE] = lambda: Architecture(lambda n: peers[n], (SHAPE,) * number, 2)  # type: ignore[assignment,return-value]
    attack.begin(View(attack.threat, known, (), layout_of(protocol)))
    own = nn.Identity()
    found = attack._parts(own)
    assert ["own" if part is own else "peer" for part in found] == order
    assert [part for part in found if part is not own] == peers


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
