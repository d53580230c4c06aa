"""Attacks that end the process, and what cannot be kept or read: a failed cell each, which says why."""

from __future__ import annotations

import os
from multiprocessing.connection import Pipe
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from cutlayer.record import DONE, FAILED
from cutlayer.report.evidence import read_run
from cutlayer.reproduction.found import find
from cutlayer.sweeping import worker
from cutlayer.sweeping.estimate import estimates
from cutlayer.sweeping.folder import cell_folder, finished
from cutlayer.sweeping.pool import Dismissed, WorkerEnd
from cutlayer.sweeping.sweep import attempt
from tests.cells import GREY, STOCHASTIC, attacks, quiet, sweep
from tests.scenes import made, scene_of

__all__ = ["made"]


@pytest.mark.usefixtures("made")
def test_an_attack_that_ends_the_process_fails_its_cell_alone(tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", ends="raise SystemExit(0)", stops="raise KeyboardInterrupt", good=GREY)
    values = {"plugins": plugins, "model": STOCHASTIC, "protocol": "vanilla", "cut": "1", "isolate": False, "epochs": 1}
    ends, stops, good = (scene_of(**values, attack=name) for name in ("ends", "stops", "good"))
    rehearsed = estimates([ends, good], tmp_path)
    assert [seconds > 0 for seconds in rehearsed] == [False, True]
    records = sweep([ends, good], tmp_path)
    assert [record.status for record in records] == [FAILED, DONE]
    assert records[0].reason == "SystemExit: 0"
    for interrupted in (lambda: estimates([stops], tmp_path), lambda: sweep([stops], tmp_path)):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert finished(stops, tmp_path) is None
    # A worker that is to end is no failure of the cell it is at.
    with patch("cutlayer.sweeping.sweep.run_cell", side_effect=Dismissed(143)), pytest.raises(Dismissed):
        attempt(stops, tmp_path, "", quiet, None)
    assert not cell_folder(stops, tmp_path).exists()


@pytest.mark.usefixtures("made")
def test_what_cannot_be_kept_is_a_failed_cell(tmp_path: Path) -> None:
    noting = 'self.view.notes["it"] = torch.tensor(1.0)\n        ' + GREY
    plugins = attacks(tmp_path / "own", odd=noting, good=GREY)
    values = {"plugins": plugins, "model": STOCHASTIC, "protocol": "vanilla", "cut": "1", "isolate": False, "epochs": 1}
    scenes = [scene_of(**values, attack=name) for name in ("odd", "good")]
    records = sweep(scenes, tmp_path)
    assert [record.status for record in records] == [FAILED, DONE]
    assert records[0].reason.startswith("PydanticSerializationError: Unable to serialize unknown type")
    assert (cell_folder(scenes[0], tmp_path) / "error.txt").is_file()


@pytest.mark.usefixtures("made")
def test_a_record_without_an_attack_is_none(tmp_path: Path) -> None:
    values = {"plugins": attacks(tmp_path / "own", good=GREY), "model": STOCHASTIC, "isolate": False, "cut": "1"}
    scene = scene_of(**values, attack="good", protocol="vanilla", epochs=1)
    (record,) = sweep([scene], tmp_path)
    other = tmp_path / "cells" / "other"
    other.mkdir()
    (other / "record.json").write_text("{}")
    found = find([tmp_path])
    assert [run.record for run in found.runs] == [record]
    assert found.unread == [f"{other / 'record.json'}: left out, it cannot be read: it names no attack"]
    assert found.groups(lambda scale: (), {}) == []
    seen = [(item.record.status, item.record.reason) for item in read_run(tmp_path)]
    assert seen == [(FAILED, "other/record.json could not be read: it names no attack"), (DONE, "")]


def test_a_worker_that_is_dismissed_ends_with_the_code_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Pipe()
    monkeypatch.setattr(worker, "settle", Mock(side_effect=Dismissed(143)))
    monkeypatch.setattr(worker, "signal", Mock())
    ours.send_bytes(b'{"experiment": {}}')
    line = str(os.dup(theirs.fileno()))
    with pytest.raises(SystemExit, match="143"):
        worker.main(["", line])
    ours.close()
    with pytest.raises(Dismissed, match="1"):
        WorkerEnd(["", str(os.dup(theirs.fileno()))]).tell("done")
    theirs.close()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"scores": [{"goal": "inputs", "metric": "ssim", "value": "much"}]}', "scores.0.value: must be a valid numb"),
        ('{"cell": {"attack": "pgd"}, "seconds": []}', "seconds: must be a valid number"),
        ('{"scores": 3}', "scores: must be a valid array"),
        ("[1]", "must be an object"),
        ('{"status": ', "Invalid JSON: EOF while parsing a value at line 1 column 11"),
    ],
)
def test_a_record_that_does_not_fit_says_where_in_one_sentence(tmp_path: Path, content: str, why: str) -> None:
    folder = tmp_path / "cells" / "torn"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(content)
    (line,) = find([tmp_path]).unread
    assert line.startswith(f"{folder / 'record.json'}: left out, it cannot be read: {why}")
    (seen,) = read_run(tmp_path)
    assert seen.record.reason.startswith(f"torn/record.json could not be read: {why}")
    assert "\n" not in line + seen.record.reason
    assert "validation error" not in line + seen.record.reason
