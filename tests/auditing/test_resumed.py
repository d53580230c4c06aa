"""A training under attack that is broken off ends, taken up again, as if it had not been: judgement, course and all."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.auditing import training
from cutlayer.auditing.attacked import attacked_key, attends_training, train_under_attack
from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.begun import Measured
from cutlayer.auditing.outline import begun
from cutlayer.auditing.result import Result
from cutlayer.auditing.victim import all_steps, train
from cutlayer.checksum import pack_checked, read_checked
from cutlayer.experiment import ExperimentError, make
from cutlayer.record import DONE, NOT_APPLICABLE
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.sweeping import sweep
from cutlayer.sweeping.estimate import Pace
from cutlayer.sweeping.sweep import Sweep, attempt
from cutlayer.sweeping.watcher import Unwatched
from tests.cells import quiet
from tests.trainings import in_training, interrupted_at, same

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
    given |= {"attack": attack, "protocol": "vanilla", "options": {attack: SMALL.get(attack, {})}}
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
    # Curves in their order, too.
    assert json.dumps(again) == json.dumps(told(through))


def test_isolated_it_goes_on_in_another_process(tmp_path: Path, whole: Callable[[str], Result]) -> None:
    scene, through = scene_of("surrogate_client", isolate=True), whole("surrogate_client")
    broken_off(scene, tmp_path / "cut", EPOCH + 3)
    # As if it had gone round its view there: what it was granted is counted on this side, over interruptions too.
    (kept,) = (tmp_path / "cut" / "begun").glob("*/step-*/adversary.safetensors")
    kept.write_bytes(pack_checked({**read_checked(kept)[0], "granted.aux_inputs": torch.tensor(7)}))
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


def test_what_is_kept_stays_until_there_is_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of("surrogate_client")

    def dies(*arguments: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(sweep, "_keep", dies)
        with pytest.raises(OSError, match="disk full"):
            attempt(scene, tmp_path, "", quiet, None)
    assert begun(scene, tmp_path).steps == STEPS
    attempt(scene, tmp_path, "", quiet, None)
    assert not list((tmp_path / "begun").iterdir())
    # Another command that ran the same cell has kept what it was at, and was broken off.
    begun(scene, tmp_path).keep(EPOCH, {}, Measured())
    assert [record.status for _, record in Sweep([scene], tmp_path, "").records(Unwatched())] == [DONE]
    assert not list((tmp_path / "begun").iterdir())


ITS_OWN = '''"""It watches the training and asks for gradients."""
from dataclasses import dataclass
import torch
from cutlayer.attack import Attack, Guess
from cutlayer.message import Kind
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, ThreatModel


@dataclass
class Mine(Attack):
    """It watches the training and asks for gradients."""

    paper = plain = "none"
    anytime = True
    presets = {}
    refuses: bool = False
    fails: bool = False

    @property
    def threat(self):
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset({Knows.PEER_GRADIENTS}))

    def begin(self, view):
        self.view, self.seen, self.lengths = view, [], None

    def checkpoint(self):
        return {"seen": torch.tensor(self.seen, dtype=torch.float64)}

    def restore(self, tensors):
        if self.fails:
            raise RuntimeError("of another form")
        self.seen = tensors["seen"].tolist()

    def observe(self, message):
        if message.kind is Kind.TRAIN and "smashed" in message:
            found = self.view.peer_gradients().values()
            self.seen.append(sum(g.abs().sum().item() for g in found) + len(self.view.targets))

    def infer(self):
        if self.refuses and len(self.seen) == 12:
            raise NotOfferedError("nothing to be had")
        self.view.note("seen", list(self.seen))
        wanted = torch.full((len(self.view.targets), 1, 28, 28), 0.5)
        return [Guess(Goal.INPUTS, {"inputs": wanted}, self.view.targets)]
'''


def its_own(folder: Path, **options: bool) -> Scene:
    (folder / "attacks").mkdir(parents=True, exist_ok=True)
    (folder / "attacks" / "mine.py").write_text(ITS_OWN)
    given = {"options": {"mine": options}, "plugins": folder, "offers": ("peer_gradients",)}
    return scene_of("mine", **given)


def test_gradients_and_targets_that_an_attack_of_ones_own_reads_are_there_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "EVERY", 0.0)
    scene = its_own(tmp_path / "plugins")
    through = told(run_cell(scene, tmp_path / "through", quiet))
    assert len(set(through["attack"]["curves"]["seen"])) > STEPS // 2
    broken_off(scene, tmp_path / "cut", EPOCH + 3)
    again, _, _ = resumed(scene, tmp_path / "cut")
    assert again == through


def test_an_attack_that_has_nothing_to_say_in_the_end_leaves_nothing_behind(tmp_path: Path) -> None:
    scene = its_own(tmp_path / "plugins", refuses=True)
    attempt(scene, tmp_path, "", quiet, None)
    (record,) = (record for _, record in Sweep([scene], tmp_path, "").records(Unwatched()))
    assert (record.status, record.reason) == (NOT_APPLICABLE, "nothing to be had")
    assert not list((tmp_path / "begun").iterdir())


def test_a_state_that_an_attack_cannot_take_is_named(tmp_path: Path) -> None:
    scene = its_own(tmp_path / "plugins", fails=True)
    broken_off(scene, tmp_path, EPOCH + 3)
    folder = begun(scene, tmp_path).folder
    said = f"{folder}: the attack cannot go on from there; remove it to begin anew (of another form)"
    with pytest.raises(ExperimentError, match=re.escape(said)):
        run_cell(scene, tmp_path, quiet)


@pytest.mark.parametrize("values", [{"pipelined": True}, {"protocol": "label_only", "cut": "6", "turn": 1}])
def test_an_honest_training_goes_on_from_the_middle_of_an_epoch(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "EVERY", 0.0)
    scene = scene_of("surrogate_client", **values)
    through = train(scene, tmp_path / "through", quiet)
    steps = all_steps(scene)
    with pytest.raises(KeyboardInterrupt):
        train(scene, tmp_path / "cut", interrupted_at(steps // 2 + 1))
    seen: list[int] = []
    again = train(scene, tmp_path / "cut", lambda what, done, total: seen.append(done))
    assert seen == list(range(steps // 2 + 1, steps + 1))
    assert same(through, again)
    assert through.history == again.history


def test_what_is_kept_needs_no_time(tmp_path: Path) -> None:
    scene, pace = scene_of("surrogate_client"), Pace(True, watched=2.0)
    assert pace.seconds(scene) - pace.seconds(scene, kept=EPOCH) == 2.0 * EPOCH
