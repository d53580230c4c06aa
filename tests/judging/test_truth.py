"""What the judge holds: a deployment that nobody stands in, and a network of nobody's to compare a stolen one with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cutlayer.budget import Budget
from cutlayer.judging.noise import Accuracies, Deployed
from cutlayer.judging.truth import honest, untrained
from cutlayer.scene.loading import drawn_model
from cutlayer.trigger import Trigger
from tests.cells import cell, quiet
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


def test_a_server_that_answers_the_judge_otherwise_is_not_asked(tmp_path: Path) -> None:
    options = {"liar": {"size": 1, "target": 1}}
    record = cell(tmp_path, attack="liar", options=options, protocol="vanilla", cut="1", model="dense")
    (success,) = (score for score in record.scores if score.metric == "attack_success")
    assert success.value == success.blind < 1


@pytest.mark.parametrize("defense", ["none", "gaussian_noise"])
def test_what_noise_does_is_measured_once_for_every_attack(
    defense: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a defense draws belongs to the data: the attacks before it make it no other."""
    asked: list[Budget] = []
    measured = Deployed.accuracies

    def noted(deployed: Deployed, budget: Budget) -> Accuracies:
        asked.append(budget)
        return measured(deployed, budget)

    monkeypatch.setattr(Deployed, "accuracies", noted)
    found = []
    for attack, folder in (("spy", "kept"), ("well_informed", "kept"), ("spy", "anew")):
        scene = scene_of(attack=attack, defense=defense, protocol="vanilla", cut="1")
        beside = honest(scene, scene.model, tmp_path / folder, quiet)
        assert beside is not None
        if folder == "anew":
            beside.triggered(Trigger(torch.ones(1, 8, 8), torch.ones(1, 8, 8), target=0))
        found.append(beside.noisy.accuracies(Budget((0.3,))))
    assert found == [found[0]] * 3
    assert len(asked) == 2


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
