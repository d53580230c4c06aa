"""Combinations that are refused while an experiment is settled, and those that are left to their cells."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import save_file

from cutlayer.experiment import ExperimentError
from cutlayer.network import build
from cutlayer.seat.making import make_attack
from cutlayer.simulation.assembly import brief
from tests.cells import GREY, STOCHASTIC, attacks
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


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"isolate": False}, r"with isolate = False spy runs .*; direct or loopback, or isolate=true$"),
        ({"isolate": "once"}, r"with isolate = 'once' spy runs .*; direct or loopback, or isolate=true$"),
        ({"attack": "insider"}, r"from the clients' seat insider runs .*; direct or loopback$"),
        (
            {"under": "client_backdoor", "options": {"client_backdoor": {"size": 3}}},
            r"from the clients' seat client_backdoor runs .*; direct or loopback$",
        ),
    ],
)
def test_nothing_goes_over_grpc_where_an_attack_has_no_process_of_its_own(values: dict[str, Any], told: str) -> None:
    asked = {"protocol": "vanilla", "cut": "1", **values}
    with pytest.raises(ExperimentError, match=f"^carrier = 'grpc': {told}"):
        scene_of(**asked, carrier="grpc")
    assert scene_of(**asked, carrier="loopback")


@pytest.mark.parametrize(("protocol", "cut"), [("u_shaped", "1"), ("label_only", "4")])
def test_too_few_own_images_are_refused_in_every_protocol(protocol: str, cut: str) -> None:
    """Also where the first layers are the adversary's own, and a cut says nothing about what it is sent."""
    values = {"attack": "fgsm", "protocol": protocol, "cut": cut, "targets": 4}
    with pytest.raises(
        ExperimentError,
        match=r"fgsm, cut \S+: aux_rows: 9 of its own are too few to train a proxy",
    ):
        scene_of(**values, aux_rows=9)
    assert len(scene_of(**values, aux_rows=10).auxiliary or ()) == 10


@pytest.mark.parametrize("attack", ["sladv", "injector_autoencoder"])
def test_what_does_not_apply_is_left_to_its_cell(attack: str) -> None:
    options = {"injector_autoencoder": {"size": 3}} if attack == "injector_autoencoder" else {}
    values = {"attack": attack, "options": options, "aux": "share", "aux_rows": 1}
    assert scene_of(**values, protocol="label_only", cut="4").auxiliary
    with pytest.raises(ExperimentError, match=r"own .*too few"):
        scene_of(**values, protocol="vanilla", cut="1")


def own_attack(folder: Path, old: str, new: str) -> dict[str, Any]:
    """Where an attack of one's own differs from one that is right."""
    file = attacks(folder, mine=GREY) / "attacks" / "mine.py"
    file.write_text(file.read_text().replace(old, new))
    return {"plugins": folder, "model": STOCHASTIC, "attack": "mine", "protocol": "vanilla", "cut": "1"}


def test_an_option_may_have_any_name_and_a_private_field_is_none(tmp_path: Path) -> None:
    """What the options of an attack are is told to another process: it must not be refused there."""
    fields = "seed: int = 1\n    _drawn: int = 7\n    steps_seen: int = 0"
    asked = own_attack(tmp_path, "steps_seen: int = 0", fields)
    scene = scene_of(**asked, options={"mine": {"seed": 5}})
    assert scene.options == {"seed": 5, "steps_seen": 0}
    told = brief(scene, attack=True)
    assert make_attack(told.attack, told.options, told.plugin_folder) == scene.attack
    with pytest.raises(ExperimentError, match=r"^unknown option mine\._drawn; one of seed, steps_seen$"):
        scene_of(**asked, options={"mine": {"_drawn": 5}})


def test_an_attack_that_is_no_dataclass_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(
        ExperimentError, match=r"^\S+/attacks/mine\.py: Mine must be a dataclass, its fields are the opti"
    ):
        scene_of(**own_attack(tmp_path, "@dataclass\n", ""))


def test_cells_that_wait_hold_no_network() -> None:
    """Hundreds of them, with a large one each, would fill any memory before the first has run."""
    built: list[weakref.ref[torch.nn.Sequential]] = []

    def building(*told: Any) -> torch.nn.Sequential:
        model = build(*told)
        built.append(weakref.ref(model))
        return model

    with patch("cutlayer.network.build", building):
        scenes = [scene_of(protocol="vanilla", cut="1", seed=seed) for seed in range(1, 6)]
        assert len(built) == 5
        assert sum(model() is not None for model in built) == 1, "the last one"
        assert scenes[0].model is scenes[0].model is not scenes[1].model
        assert len(built) == 7
    drawn, again = (scene.model[0].weight for scene in (scenes[0], scenes[1]))
    assert not torch.equal(drawn, again)
