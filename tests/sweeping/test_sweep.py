"""Sweeps: what is finished is looked up, what fails fails alone, what does not apply says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from cutlayer.record import DONE, FAILED, NOT_APPLICABLE
from cutlayer.report import summary_tables, write_report
from cutlayer.sweeping.folder import cell_folder, finished
from cutlayer.sweeping.sweep import Sweep, attempt
from cutlayer.sweeping.watcher import Unwatched
from tests.cells import GREY, LABELS, STOCHASTIC, UNSPLIT, attacks, quiet, sweep
from tests.scenes import made, scene_of, scenes_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
def test_finished_cells_are_looked_up(tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", counting=GREY)
    values = {"plugins": plugins, "model": STOCHASTIC, "attack": "counting", "protocol": "vanilla", "isolate": False}
    scenes = scenes_of(**values, epochs=1)
    first = sweep(scenes, tmp_path)
    assert [record.cell.cut for record in first] == ["1", "3"]
    folders = {scene.experiment.cut: cell_folder(scene, tmp_path) for scene in scenes}
    for spoiled in ('{"status": "done", "fing', first[1].model_copy(update={"status": FAILED}).model_dump_json()):
        (folders["3"] / "record.json").write_text(spoiled)
        stamp = (folders["1"] / "record.json").stat().st_mtime_ns
        again = sweep(scenes, tmp_path)
        assert (folders["1"] / "record.json").stat().st_mtime_ns == stamp
        assert again[0] == first[0]
        assert [record.status for record in again] == [DONE] * 2
        assert all(finished(scene, tmp_path) for scene in scenes)
    # The attack itself is changed: what it guessed before says nothing any more.
    attacks_file = plugins / "attacks" / "counting.py"
    attacks_file.write_text(attacks_file.read_text() + "# another\n")
    assert not any(finished(scene, tmp_path) for scene in scenes_of(**values, epochs=1))


@pytest.mark.usefixtures("made")
def test_a_cell_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    plugins = attacks(
        tmp_path / "own", crash='raise RuntimeError("no\\nway")', nan="return [Guess(Goal.INPUTS, {}, ())]", good=GREY
    )
    values = {"plugins": plugins, "model": STOCHASTIC, "protocol": "vanilla", "cut": "1", "epochs": 1}
    scenes = [scene_of(**values, attack=name, isolate=name == "crash") for name in ("crash", "nan", "good")]
    records = sweep(scenes, tmp_path)
    assert [record.status for record in records] == [FAILED, FAILED, DONE]
    assert [record.verdict for record in records][:2] == [FAILED, FAILED]
    assert records[0].reason == "IsolatedError: the attack failed: RuntimeError: no"
    assert "is about 0 samples, not the 4 targets" in records[1].reason
    assert "way" in (cell_folder(scenes[0], tmp_path) / "error.txt").read_text()
    assert finished(scenes[0], tmp_path) is None
    assert records[0].threat.plain == "It is crash."
    assert write_report(tmp_path).is_file()
    assert sum(table.row_count for table in summary_tables(records)) >= 2


@pytest.mark.usefixtures("made")
def test_what_is_finished_outlives_a_later_failure_and_nothing_of_a_failure_a_later_success(tmp_path: Path) -> None:
    values = {"plugins": attacks(tmp_path / "own", good=GREY), "model": STOCHASTIC, "isolate": False, "cut": "1"}
    scene = scene_of(**values, attack="good", protocol="vanilla", epochs=1)
    folder, broken = cell_folder(scene, tmp_path), patch("cutlayer.sweeping.sweep.run_cell", side_effect=MemoryError)
    with broken:
        assert sweep([scene], tmp_path)[0].status == FAILED
    assert (folder / "error.txt").is_file()
    (record,) = sweep([scene], tmp_path)
    assert record.status == DONE
    assert not (folder / "error.txt").exists()
    # Another command that has begun before the record was there fails, or its worker is lost behind it.
    run = Sweep([scene], tmp_path, "")
    with broken:
        attempt(scene, tmp_path, "", quiet, None)
    run._lost(scene, -9)
    assert finished(scene, tmp_path) == record
    assert not (folder / "error.txt").exists()


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({**LABELS, "protocol": "vanilla"}, "the client sends its labels to the server"),
        ({**UNSPLIT, "offers": ()}, "the experiment does not offer peer_architecture"),
        ({**UNSPLIT, "protocol": "label_only", "cut": "3"}, "in label_only the inputs and the first part are"),
        ({**LABELS, "offers": ("peer_architecture",)}, "the experiment does not offer peer_gradients"),
    ],
)
def test_what_does_not_apply_says_why(tmp_path: Path, values: dict[str, Any], reason: str) -> None:
    scene = scene_of(isolate=False, **values)
    (record,) = sweep([scene], tmp_path)
    assert (record.status, record.verdict) == (NOT_APPLICABLE, NOT_APPLICABLE)
    assert reason in record.reason
    assert not (tmp_path / "victims").exists()
    assert finished(scene, tmp_path) == record


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("jobs", [1, 2])
def test_no_process_is_started_for_what_is_known_not_to_apply(tmp_path: Path, jobs: int) -> None:
    scenes = [scene_of(**UNSPLIT, offers=(), seed=seed) for seed in (1, 2)]
    started = ConnectionError("started")
    with (
        patch("cutlayer.isolated.process.PipedProcess", side_effect=started),
        patch("cutlayer.sweeping.sweep.Pool.give", side_effect=started),
    ):
        records = Sweep(scenes, tmp_path, "cutlayer audit", jobs).records(Unwatched())
        assert [record.status for _, record in records] == [NOT_APPLICABLE] * 2


@pytest.mark.usefixtures("made")
def test_a_process_is_started_for_a_cell_that_lives_in_one(tmp_path: Path) -> None:
    """A malicious client runs beside the truth: its cell would throw the process away."""
    values = {"protocol": "vanilla", "cut": "1", "epochs": 1}
    insider, spy = scene_of(**values, attack="insider"), scene_of(**values)
    over_grpc = scene_of(**values, carrier="grpc")
    assert [(scene.isolated, scene.in_a_pipe) for scene in (insider, spy, over_grpc)] == [
        (False, False),
        (True, True),
        (True, False),
    ]
    with patch("cutlayer.isolated.process.PipedProcess", side_effect=ConnectionError("started")):
        assert [record.status for record in sweep([insider, insider], tmp_path)] == [DONE] * 2
        with pytest.raises(ConnectionError, match="started"):
            sweep([spy], tmp_path)


@pytest.mark.usefixtures("made")
def test_a_curve_that_is_not_finite_is_kept_and_a_record_that_cannot_be_read_is_a_failed_cell(tmp_path: Path) -> None:
    noting = 'self.view.note("curve", [1.0, float("nan")])\n        ' + GREY
    values = {"plugins": attacks(tmp_path / "own", noting=noting), "model": STOCHASTIC, "isolate": False}
    scenes = scenes_of(**values, attack="noting", protocol="vanilla", cut="1", epochs=1)
    (record,) = sweep(scenes, tmp_path)
    assert (record.status, record.attack.curves) == (DONE, {"curve": [1.0, None]})
    with patch("cutlayer.sweeping.sweep.write_record", lambda folder, *rest: (folder / "record.json").write_text("{")):
        (cell_folder(scenes[0], tmp_path) / "record.json").unlink()
        (record,) = sweep(scenes, tmp_path)
    assert record.status == FAILED
    assert record.reason.startswith("its record cannot be read: ")
