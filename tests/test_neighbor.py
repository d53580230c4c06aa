"""Files beside a user's own: found, imported, told apart."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from cutlayer import registry
from cutlayer.neighbor import neighbors
from cutlayer.registry import PluginError


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(folder: Path, **texts: str) -> Path:
    """``net.py`` and others in ``folder``."""
    for name, text in texts.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "net.py"


def test_a_file_imports_what_lies_beside_it(tmp_path: Path) -> None:
    net = written(tmp_path, net="from near_layers import SIDE", near_layers="import near_sides\nSIDE = near_sides.SIDE")
    written(tmp_path, near_sides="SIDE = 3")
    paths = list(sys.path)
    assert registry.from_file(net, "cutlayer_user.net").SIDE == 3
    assert sys.path == paths
    assert neighbors(net) == {name: (tmp_path / f"{name}.py",) for name in ("near_layers", "near_sides")}


def test_a_plugin_does_too(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    written(tmp_path / "models", net="from _near_layers import SIDE", _near_layers="SIDE = 5")
    assert registry.module("models", "net", tmp_path).SIDE == 5


def test_a_folder_on_the_path_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = written(tmp_path, net="import near_layers", near_layers="")
    monkeypatch.syspath_prepend(tmp_path)
    registry.from_file(net, "cutlayer_user.net")
    assert sys.path[0] == str(tmp_path)
    assert list(neighbors(net)) == ["near_layers"]


def test_imports_are_seen_wherever_they_stand_and_of_a_package_all_files(tmp_path: Path) -> None:
    lines = ("import sys, torch, gone", "from . import near_c", "def build():", "    import near_a.one, near_b")
    net = written(tmp_path, net="\n".join(lines), near_b="def broken(:", near_c="", near_d="", sys="", torch="")
    written(tmp_path / "near_a", __init__="", one="from near_d import x")
    assert neighbors(net) == {
        "near_a": (tmp_path / "near_a" / "__init__.py", tmp_path / "near_a" / "one.py"),
        "near_b": (tmp_path / "near_b.py",),
        "near_d": (tmp_path / "near_d.py",),
    }


def test_what_is_installed_stands_before_a_neighbor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in often has the name of the library that it wraps."""
    net = written(tmp_path, net="from near_library import SIDE", near_library="SIDE = 3")
    written(tmp_path / "installed", near_library="SIDE = 11")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    assert registry.from_file(net, "cutlayer_user.net").SIDE == 11
    assert neighbors(net) == {}


def test_two_neighbors_of_one_name_are_not_taken_for_each_other(tmp_path: Path) -> None:
    one, two = (
        written(tmp_path / side, net="from near_layers import SIDE", near_layers=f"SIDE = {side!r}") for side in "ab"
    )
    assert registry.from_file(one, "cutlayer_user.net").SIDE == "a"
    with pytest.raises(PluginError, match=r"near_layers is .*/a/near_layers.py already, not .*/b: rename one of the"):
        registry.from_file(two, "cutlayer_user.net")
    assert registry.from_file(one, "cutlayer_user.net").SIDE == "a"


def test_what_failed_is_read_again_when_mended(tmp_path: Path) -> None:
    net = written(tmp_path, net="import near_layers\nfrom near_sides import SIDE", near_layers="", near_sides="1 / 0")
    with pytest.raises(PluginError, match=r"net\.py cannot be imported: ZeroDivisionError"):
        registry.from_file(net, "cutlayer_user.net")
    assert "near_layers" not in sys.modules
    written(tmp_path, near_sides="SIDE = 7")
    assert registry.from_file(net, "cutlayer_user.net").SIDE == 7


def test_a_neighbor_that_was_edited_is_read_anew_by_all_that_import_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that was not stays the same module for all of them: its classes are the same."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    net = written(tmp_path, net="import near_layers\nimport near_sides", other="import near_layers\nimport near_sides")
    written(tmp_path, near_layers="import near_deep\nSIDE = near_deep.SIDE", near_deep="SIDE = 3", near_sides="")
    files = {"cutlayer_user.net": net, "cutlayer_user.other": tmp_path / "other.py"}

    def loaded() -> list[ModuleType]:
        registry.refresh()
        return [registry.from_file(path, name) for name, path in files.items()]

    before, same = loaded(), loaded()
    assert before == same
    # As long as it was, and within the same second.
    written(tmp_path, near_deep="SIDE = 4")
    one, other = loaded()
    assert [module.near_layers.SIDE for module in (before[0], one, other)] == [3, 4, 4]
    assert one.near_layers is other.near_layers
    assert one.near_sides is before[0].near_sides
    assert not list(tmp_path.rglob("*.pyc"))


def test_what_a_notebook_has_imported_itself_is_no_neighbor_of_unknown_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = written(tmp_path, net="from near_notes.sides import SIDE")
    written(tmp_path / "near_notes", __init__="", sides="SIDE = 3")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert import_module("near_notes.sides").SIDE == 3
    written(tmp_path / "near_notes", sides="SIDE = 4")
    assert registry.from_file(net, "cutlayer_user.net").SIDE == 4
