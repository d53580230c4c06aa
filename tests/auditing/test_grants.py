"""What adversaries are granted about the other seats: queries meet the client's defenses, like all it sends."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch

from cutlayer.auditing.grants import Outside
from cutlayer.knowledge import Knows, Source
from cutlayer.simulation.assembly import assemble, honest_host
from cutlayer.threat import Goal, NotOfferedError, Seat, ThreatModel, TooEarlyError
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
def test_of_the_data_only_what_is_declared_is_at_hand() -> None:
    assert scene_of(protocol="vanilla", cut="1").facts == {}
    declaring = {"attack": "cheat", "options": {"cheat": {"declares": "natural_labels"}}}
    scene = scene_of(protocol="vanilla", cut="1", **declaring)
    assert torch.equal(
        Outside(None, scene.facts)(Knows.NATURAL_LABELS, {})["value"], scene.samples.labels(scene.sent_rows)
    )
    for what in (Knows.NATURAL_INPUTS, Knows.CLASS_PRIOR):
        with pytest.raises(NotOfferedError, match=f"cannot offer {what}"):
            Outside(None, scene.facts)(what, {})


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("what", [what for what in Knows if what.facts.source is Source.EXPERIMENT])
def test_the_experiment_has_an_answer_to_all_that_it_is_the_source_of(what: Knows) -> None:
    scene = scene_of(
        attack="cheat", options={"cheat": {"declares": "aux_inputs"}}, protocol="vanilla", cut="1", targets=4
    )
    threat = ThreatModel(Seat.SERVER, frozenset({Goal.EVASION}), frozenset({what}))
    scene = replace(scene, attack=Mock(threat=threat))
    assert {*Outside(scene.auxiliary, scene.facts)(what, {})} == {"value"}


@pytest.mark.parametrize("what", [what for what in Knows if what.facts.source is Source.PEER])
def test_clients_are_not_asked_before_there_are_any(what: Knows) -> None:
    with pytest.raises(TooEarlyError, match=f"{what} is asked of a client, there is none while the attack begins"):
        Outside()(what, {"0": torch.zeros(1)})


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_queries_pass_the_clients_defenses(sigma: float) -> None:
    noise = {"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigma": sigma}}}
    scene = scene_of(protocol="vanilla", cut="1", **noise)
    outside = Outside()
    session = outside.session = assemble(scene, honest_host(scene))
    inputs = torch.rand(4, *scene.dataset.input_shape)
    clean = session.clients[0].forward(inputs, training=False)
    first, again, other = (outside(Knows.PEER_QUERIES, {"0": asked})["value"] for asked in (inputs, inputs, -inputs))
    assert torch.equal(first, clean) == (sigma == 0)
    # The same question has the same answer: who asks it often learns no more of it.
    assert torch.equal(first, again)
    drawn = other - session.clients[0].forward(-inputs, training=False)
    assert torch.equal(first - clean, drawn) == (sigma == 0)
    if sigma:
        assert (first - clean).std().item() == pytest.approx(sigma, rel=0.2)
