"""The ``~`` of every path that is typed behind an equals sign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cutlayer.experiment import make
from cutlayer.grid import axes, grid
from cutlayer.home import all_at_home, at_home, written_out
from cutlayer.recordings.archive import own_code
from tests.calls import call, elsewhere

__all__ = ["call", "elsewhere"]
LISTED = """
from dataclasses import dataclass
from cutlayer.defense import Defense

@dataclass
class Listed(Defense):
    rates: tuple[float, ...] = ()

    def guard(self, message):
        return message
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_it_stands_for_the_home_folder_in_front_alone(home: Path) -> None:
    assert at_home(Path("~/x")) == home / "x"
    assert at_home(Path("~nobody-of-this-name/x")) == Path("~nobody-of-this-name/x")
    assert written_out("~/x.py:build") == f"{home}/x.py:build"
    assert written_out("./a/../~/x") == "./a/../~/x"
    assert all_at_home({"a": [Path("~"), "~"], "b": (Path("~/c"), 1)}) == {"a": [home, "~"], "b": (home / "c", 1)}


@pytest.mark.parametrize("key", ["out", "data_dir", "weights", "plugins"])
def test_every_path_of_an_experiment_may_begin_at_home(home: Path, key: str) -> None:
    (found,) = grid(None, ["attack=unsplit", f"{key}=~/x"])
    assert getattr(found, key) == home / "x"
    assert found == make({"attack": "unsplit", key: home / "x"})


def test_so_may_the_file_of_a_model(home: Path) -> None:
    assert make({"model": "~/net.py:build"}).model == f"{home}/net.py:build"
    assert make({"model": "./net.py:build"}).model == "./net.py:build"


def test_a_list_option_of_a_plugin_at_home_is_one_value(home: Path) -> None:
    (home / "defenses").mkdir()
    (home / "defenses" / "listed.py").write_text(LISTED)
    assert axes({"plugins": "~", "listed.rates": [1, 2]})["listed.rates"] == [[1, 2]]


def test_a_replay_finds_code_at_home(home: Path) -> None:
    assert own_code("net.py:build", "plugins", {"model": "~/net.py:build", "plugins": "~/own"}) == {
        "model": f"{home}/net.py:build",
        "plugins": f"{home}/own",
    }
    assert own_code("dense", "", {}) == {"model": "dense", "plugins": ""}


@pytest.mark.parametrize("command", [("list", "--plugins=~/none"), ("explain", "unsplit", "--plugins=~/none")])
def test_commands_look_for_plugins_there(call: Any, home: Path, command: tuple[str, ...]) -> None:
    code, _, err = call(*command)
    assert (code, err.startswith(f"cutlayer: plugins = '{home}/none' is not a folder")) == (2, True)
