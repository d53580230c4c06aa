"""The package started as a module."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest

from cutlayer import __version__


def test_the_package_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["cutlayer", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("cutlayer", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    assert capsys.readouterr() == (f"{__version__}\n", "")


@pytest.mark.slow
def test_a_process_of_its_own_says_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-m", "cutlayer", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")
