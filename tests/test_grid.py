"""Lists in experiments: a sweep of several values, or one value where values are lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cutlayer.commands.given import file_and_overrides
from cutlayer.experiment import ExperimentError
from cutlayer.grid import axes, grid, override

LATER = "surrogate_client.later_alphas"
OWN = """
from dataclasses import dataclass
from cutlayer.defense import Defense

@dataclass
class Listed(Defense):
    rates: tuple[float, ...] = ()
    rate: float = 0.5

    def guard(self, message):
        return message
"""


def listed(tmp_path: Path, written: str) -> list[object]:
    """The values of the option in the cells of a file that has ``written`` for it."""
    file = tmp_path / "trial.toml"
    file.write_text(f'attack = "surrogate_client"\n[surrogate_client]\nlater_alphas = {written}\n')
    return [found.options["surrogate_client"]["later_alphas"] for found in grid(file, [])]


def test_a_list_is_one_value_of_an_option_whose_values_are_lists(tmp_path: Path) -> None:
    assert listed(tmp_path, "[0.2, 0.1]") == [[0.2, 0.1]]
    assert listed(tmp_path, "[[0.2, 0.1]]") == [[0.2, 0.1]]
    assert listed(tmp_path, "[[0.2], [0.2, 0.1], []]") == [[0.2], [0.2, 0.1], []]
    assert listed(tmp_path, "[]") == [[]]
    for text in (f"{LATER}=0.2,0.1", f"{LATER}=[0.2, 0.1]", f"{LATER}=[[0.2, 0.1]]"):
        (found,) = grid(None, ["attack=surrogate_client", text, "surrogate_client.alpha=0.5"])
        assert found.options == {"surrogate_client": {"later_alphas": [0.2, 0.1], "alpha": 0.5}}


def test_options_in_a_file_may_be_tables_of_options(tmp_path: Path) -> None:
    file = tmp_path / "trial.toml"
    file.write_text('attack = "unsplit"\n[options.unsplit]\nrounds = [2, 3]\n')
    assert [found.options["unsplit"] for found in grid(file, [])] == [{"rounds": 2}, {"rounds": 3}]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("options = 3", "options = 3: [options] has a table for each plug-in"),
        ("[options]\nepochs = 3", "epochs = 3: [options] has a table for each plug-in"),
        ("[unsplit]\nrounds = 1\n[options.unsplit]\nrounds = 2", "unsplit.rounds is given twice, in [unsplit] and in"),
    ],
)
def test_options_are_tables_of_options_and_given_once(tmp_path: Path, written: str, says: str) -> None:
    file = tmp_path / "trial.toml"
    file.write_text(f'attack = "unsplit"\n{written}\n')
    with pytest.raises(ExperimentError, match=re.escape(says)):
        grid(file, [])


def test_an_option_of_other_values_sweeps_over_a_list(tmp_path: Path) -> None:
    (tmp_path / "defenses").mkdir()
    (tmp_path / "defenses" / "listed.py").write_text(OWN)
    given = ["attack=unsplit", "defense=listed", f"plugins={tmp_path}"]
    found = grid(None, [*given, "listed.rates=0.1,0.2", "listed.rate=0.3,0.4"])
    assert [one.options["listed"] for one in found] == [
        {"rates": [0.1, 0.2], "rate": 0.3},
        {"rates": [0.1, 0.2], "rate": 0.4},
    ]
    # The folder may be known from elsewhere, as a replay knows it from its recording.
    assert axes({"listed.rates": [0.1, 0.2]}, tmp_path) == {"listed.rates": [[0.1, 0.2]]}


def test_what_no_plugin_is_or_has_sweeps_and_is_refused_where_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "defenses").mkdir()
    (tmp_path / "defenses" / "broken.py").write_text("1 / 0")
    for plugins in (tmp_path, tmp_path / "nowhere"):
        for key in ("unsplit.none", "broken.rates", "nobody.rates"):
            assert axes({key: [1, 2], "plugins": str(plugins)})[key] == [1, 2]


def test_the_file_and_the_overrides_are_told_apart() -> None:
    assert file_and_overrides(["a=1", "x.toml", "b=2"], attack="unsplit") == (Path("x.toml"), ["a=1", "b=2"])
    assert file_and_overrides(["seed=1"], attack="unsplit") == (None, ["seed=1", "attack=unsplit"])
    assert file_and_overrides(["attack=pgd"], attack="unsplit") == (None, ["attack=pgd"])
    assert file_and_overrides(None) == (None, [])
    with pytest.raises(ExperimentError, match="'x' is neither key=value nor"):
        file_and_overrides(["x"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *((".04", 0.04), ("-.5", -0.5), ("1.", 1.0), ("5.e-1", 0.5), (".5,1.", [0.5, 1.0])),
        *(("[.5, 1.]", [0.5, 1.0]), ("[[.5], []]", [[0.5], []]), ("[.5, 'x .5', \"1.\"]", [0.5, "x .5", "1."])),
        *(("x.5", "x.5"), ("1.2.3", "1.2.3"), ("..5", "..5"), ("'.5'", ".5"), ("true", True)),
    ],
)
def test_a_number_needs_no_digit_beside_its_point(typed: str, meant: object) -> None:
    assert override(f"mine.option={typed}") == ("mine.option", meant)


def test_equal_numbers_make_equal_cells() -> None:
    given = ["attack=surrogate_client", "cut=1"]
    one, other = (grid(None, [*given, f"surrogate_client.alpha={alpha}"])[0] for alpha in (".04", "0.04"))
    assert one.fingerprint() == other.fingerprint()


@pytest.mark.parametrize("text", [".5", "1.", "1e3", "true", "007"])
def test_names_and_paths_are_meant_to_the_letter(text: str) -> None:
    (found,) = grid(None, ["attack=unsplit", f"name={text}", f"out={text}"])
    assert (found.name, str(found.out)) == (text, text)
