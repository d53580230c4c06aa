"""Combinations that are refused while an experiment is settled, and those that are left to their cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from cutlayer.experiment import ExperimentError
from tests.scenes import made, scene_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"attack": "fgsm", "when": "before"}, "when = 'before'"),
        ({"attack": "label_inference"}, "when = 'before'"),  # as its paper has it
        ({"attack": "fgsm", "epochs": 0}, "epochs = 0"),
    ],
)
def test_nothing_is_under_a_tampering_that_has_no_training(values: dict[str, Any], setting: str) -> None:
    said = f"under = 'sladv': it tampers with the training, and with {setting} there is none before {values['attack']}"
    with pytest.raises(ExperimentError, match=said):
        scene_of(**values, under="sladv", aux="share", protocol="u_shaped", cut="1:4")
    assert scene_of(
        **{**values, "when": "after", "epochs": 1}, under="sladv", aux="share", protocol="u_shaped", cut="1:4"
    ).under


def test_given_weights_are_no_training_to_tamper_with(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(scene_of(protocol="u_shaped", cut="1").model.state_dict(), file)
    with pytest.raises(
        ExperimentError, match=r"and with weights = '.*w.safetensors' there is none before fgsm attacks"
    ):
        scene_of(attack="fgsm", under="sladv", aux="share", protocol="u_shaped", cut="1", weights=str(file))


@pytest.mark.parametrize(("protocol", "cut"), [("u_shaped", "1"), ("label_only", "4")])
def test_too_few_own_images_are_refused_in_every_protocol(protocol: str, cut: str) -> None:
    """Also where the first layers are the adversary's own, and a cut says nothing about what it is sent."""
    values = {"attack": "fgsm", "protocol": protocol, "cut": cut, "targets": 4}
    with pytest.raises(ExperimentError, match=r"fgsm, cut \S+: 9 images of its own are too few to train a proxy on"):
        scene_of(**values, aux_rows=9)
    assert len(scene_of(**values, aux_rows=10).auxiliary or ()) == 10


@pytest.mark.parametrize("attack", ["sladv", "injector_autoencoder"])
def test_what_does_not_apply_is_left_to_its_cell(attack: str) -> None:
    options = {"injector_autoencoder": {"size": 3}} if attack == "injector_autoencoder" else {}
    values = {"attack": attack, "options": options, "aux": "share", "aux_rows": 1}
    assert scene_of(**values, protocol="label_only", cut="4").auxiliary
    with pytest.raises(ExperimentError, match=r"own .*too few"):
        scene_of(**values, protocol="vanilla", cut="1")
