"""`cutlayer record` and `replay` as they are typed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cutlayer.commands.record import record_all, replay_all
from cutlayer.experiment import ExperimentError
from cutlayer.record import DONE, NOT_APPLICABLE, read_record
from cutlayer.recording import bytes_of
from cutlayer.sweeping import audit

SMALL = ("train_rows=64", "test_rows=40", "epochs=1", "isolate=false", "cut=1", "protocol=vanilla")
SHORT = ("unsplit.rounds=1", "unsplit.input_steps=2", "unsplit.model_steps=2", "unsplit.restarts=1")


def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_what_is_recorded_is_replayed_with_the_scores_of_an_audit(tmp_path: Path) -> None:
    (live,) = audit(*SMALL, *SHORT, "attack=unsplit", f"out={tmp_path}", "name=live")
    told = console()
    (recording,) = record_all(
        None, [*SMALL, *SHORT, "attack=unsplit", f"out={tmp_path}", "name=mine"], "50MB", True, told
    )
    assert isinstance(told.file, io.StringIO)
    assert "training: 1 exchanges" in told.file.getvalue()
    said = console()
    records, report = replay_all(recording.folder, [*SHORT, "attack=unsplit,fsha", "link=dsl"], "typed", said)
    assert [one.status for one in records] == [DONE, NOT_APPLICABLE]
    assert records[0].scores == live.scores
    assert (records[0].recording, records[0].command, records[0].link) == (recording.folder.name, "typed", "dsl")
    assert records[0].link_seconds is not None
    assert report == tmp_path / "mine" / "replays" / recording.folder.name / "report.html"
    assert len([read_record(path) for path in (report.parent / "cells").iterdir()]) == 2
    assert isinstance(said.file, io.StringIO)
    assert "it tampers with messages: a recording answers nobody" in said.file.getvalue()
    with pytest.raises(ExperimentError, match="cut was settled when this was recorded; a replay takes attack, steps"):
        replay_all(recording.folder, ["cut=3"], "typed", said)
    with pytest.raises(ExperimentError, match="did you mean 'attack'"):
        replay_all(recording.folder, ["atack=unsplit"], "typed", said)
    with pytest.raises(ExperimentError, match="options are given for 'unsplit', which the experiment does not use"):
        replay_all(recording.folder, ["attack=fsha", "unsplit.rounds=2"], "typed", said)
    with pytest.raises(ExperimentError, match="holds no recording"):
        replay_all(tmp_path, [], "typed", said)


@pytest.mark.parametrize(("text", "size"), [("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("64kB", 64_000)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["5x", "", "MB", "-1MB", "0GB", "1TB"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ExperimentError, match="such as 500MB"):
        record_all(None, [], text, True, console())
