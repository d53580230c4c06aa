"""What the judge holds: a deployment that nobody stands in, and a network of nobody's to compare a stolen one with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutlayer.judging.noise import Deployed, Remembered
from cutlayer.judging.truth import honest, untrained
from cutlayer.scene.loading import drawn_model
from tests.cells import cell, quiet
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


def test_a_server_that_answers_the_judge_otherwise_is_not_asked(tmp_path: Path) -> None:
    options = {"liar": {"size": 1, "target": 1}}
    record = cell(tmp_path, attack="liar", options=options, protocol="vanilla", cut="1", model="dense")
    (success,) = (score for score in record.scores if score.metric == "attack_success")
    assert success.value == success.blind < 1


@pytest.mark.parametrize(("defense", "kind"), [("none", Remembered), ("gaussian_noise", Deployed)])
def test_only_what_no_defense_draws_for_is_kept(defense: str, kind: type, tmp_path: Path) -> None:
    """What one draws depends on all that was asked before."""
    scene = scene_of(defense=defense, protocol="vanilla", cut="1")
    beside = honest(scene, scene.model, tmp_path, quiet)
    assert beside is not None
    assert type(beside.noisy) is kind


def test_the_network_of_nobodys_is_drawn_for_the_judge_alone_and_the_same_for_every_attack() -> None:
    """Neither the deployment's first weights nor what whoever seeds torch as the experiment is seeded would bring."""
    scenes = [scene_of(attack=attack, protocol="vanilla", cut="1") for attack in ("spy", "well_informed")]
    scene, blank = scenes[0], untrained(scenes[0]).state_dict()
    seeded = drawn_model(scene.experiment, scene.dataset, scene.experiment.seed)
    matrices = [name for name, tensor in blank.items() if tensor.ndim > 1]
    assert matrices
    for name in matrices:
        assert torch.equal(blank[name], untrained(scenes[1]).state_dict()[name]), name
        for other in (scene.model, seeded):
            assert not torch.equal(blank[name], other.state_dict()[name]), name
