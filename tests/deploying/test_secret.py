"""What a party keeps to itself: with all else from the plan's seed, a client's noise is still its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cutlayer.deploying.place import take_place
from cutlayer.deploying.settings import ClientSettings
from cutlayer.deploying.terms import Plan
from cutlayer.message import Kind, Message
from cutlayer.scene.defending import make_defenses
from cutlayer.threat import Seat
from tests.deployments import CUTS, made_here, plan_of
from tests.scenes import PLUGINS

__all__ = ["made_here"]
pytestmark = pytest.mark.usefixtures("made_here")
NAMES = {"vanilla": "smashed", "u_shaped": "smashed", "label_only": "grad"}


def sent(place, name: str) -> Tensor:
    """What leaves a client that would send zeros."""
    message, left = Message(Kind.TRAIN, "c0", 0, {name: torch.zeros(2, 5)}), list[Message]()
    if place.durable.drives:
        place.durable.guard(lambda request: left.append(request) or request)(message)
    else:
        left.append(place.durable.guard(lambda request: message)(message))
    return left[0][name]


def known(plan: Plan, name: str) -> Tensor:
    """What everybody can compute who knows the plan."""
    experiment = plan.experiment.with_values(defense="gaussian_noise")
    (defense,) = make_defenses(experiment, 0)
    return defense.guard(Message(Kind.TRAIN, "c0", 0, {name: torch.zeros(2, 5)}))[name]


@pytest.mark.parametrize("randomness", ["own", "plan"])
@pytest.mark.parametrize("protocol", CUTS)
def test_nobody_who_knows_the_plan_can_take_a_clients_noise_away(tmp_path, protocol, randomness):
    plan, name = plan_of(protocol=protocol), NAMES[protocol]
    values = {"plan": {}, "dataset": "made", "plugins": PLUGINS, "server": "there:1", "defense": "gaussian_noise"}
    noises, weights = [known(plan, name)], []
    for folder in ("one", "other", "one"):
        settings = ClientSettings(**values, folder=tmp_path / folder, randomness=randomness)
        place = take_place(plan, settings, Seat.CLIENT, 0, "c0")
        noises.append(sent(place, name))
        weights.append(next(iter(place.durable.party.weights().values())))
        place.durable.shelf.close()
    assert len({tuple(noise.flatten().tolist()) for noise in noises}) == 3
    assert torch.equal(noises[1], noises[3]), "the same after a restart"
    assert torch.equal(weights[0], weights[1]) == (randomness == "plan")
