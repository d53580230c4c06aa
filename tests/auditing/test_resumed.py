"""A training under attack that is broken off ends, taken up again, as if it had not been: judgement, course and all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.auditing import training
from cutlayer.auditing.attacked import attacked_key, train_under_attack
from cutlayer.auditing.audit import attends_training, run_cell
from cutlayer.auditing.result import Result
from cutlayer.experiment import make
from cutlayer.record import DONE
from cutlayer.scene import Scene
from cutlayer.settle import settle
from tests.cells import quiet
from tests.trainings import interrupted_at, same

OFFERS = ("natural_inputs", "aux_inputs", "aux_labels", "peer_architecture")
SMALL: dict[str, dict[str, Any]] = {
    "client_backdoor": {"size": 2, "poisoned": 0.9},
    "fsha": {"width": 8, "blocks": 1, "learning_rate": 1e-3},
    "injector_autoencoder": {"size": 2, "pair_epochs": 1, "autoencoder_epochs": 1, "rate_factor": 2.0},
    "sladv": {"alpha": 2.0},
    "surrogate_client": {"size": 2, "later_alphas": (0.1,), "alpha_steps": (5,)},
}
EPOCH, STEPS = 4, 12
"""Training steps of an epoch, and of all."""
UNLIKE = {"seconds", "attack_seconds", "started"}


def scene_of(attack: str, **values: Any) -> Scene:
    given = {"train_rows": 72, "test_rows": 20, "targets": 4, "epochs": 3, "batch_size": 16, "isolate": False}
    given |= {"model": "lenet", "cut": "1", "offers": OFFERS, "clients": 2, "aux": "share", "aux_rows": 21}
    given |= {"attack": attack, "protocol": "vanilla", "options": {attack: SMALL[attack]}}
    return settle(make({**given, **values}))[0]


def told(result: Result) -> dict[str, Any]:
    record = result.record.model_dump(mode="json")
    assert record["status"] == DONE, record["reason"]
    return {name: value for name, value in record.items() if name not in UNLIKE}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Result]:
    """What each attack ends with where nothing is broken off."""
    run = tmp_path_factory.mktemp("whole")
    return cache(lambda attack: run_cell(scene_of(attack), run, quiet))


def broken_off(scene: Scene, run: Path, step: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_cell(scene, run, in_training(interrupted_at(step)))


def in_training(progress: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
    return lambda what, done, total: progress(what, done, total) if what == "training under attack" else None


def resumed(scene: Scene, run: Path) -> tuple[dict[str, Any], Result, list[int]]:
    steps: list[int] = []
    result = run_cell(scene, run, in_training(lambda what, done, total: steps.append(done)))
    return told(result), result, steps


def test_all_attacks_of_the_package_that_attend_a_training_are_here() -> None:
    kinds = {name: registry.cls("attacks", name, Attack) for name in registry.names("attacks")}
    assert {name for name, kind in kinds.items() if attends_training(kind())} == SMALL.keys()


@pytest.mark.parametrize("attack", SMALL)
def test_it_ends_as_if_it_had_not_been_broken_off(
    attack: str, tmp_path: Path, whole: Callable[[str], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second epoch: from the end of the first one, or, where it is kept on the way, from the very step."""
    every = 0.0 if attack in {"sladv", "client_backdoor"} else training.EVERY
    monkeypatch.setattr(training, "EVERY", every)
    scene, through = scene_of(attack), whole(attack)
    broken_off(scene, tmp_path / "cut", EPOCH + 3)
    again, result, steps = resumed(scene, tmp_path / "cut")
    kept = EPOCH if every else EPOCH + 2
    assert steps == list(range(kept + 1, STEPS + 1))
    assert again == told(through)
    assert [part["epoch"] for part in again["course"]] == ([1, 2] if scene.attack.anytime else [])
    assert result.images.keys() == through.images.keys()
    assert all(torch.equal(result.images[name], image) for name, image in through.images.items())
    assert not list((tmp_path / "cut" / "begun").iterdir())


def test_isolated_it_goes_on_in_another_process(tmp_path: Path, whole: Callable[[str], Result]) -> None:
    scene, through = scene_of("surrogate_client", isolate=True), whole("surrogate_client")
    broken_off(scene, tmp_path / "cut", EPOCH + 3)
    # As if it had gone round its view there: what it was granted is counted on this side, over interruptions too.
    (kept,) = (tmp_path / "cut" / "begun").glob("*/step-*/adversary.safetensors")
    kept.write_bytes(save({**load_file(kept), "granted.aux_inputs": torch.tensor(7)}))
    again, _, steps = resumed(scene, tmp_path / "cut")
    assert steps == list(range(EPOCH + 1, STEPS + 1))
    assert again["threat"]["used"].pop("aux_inputs") == 7
    expected = told(through)
    assert expected["threat"]["used"].pop("aux_inputs") == 1
    own = {name: again[name] for name in ("isolated", "fingerprint", "experiment")}
    assert again == expected | own
    assert own["isolated"] is True


def test_broken_off_after_its_training_it_is_only_asked_again(
    tmp_path: Path, whole: Callable[[str], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene_of("sladv")

    def dies(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cutlayer.auditing.audit.send_targets", dies)
        with pytest.raises(KeyboardInterrupt):
            run_cell(scene, tmp_path / "cut", quiet)
    again, _, steps = resumed(scene, tmp_path / "cut")
    assert (steps, again) == ([], told(whole("sladv")))


def test_what_it_leaves_for_others_is_taken_up_too(tmp_path: Path) -> None:
    scene = scene_of("sladv")
    through = train_under_attack(scene, tmp_path / "through", quiet)
    with pytest.raises(KeyboardInterrupt):
        train_under_attack(scene, tmp_path / "cut", interrupted_at(2 * EPOCH + 2))
    steps: list[int] = []
    again = train_under_attack(scene, tmp_path / "cut", lambda what, done, total: steps.append(done))
    assert steps == list(range(2 * EPOCH + 1, STEPS + 1))
    assert same(through, again)
    assert through.history == again.history
    assert sorted(path.name for path in (tmp_path / "cut" / "victims" / attacked_key(scene)).iterdir()) == [
        "history.json",
        "model.safetensors",
    ]


def test_an_attack_that_cannot_tell_where_it_stands_begins_anew(
    tmp_path: Path, whole: Callable[[str], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene_of("surrogate_client")
    monkeypatch.setattr(type(scene.attack), "checkpoint", Attack.checkpoint)
    broken_off(scene, tmp_path / "cut", EPOCH + 3)
    again, _, steps = resumed(scene, tmp_path / "cut")
    assert steps == list(range(1, STEPS + 1))
    assert again == told(whole("surrogate_client"))


def test_without_its_adversarys_state_it_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene = scene_of("surrogate_client")
    broken_off(scene, tmp_path, EPOCH + 3)
    (kept,) = (tmp_path / "begun").glob("*/step-*")
    (kept / "adversary.safetensors").unlink()
    with caplog.at_level(logging.WARNING):
        _, _, steps = resumed(scene, tmp_path)
    assert steps == list(range(1, STEPS + 1))
    (line,) = caplog.messages
    assert line == f"{kept} is damaged, and what it held is trained again: adversary.safetensors is missing"
