"""Types of options: those whose values experiments, processes and records carry, and one sentence about any other."""

from __future__ import annotations

import enum
import json
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.experiment import ExperimentError
from cutlayer.grid import grid
from cutlayer.option import as_json, fits, meant, nested, not_truth
from cutlayer.registry import PluginError
from cutlayer.scene.settle import settle
from cutlayer.seat.making import make_attack
from cutlayer.simulation.assembly import brief
from tests.cells import GREY, STOCHASTIC, attacks
from tests.scenes import made

__all__ = ["made"]


class Word(enum.StrEnum):
    LOUD = "loud"
    TRUE = "true"


class Older(str, enum.Enum):  # noqa: UP042 - users have these, too
    A = "a"


class Plain(enum.Enum):
    A = "a"


class Number(enum.Enum):
    ONE = 1


Seconds = typing.NewType("Seconds", float)
FIT = [
    *(bool, int, float, str, Path, Any, object, Word, Older, Plain, Seconds, list, dict, Literal["a", 1, None]),
    *(float | None, typing.Optional[Path], tuple[Word, ...], list[tuple[int, Path]], Sequence[float]),  # noqa: UP045
    *(dict[str, int], Mapping[str, tuple[float, ...]], float | tuple[float, ...]),
]
UNFIT = [
    *(torch.dtype, torch.Tensor, frozenset, frozenset[str], set[int], bytes, complex, Number, Literal[Number.ONE]),
    *(dict[int, str], tuple[bytes, ...], float | torch.dtype, list[frozenset[int]], type, typing.Callable[[], int]),
]


@pytest.mark.parametrize("hint", FIT, ids=str)
def test_these_can_be_options(hint: Any) -> None:
    assert fits(hint)


@pytest.mark.parametrize("hint", UNFIT, ids=str)
def test_json_has_no_form_for_these(hint: Any) -> None:
    assert not fits(hint)


def test_values_are_told_as_json_has_them() -> None:
    given = {"a": (Path("x"), [Word.LOUD]), "b": {"c": Older.A}, "d": None, "e": 0.5, "f": True}
    assert as_json(given) == {"a": ("x", ["loud"]), "b": {"c": "a"}, "d": None, "e": 0.5, "f": True}
    assert type(as_json(Word.LOUD)) is str
    for other in (torch.float32, frozenset(), {1: 2}, [b""]):
        with pytest.raises(TypeError, match="has no form in JSON"):
            as_json(other)


def test_options_are_gathered_by_plugin_and_keys_stay() -> None:
    given = {"a.x": 1, "cut": 2, "b.x": 3, "a.y": [4], "a.z.w": 5}
    assert nested(given) == {"cut": 2, "options": {"a": {"x": 1, "y": [4], "z.w": 5}, "b": {"x": 3}}}
    assert nested({}) == {"options": {}}


@pytest.mark.parametrize(
    ("here", "anywhere", "left"),
    [
        ("ab", "ab", "ab"),
        ("a", "ab", "a"),
        ("a", "a", "ab"),
        ("", "ab", ""),
        ("", "", "ab"),
    ],
)
def test_what_only_other_cells_use_is_passed_over_and_what_none_uses_stays(here: str, anywhere: str, left: str) -> None:
    options = {"a": {"x": 1}, "b": {"y": 2}}
    assert meant(options, here, anywhere) == {name: options[name] for name in left}


def own(tmp_path: Path, fields: str) -> Path:
    """A folder with the attack ``mine``, whose options are ``fields``."""
    plugins = attacks(tmp_path / "own", mine=GREY)
    file = plugins / "attacks" / "mine.py"
    head = (
        "import enum\nfrom pathlib import Path\nclass Word(str, enum.Enum):\n    LOUD = 'loud'\n    TRUE = 'true'\n\n"
    )
    file.write_text(head + file.read_text().replace("    steps_seen: int = 0\n", f"    steps_seen: int = 0\n{fields}"))
    return plugins


@pytest.mark.usefixtures("made")
def test_paths_and_words_of_an_enum_reach_the_other_process_and_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    plugins = own(
        tmp_path, "    where: Path = Path('here')\n    word: Word = Word.LOUD\n    also: tuple[Path, ...] = ()\n"
    )
    given = ["dataset=made", "attack=mine", f"plugins={plugins}", f"model={STOCHASTIC}", "cut=1"]
    (usual,) = settle(grid(None, given)[0])
    assert usual.options == {"steps_seen": 0, "where": "here", "word": "loud", "also": ()}
    (changed,) = settle(grid(None, [*given, "mine.where=~/x", "mine.word=true", "mine.also=~/y,z"])[0])
    told = json.loads(json.dumps(brief(changed, attack=True).options))
    assert told == {"steps_seen": 0, "where": "/home/me/x", "word": "true", "also": ["/home/me/y", "z"]}
    attack: Any = make_attack("mine", told, plugins)
    assert (attack.where, attack.word.name, attack.also) == (
        Path("/home/me/x"),
        "TRUE",
        (Path("/home/me/y"), Path("z")),
    )
    with pytest.raises(ExperimentError, match=r"mine\.word = 'lowd': must be 'loud' or 'true' \(did you mean 'loud'"):
        settle(grid(None, [*given, "mine.word=lowd"])[0])


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("kind: torch.dtype = torch.float32", "the option kind is of type torch.dtype; options are of type bool, int"),
        ("kind: frozenset[str] = frozenset()", r"the option kind is of type frozenset\[str\]; options are of type"),
        ("kind: torhc.dtype = None", "the types of its options cannot be told: name 'torhc' is not defined"),
    ],
)
def test_an_option_of_another_type_is_refused_when_its_plugin_is_read(tmp_path: Path, field: str, said: str) -> None:
    plugins = own(tmp_path, f"    {field}\n")
    file = plugins / "attacks" / "mine.py"
    file.write_text("from __future__ import annotations\n" + file.read_text())
    with pytest.raises(PluginError, match=rf"mine\.py: Mine: {said}"):
        registry.cls("attacks", "mine", Attack, plugins)


def test_a_value_without_a_form_is_refused_though_its_type_is_open() -> None:
    @dataclass
    class Open:
        kind: Any = torch.float32

    with pytest.raises(PluginError, match=r"Open: the option kind is torch\.float32 has no form in JSON; options are"):
        registry.options_of(Open())


def test_a_datasets_options_are_looked_at_as_well() -> None:
    def load(data_dir: Path | None = None, *, kind: torch.dtype = torch.float32) -> None: ...

    with pytest.raises(PluginError, match=r"load: the option kind is of type torch\.dtype; options are of type"):
        registry.checked(load, {}, "here")


@pytest.mark.parametrize("hint", [int, float, int | None, tuple[int, ...], typing.Annotated[float, 1]])
def test_a_truth_value_is_no_number(hint: Any) -> None:
    for value in (True, [0, False]):
        with pytest.raises(ValueError, match="must be a number, not a truth value"):
            not_truth(value, hint)
    for inner, value in ((tuple[tuple[hint, ...], ...], [[True]]), (dict[str, hint], {"a": True})):
        with pytest.raises(ValueError, match="not a truth value"):
            not_truth(value, inner)
    for hint_with, value in ((hint, 1), (hint | bool, True), (bool, True), (Any, False), (str, True)):
        assert not_truth(value, hint_with) is value


@pytest.mark.parametrize("key", ["epochs", "learning_rate", "milestones", "unsplit.rounds"])
def test_a_truth_value_is_refused_in_an_experiment(key: str) -> None:
    with pytest.raises(ExperimentError, match=rf"{key} = .*True.*: must be a number, not a truth value"):
        settle(*grid(None, ["attack=unsplit", f"{key}=true"]))


@pytest.mark.parametrize(("given", "text"), [(math.nan, "nan"), (-math.inf, "-inf"), (12, "12"), (False, "false")])
def test_a_text_that_toml_reads_as_a_number_is_that_text(given: object, text: str) -> None:
    def named(*, label: str = "") -> None: ...

    assert registry.checked(named, {"label": given}, "here") == {"label": text}
