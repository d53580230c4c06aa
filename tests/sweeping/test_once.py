"""``isolate=once``: one cell of a kind runs in a process of its own as well, and speaks for the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cutlayer.record import DONE, FAILED, Record, read_record
from cutlayer.report import write_report
from cutlayer.sweeping.folder import cell_folder
from cutlayer.sweeping.once import Pair, checked, kind, pairs, spelled_out
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
    assert pairs(cells) == {("grey", "vanilla"): Pair(0, 1)}
    isolated, *beside = sweep(cells, tmp_path)
    assert (isolated.isolated, isolated.verified_by) == (True, "")
    name = cell_folder(cells[0], tmp_path).name
    assert [(record.isolated, record.verified_by) for record in beside] == [(False, name)] * 2
    assert isolated.outcome == beside[0].outcome != beside[1].outcome
    kept = [read_record(cell_folder(scene, tmp_path)) for scene in cells]
    assert kept == [isolated, *beside] == sweep(cells, tmp_path)
    page = write_report(tmp_path).read_text()
    assert f"in one of its own, {name} ended in the same bits" in page


def test_what_ends_otherwise_in_another_process_has_failed(tmp_path: Path) -> None:
    cells = cells_of(attacks(tmp_path / "own", spy=ELSEWHERE), "spy", protocol="vanilla")
    isolated, *beside = sweep(cells, tmp_path)
    assert isolated.status == DONE
    assert [record.status for record in beside] == [FAILED] * 2
    assert "ended otherwise than beside the truth" in beside[0].reason
    assert read_record(cell_folder(cells[1], tmp_path)) == beside[0]


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


@pytest.mark.parametrize(
    ("record", "isolated", "beside"),
    [
        ({"isolated": True}, {}, {}),
        ({"isolated": None}, {}, {}),
        ({"status": FAILED}, {}, {}),
        ({}, {"status": FAILED}, {}),
        ({}, {"status": FAILED}, {"status": FAILED}),
        ({"experiment": {"device": "cuda"}}, {"outcome": "a"}, {"outcome": "b"}),
    ],
)
def test_nothing_is_said_of_others(record: dict[str, Any], isolated: dict[str, Any], beside: dict[str, Any]) -> None:
    told = Record(**{"isolated": False, "experiment": {"device": "cpu"}, **record})
    assert checked(told, Record(**isolated), Record(**beside), "name") == told
