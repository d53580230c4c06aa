"""`--fail-on`: the exit code by which a script knows what an audit has found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cutlayer.record import Record
from tests.calls import call, elsewhere
from tests.cells import STOCHASTIC, attacks
from tests.scenes import PLUGINS, made

__all__ = ["call", "elsewhere", "made"]


@pytest.mark.parametrize(
    ("verdicts", "fail_on", "code"),
    [
        ("no leak,leak", "leak", 1),
        ("partial leak,no leak,not applicable", "leak", 0),
        ("partial leak", "partial", 1),
        ("leak", "partial", 1),
        ("no leak,not applicable", "partial", 0),
        ("failed", "leak", 1),
        ("no leak,failed", "partial", 1),
        ("leak,failed", "", 1),
        ("failed", "", 1),
        ("leak", "", 0),
        ("not applicable", "leak", 1),
        ("not applicable,not applicable", "partial", 1),
        ("not applicable", "", 0),
    ],
)
def test_fail_on_makes_the_exit_code(
    call: Any, monkeypatch: pytest.MonkeyPatch, verdicts: str, fail_on: str, code: int
) -> None:
    records = [Record(verdict=verdict) for verdict in verdicts.split(",")]
    monkeypatch.setattr("cutlayer.commands.audit.audit_all", lambda *arguments: records)
    assert call("audit", *(["--fail-on", fail_on] if fail_on else []))[0] == code


@pytest.mark.usefixtures("made")
def test_where_nothing_was_measured_nothing_is_green(call: Any) -> None:
    arguments = ("audit", "attack=unsplit", "protocol=vanilla", "cut=0", "offers=class_prior", "isolate=false")
    arguments += (f"model={STOCHASTIC}",)
    told = "--fail-on leak: no cell has a verdict, so nothing is known of what leaks\n"
    assert told not in call(*arguments)[2]
    code, _, err = call(*arguments, "--fail-on", "leak")
    assert (code, err.endswith(told)) == (1, True)


@pytest.mark.usefixtures("made")
def test_a_perfect_guess_is_a_leak_to_fail_on(call: Any) -> None:
    """The cheating attack of the isolation tests, in one process with the truth."""
    arguments = ("audit", f"plugins={PLUGINS}", "model=stochastic", "protocol=vanilla", "cut=1", "epochs=0", "--json")
    code, out, _ = call(*arguments, "attack=cheat", "isolate=false", "--fail-on", "leak")
    assert code == 1
    assert json.loads(out)["verdict"] == "leak"
    assert json.loads(out)["scores"][0]["advantage"] == 1.0


@pytest.mark.usefixtures("made")
def test_a_failed_cell_fails_whatever_is_asked_for(call: Any, tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", crash='raise RuntimeError("no [red]\\nway")')
    arguments = (
        "audit",
        f"plugins={plugins}",
        "attack=crash",
        "protocol=vanilla",
        "cut=1",
        "isolate=false",
        f"model={STOCHASTIC}",
    )
    code, _, err = call(*arguments)
    assert (code, err.splitlines()[-1]) == (1, "1 of 1 cells failed")
    assert "failed: crash in vanilla, cut 1, seed 1: RuntimeError: no [red]\n" in err
    assert "Traceback" not in err
    assert call(*arguments, "--fail-on", "leak")[0] == 1
