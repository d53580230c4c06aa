"""Parties that talk over gRPC end with the bits of a session in one process."""

from __future__ import annotations

import pytest

from tests.deployments import CUTS, Deployment, assert_same_bits, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("protocol", CUTS)
def test_a_deployment_ends_with_the_bits_of_a_session(tmp_path, protocol, clients):
    deployed = Deployment(plan_of(clients, protocol=protocol, turn=2), tmp_path)
    deployed.run()
    assert deployed.missing == []
    assert_same_bits(deployed)


def test_rates_scaling_and_a_carried_optimizer_are_those_of_a_session(tmp_path):
    values = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 0.05,
        "milestones": [1],
        "optimizer_state": "carried",
    }
    plan = plan_of(2, epochs=3, input_mean=[0.3], input_std=[0.4], **values)
    deployed = Deployment(plan, tmp_path)
    deployed.run()
    assert_same_bits(deployed)


def test_through_the_server_the_weights_arrive_alike(tmp_path):
    deployed = Deployment(plan_of(3, handover="server", optimizer_state="reset"), tmp_path)
    deployed.run()
    assert_same_bits(deployed)
