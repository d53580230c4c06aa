"""Command lines called in this process, for the tests of commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from cutlayer import cli


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs land in the test's own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """The exit code, standard output and standard error of a command line."""
    # Made data are in this process alone, in which cells go one after another where there is one core.
    monkeypatch.setattr(os, "cpu_count", lambda: 1)

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cutlayer", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        assert isinstance(code, int)
        return code, *capfd.readouterr()

    return called
