"""``isolate=once``: one cell of a kind runs in a process of its own as well, and speaks for the others."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cutlayer.record import DONE, FAILED, Record, read_record
from cutlayer.report import write_report
from cutlayer.sweeping.folder import cell_folder
from cutlayer.sweeping.once import Pair, Proof, checked, kind, pairs, spelled_out
from cutlayer.sweeping.sweep import Sweep
from cutlayer.sweeping.watcher import Unwatched
from tests.cells import GREY, STOCHASTIC, attacks, sweep
from tests.scenes import made, scene_of, scenes_of

__all__ = ["made"]
pytestmark = pytest.mark.usefixtures("made")
# An attack that guesses otherwise where it is alone.
ELSEWHERE = f"""import os
        grey = torch.full((len(self.view.targets), 1, 8, 8), 0.5 if os.getpid() == {os.getpid()} else 0.75)
        return [Guess(Goal.INPUTS, {{"inputs": grey}}, self.view.targets)]"""


def cells_of(own: Path, attack: str, **values: Any) -> list[Any]:
    given = {"plugins": own, "model": STOCHASTIC, "attack": attack, "epochs": 1, "isolate": "once", **values}
    return spelled_out(scenes_of(**given))


def test_the_first_cell_of_a_kind_runs_both_ways_and_speaks_for_the_others(tmp_path: Path) -> None:
    cells = cells_of(attacks(tmp_path / "own", grey=GREY), "grey", protocol="vanilla")
    assert [(scene.experiment.cut, scene.isolated) for scene in cells] == [("1", True), ("1", False), ("3", False)]
    assert pairs(cells) == {("grey", "", "vanilla"): [Pair(0, 1)]}
    isolated, *beside = sweep(cells, tmp_path)
    assert (isolated.isolated, isolated.verified_by) == (True, "")
    name = cell_folder(cells[0], tmp_path).name
    assert [(record.isolated, record.verified_by) for record in beside] == [(False, name)] * 2
    assert isolated.outcome == beside[0].outcome != beside[1].outcome
    kept = [read_record(cell_folder(scene, tmp_path)) for scene in cells]
    assert kept == [isolated, *beside]
    assert sorted(sweep(cells, tmp_path), key=lambda record: record.fingerprint) == sorted(
        [isolated, *beside], key=lambda record: record.fingerprint
    )
    page = write_report(tmp_path).read_text()
    assert f"in one of its own, {name} ended in the same bits" in page


def test_what_ends_otherwise_in_another_process_has_failed_and_speaks_for_nobody(tmp_path: Path) -> None:
    cells = cells_of(attacks(tmp_path / "own", spy=ELSEWHERE), "spy", protocol="vanilla")
    isolated, beside, other = sweep(cells, tmp_path)
    assert (isolated.status, beside.status) == (DONE, FAILED)
    assert "it ended otherwise" in beside.reason
    assert (other.status, other.verified_by) == (DONE, "")
    assert read_record(cell_folder(cells[1], tmp_path)) == beside


def test_what_was_finished_before_is_told_first_and_verified_when_the_pair_is_there(tmp_path: Path) -> None:
    own = attacks(tmp_path / "own", grey=GREY)
    former = cells_of(own, "grey", protocol="vanilla", cut="3", isolate=False)
    sweep(former, tmp_path)
    cells = cells_of(own, "grey", protocol="vanilla")
    found = list(Sweep(cells, tmp_path, "cutlayer audit").records(Unwatched()))
    assert [number for number, _ in found] == [2, 0, 1]
    kept = read_record(cell_folder(cells[2], tmp_path))
    assert kept is not None
    assert kept.verified_by == cell_folder(cells[0], tmp_path).name


def test_each_attack_in_each_protocol_is_a_kind_and_a_client_holds_the_truth_anyway(tmp_path: Path) -> None:
    given = {"epochs": 1, "isolate": "once", "model": STOCHASTIC}
    scenes = [
        scene_of(**given, protocol="vanilla", cut="1", attack="insider"),
        scene_of(**given, protocol="vanilla", cut="1"),
        scene_of(**given, protocol="u_shaped", cut="1:3"),
        scene_of(**{**given, "isolate": True}, protocol="vanilla", cut="3"),
        scene_of(**given, protocol="vanilla", cut="3"),
    ]
    cells = spelled_out(scenes)
    assert [scene.isolated for scene in cells] == [False, True, False, True, False, True, False]
    assert [scene.experiment.isolate for scene in cells].count("once") == 0
    assert set(pairs(cells)) == {kind(scenes[1]), kind(scenes[2])}


def test_an_attack_under_another_is_a_kind_of_its_own_and_asked_for_twice_a_cell_runs_once() -> None:
    given = {"epochs": 1, "isolate": "once", "model": STOCHASTIC, "protocol": "vanilla", "cut": "1"}
    alone, insider = scene_of(**given), scene_of(**given, attack="insider")
    under = [replace(alone, experiment=alone.experiment.model_copy(update={"under": "insider"}), under=insider)]
    assert [scene.isolated for scene in spelled_out([alone, *under])] == [True, False, False]
    assert set(pairs(spelled_out([alone, *under]))) == {kind(alone)}
    yes = scene_of(**{**given, "isolate": True})
    assert [scene.isolated for scene in spelled_out([yes, alone, alone])] == [True, False]


def told(**values: Any) -> Record:
    same = {"code": {"commit": "1", "dirty": False}, "environment": {"torch": "2"}, "experiment": {"device": "cpu"}}
    return Record(**{"isolated": False, "outcome": "a", "fingerprint": "own", **same, **values})


@pytest.mark.parametrize(
    ("record", "isolated", "beside"),
    [
        ({"isolated": True}, {}, {}),
        ({"isolated": None}, {}, {}),
        ({"status": FAILED}, {}, {}),
        ({}, {"status": FAILED}, {}),
        ({}, {"outcome": ""}, {"outcome": ""}),
        ({}, {"outcome": ""}, {}),
        ({}, {"code": {"commit": "2", "dirty": False}}, {}),
        ({"code": {"commit": "1", "dirty": True}}, {}, {}),
        ({}, {"environment": {"torch": "3"}}, {}),
        ({"experiment": {"device": "cuda"}}, {}, {"outcome": "b"}),
        ({"fingerprint": "another"}, {}, {"outcome": "b"}),
    ],
)
def test_nothing_is_said_of_others(record: dict[str, Any], isolated: dict[str, Any], beside: dict[str, Any]) -> None:
    """And what was said before goes."""
    proof = Proof(told(isolated=True, fingerprint="alone", **isolated), told(**beside), "name")
    stale = told(**{"verified_by": "former", **record})
    assert checked(stale, [proof]) == stale.model_copy(update={"verified_by": ""})


def test_one_pair_that_differs_leaves_the_others_unverified() -> None:
    good = Proof(told(isolated=True, fingerprint="alone"), told(), "good")
    bad = Proof(told(isolated=True, fingerprint="second"), told(fingerprint="second beside", outcome="b"), "bad")
    assert checked(told(), [good]).verified_by == "good"
    assert checked(told(), [good, bad]).verified_by == ""
    assert checked(told(fingerprint="second beside"), [good, bad]).status == FAILED
