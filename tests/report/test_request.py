"""A report on a run whose last command has not come to its end."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from cutlayer.auditing.outline import fingerprint
from cutlayer.layout import RunFolder
from cutlayer.record import NOT_APPLICABLE, Cell, Record, write_record
from cutlayer.scene.scene import Scene
from cutlayer.sweeping.folder import cell_folder
from cutlayer.sweeping.sweep import Sweep
from cutlayer.sweeping.watcher import Unwatched
from tests.cells import sweep
from tests.report.made_run import made_record, save
from tests.report.test_page import page_of
from tests.scenes import made, scene_of

__all__ = ["made"]


def told(scene: Scene, run: Path, *_: object) -> None:
    """In the place of a cell that runs: a record of what did not apply."""
    record = Record(fingerprint=fingerprint(scene), cell=Cell(attack="spy"))
    write_record(cell_folder(scene, run), record.ended(NOT_APPLICABLE, "it is no cell"))


@pytest.mark.usefixtures("made")
def test_what_the_last_command_has_not_come_to_is_told_and_what_earlier_ones_asked_for_is_not(tmp_path: Path) -> None:
    cells = [scene_of(cut="1", seed=seed, isolate=False) for seed in (1, 2, 3)]

    def interrupted(count: int) -> str:
        records = Sweep(cells[:count], tmp_path, "").records(Unwatched())
        next(records)
        records.close()
        return page_of(tmp_path).text

    with patch("cutlayer.sweeping.sweep.attempt", told):
        assert "1 of 3 cells that the last command asked for has run; 2 have not." in interrupted(3)
        for count in (1, 2):
            assert len(sweep(cells[:count], tmp_path)) == count
            assert "the last command" not in page_of(tmp_path).text
        # What is there already comes first: this one ends before it has run anything.
        assert "2 of 3 cells that the last command asked for have run; 1 has not." in interrupted(3)
    RunFolder(tmp_path).request.unlink()
    assert "the last command" not in page_of(tmp_path).text


@pytest.mark.usefixtures("made")
def test_a_command_that_has_run_nothing_has_left_its_request(tmp_path: Path) -> None:
    scene = scene_of(cut="1", isolate=False)
    assert not list(Sweep([scene], tmp_path, "", until=0).records(Unwatched()))
    assert RunFolder(tmp_path).request.read_text().splitlines() == [cell_folder(scene, tmp_path).name]
    text = page_of(tmp_path).text
    assert "This run holds no cells yet." in text
    assert "0 of 1 cells that the last command asked for have run; 1 has not." in text


def test_cells_that_have_not_run_are_none_that_ran_to_their_end(tmp_path: Path) -> None:
    save(tmp_path, made_record("unsplit", 1, 1, 0.5))
    save(tmp_path, made_record("unsplit", 3, 1, 0.5) | {"status": "failed", "reason": "no room", "scores": []})
    assert "1 of 2ran to their end" in page_of(tmp_path).text
    RunFolder(tmp_path).request.write_text("001-unsplit\n002-unsplit\n003-unsplit\n")
    text = page_of(tmp_path).text
    assert "1 of 4ran to their end" in text
    assert "1 of 3 cells that the last command asked for has run; 2 have not." in text
