"""What adversaries are granted about the other seats: queries meet the client's defenses, like all it sends."""

from __future__ import annotations

import pytest
import torch

from cutlayer.auditing.grants import Outside
from cutlayer.deployment import assemble, honest_host
from cutlayer.handover import Keeper
from cutlayer.threat import Knows
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_queries_pass_the_clients_defenses(sigma: float) -> None:
    noise = {"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigma": sigma}}}
    scene = scene_of(protocol="vanilla", cut="1", **noise)
    outside, keeper = Outside(), Keeper("trusted_party")
    session = outside.session = assemble(scene, honest_host(scene), keeper)
    inputs = torch.rand(4, *scene.dataset.input_shape)
    clean = session.clients[0].forward(inputs, training=False)
    first, second = (outside(Knows.PEER_QUERIES, {"0": inputs})["value"] for _ in range(2))
    assert torch.equal(first, clean) == (sigma == 0)
    # Each query draws noise of its own, as predictions do.
    assert torch.equal(first, second) == (sigma == 0)
    if sigma:
        assert (first - clean).std().item() == pytest.approx(sigma, rel=0.2)
