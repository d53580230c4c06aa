"""Names of plug-in files: those that an experiment can say, and the others, refused when their folder is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cutlayer import registry
from cutlayer.data.auxiliary import OWN_SPLITS
from cutlayer.experiment import AUTO, Experiment, ExperimentError
from cutlayer.grid import grid
from cutlayer.registry import PluginError
from tests.calls import call, elsewhere
from tests.cells import GREY, STOCHASTIC, attacks
from tests.scenes import made, scene_of

__all__ = ["call", "elsewhere", "made"]
MEANT = {"defenses": [Experiment.model_fields["defense"].default], "protocols": [AUTO], "datasets": [AUTO, *OWN_SPLITS]}


def holding(tmp_path: Path, folder: str, *names: str) -> Path:
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in names:
        (tmp_path / folder / f"{name}.py").write_text(f'"""It is {name}."""')
    return tmp_path


@pytest.mark.parametrize("name", ["a+b", "my.attack", "a,b", "a=b", "a:b", "a b", "-a", "[a]", "'a'", "a#"])
def test_a_name_that_the_command_line_takes_apart_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match=r"\.py cannot be named so: a plug-in's name is of letters, digits, _ and -"):
        registry.names("attacks", holding(tmp_path, "attacks", name))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        *((folder, name) for folder, names in MEANT.items() for name in names),
        *(("attacks", name) for name in ("grid", "options")),
    ],
)
def test_a_word_that_means_something_else_is_refused(tmp_path: Path, folder: str, name: str) -> None:
    with pytest.raises(PluginError, match=rf"{name}\.py cannot be named so: {name} means something else in an experi"):
        registry.names(folder, holding(tmp_path, folder, name))


def test_other_names_are_kept(tmp_path: Path) -> None:
    names = {"my-attack", "default", "a1", "Größe", "test", "x_", "7", "1e3", "true", "nan"}
    assert names <= set(registry.names("attacks", holding(tmp_path, "attacks", *names, "_helper")))
    assert [found.attack for found in grid(None, [f"attack={','.join(sorted(names))}"])] == sorted(names)


@pytest.mark.usefixtures("made")
def test_it_is_refused_where_nothing_asks_for_it(tmp_path: Path) -> None:
    """A file none.py would be passed over without a word: the usual defense is none."""
    with pytest.raises(ExperimentError, match=r"none\.py cannot be named so"):
        scene_of(attack="unsplit", cut="0", model=STOCHASTIC, plugins=holding(tmp_path, "defenses", "none"))


@pytest.mark.parametrize("arguments", [("list", "--plugins", "own/attacks"), ("audit", "plugins=own/attacks")])
def test_a_folder_one_too_deep_is_a_mistake_that_names_the_file_in_it(
    call: Any, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    attacks(tmp_path / "own", mine=GREY)
    code, out, err = call(*arguments)
    assert (code, out, err) == (
        2,
        "",
        "cutlayer: plugins = 'own/attacks' has mine.py at its top, where no plug-in is read; it holds folders such as "
        "attacks/, defenses/\n",
    )


def test_a_list_of_plugins_has_those_beside_a_broken_one(call: Any, tmp_path: Path) -> None:
    plugins = attacks(tmp_path / "own", mine=GREY)
    (plugins / "attacks" / "broken.py").write_text("1 / 0")
    holding(plugins, "defenses", "none", "muffle")
    code, out, err = call("list", "--plugins", str(plugins))
    assert code == 1
    for shown in ("unsplit", "It is mine.", "It is muffle.", "gaussian_noise", "optimizer_state"):
        assert shown in out, shown
    first, second = err.splitlines()
    place = plugins.resolve()
    assert first == f"cutlayer: {place}/attacks/broken.py cannot be imported: ZeroDivisionError: division by zero"
    assert second.startswith(f"cutlayer: {place}/defenses/none.py cannot be named so: none means something else")
