"""Attacks on large networks compute in the type of the training: the honest party notices nothing, guesses are near."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cutlayer import registry
from cutlayer.attack import Attack, Guess
from cutlayer.auditing.attacked import seated, train_under_attack
from cutlayer.auditing.grants import Outside
from cutlayer.auditing.target import send_targets
from cutlayer.auditing.victim import train
from cutlayer.experiment import make
from cutlayer.methods.perturbation import dct2
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle

OFFERS = ("natural_inputs", "aux_inputs", "aux_labels", "peer_architecture")
OPTIONS: dict[str, dict[str, Any]] = {
    "sladv": {"alpha": 1.0},
    "fgsm": {"epochs": 3},
    "vmi_fgsm": {"epochs": 3, "iterations": 2, "neighbors": 2},
    "ssa": {"epochs": 3, "iterations": 2, "spectra": 2},
    "pgd": {"epochs": 3, "iterations": 2, "network": "proxy"},
}
SIZE = {"train_rows": 120, "test_rows": 40, "targets": 20, "epochs": 1, "batch_size": 16, "isolate": False}


def scene_of(attack: str, precision: str, **options: Any) -> Scene:
    asked = {**SIZE, "attack": attack, "precision": precision, "options": {attack: {**OPTIONS[attack], **options}}}
    fixed = {
        "model": "lenet",
        "protocol": "u_shaped",
        "cut": "1",
        "offers": OFFERS,
        "aux": "share",
        "memory_format": "contiguous",
    }
    return settle(make({**asked, **fixed}))[0]


def quiet(what: str, done: int, total: int) -> None:
    pass


def test_every_attack_that_computes_in_the_type_of_the_training_is_here() -> None:
    kinds = {name: registry.cls("attacks", name, Attack) for name in registry.names("attacks")}
    assert {name for name, kind in kinds.items() if kind.narrow} == OPTIONS.keys()


def test_at_alpha_0_the_honest_training_keeps_every_bit(tmp_path: Path) -> None:
    scene = scene_of("sladv", "bf16", alpha=0.0)
    honest, watched = train(scene, tmp_path, quiet), train_under_attack(scene, tmp_path, quiet)
    weights = watched.model.state_dict()
    assert [name for name, value in honest.model.state_dict().items() if not torch.equal(value, weights[name])] == []


def guessed(scene: Scene) -> tuple[Guess, Tensor]:
    outside = Outside(scene.auxiliary, scene.facts)
    with seated(scene, outside, quiet) as place:
        session = place.attended(scene, outside)
        session.train_epoch(1)
        place.occupant.announce(tuple(send_targets(scene, session)))
        (guess,) = place.occupant.infer()
    return guess, scene.samples.inputs(scene.sent_rows)


@pytest.mark.parametrize("attack", OPTIONS)
def test_its_guess_is_near_that_in_float32(attack: str) -> None:
    (narrow, natural), (plain, _) = (guessed(scene_of(attack, precision)) for precision in ("bf16", "fp32"))
    assert {tensor.dtype for tensor in narrow.tensors.values()} <= {torch.float32, torch.int64}
    ours, theirs = (guess.tensors["inputs"] - natural for guess in (narrow, plain))
    assert not torch.equal(ours, theirs), "it was computed in float32"
    assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.4


@pytest.mark.parametrize("attack", [name for name in OPTIONS if name != "sladv"])
def test_a_proxy_learns_as_it_does_in_float32(attack: str) -> None:
    """Its weights change within one call of the attack: a cast of the first ones must not stand for later ones."""
    ours, plain = (losses(scene_of(attack, precision, epochs=20, learning_rate=0.01)) for precision in ("bf16", "fp32"))
    assert plain[-1] < 0.8 * plain[0], "it learns nothing that could be compared"
    assert ours == pytest.approx(plain, rel=0.25)


def losses(scene: Scene) -> list[float]:
    outside = Outside(scene.auxiliary, scene.facts)
    with seated(scene, outside, quiet) as place:
        session = place.attended(scene, outside)
        place.occupant.announce(tuple(send_targets(scene, session)))
        place.occupant.infer()
        curve = place.occupant.findings.notes["proxy_loss"]
    assert isinstance(curve, list)
    return curve


def test_a_transform_of_images_is_exact_whatever_the_type_around_it() -> None:
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = dct2(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(dct2(images), plain)
