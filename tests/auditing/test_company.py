"""Adversaries that only watch attend one training together: each ends as if it had been there alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cutlayer.attack import Attack
from cutlayer.auditing import training
from cutlayer.auditing.audit import run_cell
from cutlayer.auditing.company import _Together, attend, attended, company, shares
from cutlayer.auditing.outline import begun
from cutlayer.experiment import make
from cutlayer.record import FAILED, Record
from cutlayer.scene.scene import Scene
from cutlayer.scene.settle import settle
from cutlayer.sweeping.estimate import Pace, estimates
from cutlayer.sweeping.once import spelled_out
from cutlayer.sweeping.sweep import Sweep
from cutlayer.sweeping.watcher import Unwatched
from tests.cells import quiet
from tests.trainings import in_training, interrupted_at

EPOCH, STEPS = 4, 12
"""Training steps of an epoch, and of all."""
UNLIKE = {"seconds", "attack_seconds", "started", "command"}
OFFERS = ("natural_inputs", "aux_inputs", "aux_labels", "peer_architecture")


def scene_of(attack: str = "sladv", **values: Any) -> Scene:
    given = {"train_rows": 72, "test_rows": 20, "targets": 4, "epochs": 3, "batch_size": 16, "isolate": False}
    given |= {"model": "lenet", "protocol": "u_shaped", "cut": "1", "offers": OFFERS, "clients": 2}
    given |= {"aux": "share", "aux_rows": 21, "attack": attack}
    options = {name: own for name, own in {"sladv": {"alpha": 0.0}, "fgsm": {"epochs": 1}}.items() if name == attack}
    return settle(make({"options": options, **given, **values}))[0]


def shadowing(shadow: str, **values: Any) -> Scene:
    return scene_of(options={"sladv": {"alpha": 0.0, "shadow": shadow}}, **values)


class Counted(Unwatched):
    """Counts the steps of everything that a sweep does, and the cells that train."""

    def __init__(self) -> None:
        self.steps = Counter[str]()
        self.trainers = set[int]()

    def progress(self, number: int, what: str, done: int, total: int) -> None:
        self.steps[what] += 1
        if what.startswith("training"):
            self.trainers.add(number)


def swept(scenes: Sequence[Scene], run: Path, jobs: int = 1) -> tuple[list[Record], Mapping[str, int]]:
    counted = Counted()
    found = dict(Sweep(scenes, run, "", jobs).records(counted))
    # However many steps there were: between two processes not all are told.
    assert jobs == 1 or len(counted.trainers) == 1
    return [found[number] for number in sorted(found)], counted.steps


def told(record: Record) -> str:
    content = record.model_dump(mode="json")
    return json.dumps({name: value for name, value in content.items() if name not in UNLIKE}, sort_keys=True)


def broken_off(scene: Scene, run: Path, step: int, others: Sequence[Scene]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_cell(scene, run, in_training(interrupted_at(step)), others=others)


def alone(scene: Scene, run: Path) -> str:
    return told(run_cell(scene, run, quiet).record)


def test_one_training_is_all_that_they_need(tmp_path: Path) -> None:
    """Beside that of the honest victim, where no attack is."""
    scenes = [shadowing("two_conv"), scene_of("fgsm"), shadowing("single")]
    together, steps = swept(scenes, tmp_path / "together")
    assert (steps["training"], steps["training under attack"]) == (STEPS, STEPS)
    apart = [alone(scene, tmp_path / str(number)) for number, scene in enumerate(scenes)]
    assert [told(record) for record in together] == apart
    assert len({record.outcome for record in together}) == len(scenes)
    assert together[0].training == together[0].untampered
    assert not list((tmp_path / "together" / "begun").iterdir())


def test_isolated_ones_train_for_themselves_and_end_in_the_same_bits(tmp_path: Path) -> None:
    asked = [shadowing(shadow, isolate="once") for shadow in ("two_conv", "single")]
    scenes = spelled_out(asked)
    assert [scene.experiment.isolate for scene in scenes] == [True, False, False]
    assert [shares(scene) for scene in scenes] == [False, True, True]
    (isolated, beside, _), steps = swept(scenes, tmp_path)
    assert steps["training under attack"] == 2 * STEPS
    assert isolated.outcome == beside.outcome != ""


def test_broken_off_they_go_on_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EVERY", 0.0)
    scenes = [shadowing("two_conv"), shadowing("single")]
    broken_off(scenes[0], tmp_path / "cut", EPOCH + 3, scenes[1:])
    found, steps = swept(scenes, tmp_path / "cut")
    assert steps["training under attack"] == STEPS - EPOCH - 2
    assert [told(record) for record in found] == [alone(scene, tmp_path / "alone") for scene in scenes]


@pytest.mark.parametrize("seen", [0, 1])
def test_who_was_not_there_all_the_time_watches_the_rest_alone(
    seen: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "EVERY", 0.0)
    first, other = shadowing("two_conv"), shadowing("single")
    broken_off(first, tmp_path / "cut", EPOCH + 1, [other] * seen)
    broken_off(first, tmp_path / "cut", EPOCH + 3, [])
    found, steps = swept([first, other], tmp_path / "cut")
    assert steps["training under attack"] == 2 * STEPS - EPOCH - 2 - EPOCH * seen
    assert told(found[1]) == alone(other, tmp_path / "alone")


def test_one_whose_state_is_damaged_watches_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EVERY", 0.0)
    first, other = shadowing("two_conv"), shadowing("single")
    broken_off(first, tmp_path / "cut", EPOCH + 3, [other])
    (state,) = begun(other, tmp_path / "cut").folder.glob("step-*/adversary.safetensors")
    state.write_bytes(state.read_bytes()[:-1])
    found, steps = swept([first, other], tmp_path / "cut")
    assert steps["training under attack"] == STEPS - EPOCH - 2 + STEPS
    assert told(found[1]) == alone(other, tmp_path / "alone")


def test_at_once_nobody_trains_what_another_cell_is_training(tmp_path: Path) -> None:
    """Where the victim is there already, too: who would watch waits for the one that lets all watch."""
    swept([scene_of("fgsm", threads=1)], tmp_path / "both")
    scenes = [shadowing("two_conv", threads=1), shadowing("single", threads=1)]
    found, told_of = swept(scenes, tmp_path / "both", jobs=2)
    assert told_of.keys() & {"training", "training under attack"} == {"training under attack"}
    assert told(found[1]) == alone(scenes[1], tmp_path / "alone")


def test_who_has_attended_needs_no_company(tmp_path: Path) -> None:
    scene, others = shadowing("two_conv"), [shadowing("single"), shadowing("multi"), scene_of("fgsm")]
    assert company(scene, [*others, shadowing("single", seed=2)], tmp_path) == others[:2]
    attend([scene, others[0]], tmp_path, quiet)
    assert [attended(one, tmp_path) for one in (scene, *others[:2])] == [True, True, False]
    assert company(scene, others, tmp_path) == company(others[1], [scene], tmp_path) == []


ITS_OWN = '''"""One of one's own."""
from dataclasses import dataclass
import torch
from cutlayer.attack import Guess, TamperingAttack
from cutlayer.message import Kind
from cutlayer.threat import Goal, Knows, Seat, ThreatModel


@dataclass
class Mine(TamperingAttack):
    """It says that it only watches."""

    how: str = "lies"
    paper = plain = "none"
    presets = {}

    @property
    def threat(self):
        return ThreatModel(Seat.SERVER, frozenset({Goal.EVASION}), frozenset({Knows.OWN_PART}), tampers=True)

    @property
    def only_watches(self):
        return True

    def checkpoint(self):
        if self.how == "cannot tell":
            raise RuntimeError("no state")
        steps = torch.tensor(self.steps)
        return {"steps": steps.to_sparse() if self.how == "cannot be kept" else steps}

    def restore(self, tensors):
        self.steps = int(tensors["steps"])
        self.part = float(sum(weight.detach().sum() for weight in self.view.own_part().parameters()))

    def begin(self, view):
        self.view, self.steps, self.part = view, 0, 0.0
        if self.how == "does not begin":
            raise RuntimeError("no beginning")

    def around(self, request, honest):
        if request.kind is not Kind.BACKWARD:
            return honest(request)
        self.view.note(f"part at {self.steps}", self.part)
        self.steps += 1
        if self.how == "fails" and self.steps > 2:
            raise RuntimeError("no further")
        reply = honest(request)
        return reply.replace(grad=-reply["grad"]) if self.how == "lies" else reply

    def infer(self):
        self.view.note("steps", self.steps)
        inputs = torch.full((len(self.view.targets), 1, 28, 28), 0.5)
        return [Guess(Goal.EVASION, {"inputs": inputs}, tuple(self.view.targets))]
'''


def its_own(folder: Path, *ways: str) -> list[Scene]:
    (folder / "attacks").mkdir(parents=True)
    (folder / "attacks" / "mine.py").write_text(ITS_OWN)
    return [scene_of("mine", plugins=folder, options={"mine": {"how": how}}) for how in ways]


@pytest.mark.parametrize("how", ["lies", "fails", "does not begin", "cannot tell", "cannot be kept"])
def test_one_that_does_not_only_watch_does_so_in_a_training_of_its_own(how: str, tmp_path: Path) -> None:
    scenes = its_own(tmp_path / "own", "watches", how)
    (good, bad), _ = swept(scenes, tmp_path / "both")
    assert told(good) == alone(scenes[0], tmp_path / "good")
    assert good.attack.notes["steps"] == STEPS
    if how == "lies":
        assert bad.attack.notes["steps"] == STEPS
        assert [epoch.loss for epoch in bad.training] != [epoch.loss for epoch in good.training]
    else:
        assert bad.status == FAILED


def test_taken_up_it_finds_its_part_where_the_training_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EVERY", 0.0)
    scenes, parts = its_own(tmp_path / "own", "watches", "watches too"), []
    for others in (scenes[1:], []):
        run = tmp_path / str(len(others))
        broken_off(scenes[0], run, EPOCH + 3, others)
        notes = run_cell(scenes[0], run, quiet, others=others).record.attack.notes
        parts.append(notes[f"part at {EPOCH + 2}"])
    assert parts[0] == parts[1] != 0.0


@pytest.mark.parametrize("method", ["checkpoint", "restore"])
def test_one_that_cannot_be_taken_up_watches_for_itself(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scene,) = its_own(tmp_path / "own", "watches")
    assert shares(scene)
    monkeypatch.setattr(type(scene.attack), method, getattr(Attack, method))
    assert not shares(scene)


def full(*arguments: object) -> None:
    raise MemoryError


def test_a_training_that_fails_in_company_is_each_ones_own_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = [shadowing("two_conv"), shadowing("single")]
    with monkeypatch.context() as patched:
        patched.setattr(_Together, "keep", full)
        (first, second), _ = swept(scenes, tmp_path / "both")
    assert [told(first), told(second)] == [alone(scene, tmp_path / "alone") for scene in scenes]


def test_where_all_have_left_nobody_goes_on_training(tmp_path: Path) -> None:
    scenes = its_own(tmp_path / "own", "lies", "fails")
    _, steps = swept(scenes, tmp_path / "both")
    # Together until the third step; then twelve of the one's own, and two of the other's.
    assert steps["training under attack"] == 3 + STEPS + 2


@pytest.mark.parametrize(
    ("values", "may"),
    [
        ({}, True),
        ({"options": {"sladv": {"alpha": 0.1}}}, False),
        ({"patience": 1, "validation_rows": 10, "aux_rows": 16}, False),
        ({"when": "before"}, False),
        ({"isolate": True}, False),
        ({"attack": "fgsm", "options": {}}, False),
    ],
)
def test_who_can_share_a_training(values: dict[str, Any], may: bool) -> None:
    assert shares(scene_of(**values)) == may


def test_an_estimate_counts_what_the_parties_do_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutlayer.sweeping.estimate.attack_pace", lambda scene: Pace(True, watched=100.0))
    monkeypatch.setattr("cutlayer.sweeping.estimate.seconds_of", lambda scene, steps, paces: 90.0 * steps)
    monkeypatch.setattr("cutlayer.sweeping.estimate.training_seconds", lambda scene, run, paces, whom: 0.0)
    first, second = estimates([shadowing("two_conv"), shadowing("single")], tmp_path)
    assert first - second == pytest.approx(90 * STEPS)
