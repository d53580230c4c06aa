"""Plug-ins by file name: found, told apart, checked, and refused in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from cutlayer import registry
from cutlayer.defense import Defense
from cutlayer.protocol import Protocol
from cutlayer.registry import PluginError

OWN = '''"""A defense from outside.

More about it.
"""
from dataclasses import dataclass
from cutlayer.defense import Defense


@dataclass
class Muffle(Defense):
    amount: int = 3

    def guard(self, message):
        return message
'''


@pytest.fixture
def plugins(tmp_path):
    (tmp_path / "defenses").mkdir()
    (tmp_path / "defenses" / "muffle.py").write_text(OWN)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("cutlayer_plugins.")]:
        del sys.modules[name]


def test_files_of_the_package_are_plugins():
    assert {"vanilla", "u_shaped", "label_only"} <= set(registry.names("protocols"))
    assert {"unsplit_mnist", "unsplit_cifar", "dense"} <= set(registry.names("models"))
    assert list(registry.names("models")) == sorted(registry.names("models"))
    assert "__init__" not in registry.names("attacks")


@pytest.mark.parametrize("folder", registry.FOLDERS)
def test_every_plugin_imports_and_has_one_line_about_itself(folder):
    for name in registry.names(folder):
        line = registry.summary(folder, name)
        assert line.endswith(".") or ":" in line
        assert "\n" not in line


def test_a_file_in_the_plugins_folder_is_one_too(plugins):
    assert "muffle" in registry.names("defenses", plugins)
    assert "muffle" not in registry.names("defenses")
    kind = registry.cls("defenses", "muffle", Defense, plugins)
    assert kind.__name__ == "Muffle"
    assert registry.summary("defenses", "muffle", plugins) == "A defense from outside."
    assert registry.make(kind, {"amount": 5}, "muffle").amount == 5


def test_a_plugin_is_imported_once(plugins):
    first, second = (registry.cls("defenses", "muffle", Defense, plugins) for _ in range(2))
    assert first is second


def test_an_edited_plugin_is_loaded_anew_by_whoever_begins_something(plugins, monkeypatch):
    """What has begun with it goes on with the class it has."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = plugins / "defenses" / "muffle.py"
    kind = registry.cls("defenses", "muffle", Defense, plugins)
    read = registry.loaded()[path.resolve()]
    registry.refresh()
    assert registry.cls("defenses", "muffle", Defense, plugins) is kind
    # As long as it was, and within the same second.
    path.write_text(OWN.replace("amount: int = 3", "amount: int = 4"))
    assert registry.cls("defenses", "muffle", Defense, plugins) is kind
    assert registry.loaded()[path.resolve()] == read
    registry.refresh()
    assert path.resolve() not in registry.loaded()
    edited = registry.cls("defenses", "muffle", Defense, plugins)
    assert (kind().amount, edited().amount) == (3, 4)
    path.unlink()
    registry.refresh()
    with pytest.raises(PluginError, match="unknown defense 'muffle'"):
        registry.module("defenses", "muffle", plugins)


def test_an_unknown_plugin_is_refused_with_the_nearest_name(plugins):
    with pytest.raises(PluginError, match=r"unknown protocol 'vanila' \(did you mean 'vanilla'\?\); one of .*u_shaped"):
        registry.module("protocols", "vanila")
    with pytest.raises(PluginError, match=r"unknown defense 'mufle' \(did you mean 'muffle'\?\)"):
        registry.module("defenses", "mufle", plugins)
    with pytest.raises(PluginError, match=r"unknown model 'xyzzy'; one of"):
        registry.module("models", "xyzzy")
    with pytest.raises(PluginError, match="no plug-in folder 'attack'; one of protocols, attacks"):
        registry.names("attack")


def test_a_plugins_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(PluginError, match="nowhere' is not a folder; it holds folders such as attacks/"):
        registry.names("attacks", tmp_path / "nowhere")


def test_a_plugin_in_a_misspelled_folder_is_told_by_its_file(plugins):
    (plugins / "atacks").mkdir()
    (plugins / "atacks" / "mine.py").write_text("")
    assert "mine" not in registry.names("attacks", plugins), "any other folder may hold what plug-ins import"
    with pytest.raises(
        PluginError, match=r"unknown attack 'mine'; one of .*; .*atacks/mine\.py lies in another folder"
    ):
        registry.module("attacks", "mine", plugins)


def test_a_plugins_folder_that_is_one_too_deep_is_refused(plugins):
    why = r"plugins = '.*/defenses' has muffle\.py at its top, where no plug-in is read; it holds folders such as att"
    with pytest.raises(PluginError, match=why):
        registry.names("defenses", plugins / "defenses")
    (plugins / "net.py").write_text("")
    assert "muffle" in registry.names("defenses", plugins)
    (plugins / "defenses" / "muffle.py").rename(plugins / "defenses" / "_muffle.py")
    assert "gaussian_noise" in registry.names("defenses", plugins / "defenses")


def test_a_name_of_the_package_cannot_be_taken(plugins):
    (plugins / "defenses" / "gaussian_noise.py").write_text(OWN)
    with pytest.raises(PluginError, match=r"gaussian_noise\.py has the name of the package's own defense; rename it"):
        registry.names("defenses", plugins)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(:", "cannot be imported: SyntaxError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        ("x = 1", "must define one concrete Defense, it defines 0"),
        ("from cutlayer.defense import Defense", "must define one concrete Defense, it defines 0"),
        (OWN + "\n\nclass Second(Muffle):\n    pass\n", "must define one concrete Defense, it defines 2"),
    ],
)
def test_a_broken_plugin_is_refused(plugins, source, reason):
    (plugins / "defenses" / "muffle.py").write_text(source)
    with pytest.raises(PluginError, match=reason):
        registry.cls("defenses", "muffle", Defense, plugins)


def test_a_plugin_that_failed_is_read_again_when_mended(plugins):
    path = plugins / "defenses" / "muffle.py"
    path.write_text("1 / 0")
    with pytest.raises(PluginError):
        registry.module("defenses", "muffle", plugins)
    path.write_text(OWN)
    assert registry.cls("defenses", "muffle", Defense, plugins).__name__ == "Muffle"


def test_a_file_that_is_no_python_is_refused(tmp_path):
    (tmp_path / "model.txt").write_text("x")
    with pytest.raises(PluginError, match=r"model\.txt is not a Python file"):
        registry.from_file(tmp_path / "model.txt", "cutlayer_plugins.user")


def test_abstract_classes_are_not_plugins():
    assert registry.cls("protocols", "vanilla", Protocol).__name__ == "Vanilla"


@dataclass
class Given:
    seed: int = field(default=0, metadata={"option": False})


@dataclass
class Options(Given):
    kind: ClassVar[str] = "none of the options"

    rate: float = 0.5
    steps: int = 10
    mode: Literal["slow", "fast"] = "slow"
    names: tuple[str, ...] = ()
    folder: Path = Path()
    seed: int = field(default=1, kw_only=True)
    _hidden: int = 0
    made: int = field(default=0, init=False)


def build(input_shape=(1,), classes=2, *, width: int = 8):
    return width


def test_options_are_the_fields_a_user_may_set():
    assert registry.option_names(Options) == ("rate", "steps", "mode", "names", "folder")
    assert registry.option_names(build) == ("width",)
    made = Options(steps=3, _hidden=5)
    assert registry.options_of(made) == {"rate": 0.5, "steps": 3, "mode": "slow", "names": (), "folder": "."}
    assert registry.make(Options, registry.options_of(made), "here") == Options(steps=3)


def test_a_seed_is_an_option_where_nobody_else_gives_one(plugins):
    @dataclass
    class Seeded:
        seed: int = 1

    assert registry.make(Seeded, {"seed": 5}, "here").seed == 5
    kind = registry.cls("defenses", "muffle", Defense, plugins)
    assert registry.option_names(kind) == ("amount",)
    with pytest.raises(PluginError, match=r"unknown option muffle\.seed; one of amount"):
        registry.make(kind, {"seed": 5}, "muffle")


def test_a_class_without_options_to_be_made_with_is_named_with_its_file():
    class Bare:
        steps = 3

    for asked in (lambda: registry.make(Bare, {}, "bare"), lambda: registry.options_of(Bare())):
        with pytest.raises(PluginError, match=r"test_registry\.py: Bare must be a dataclass, its fields are the op"):
            asked()


def test_values_get_the_annotated_types():
    options = {"rate": 1, "steps": "20", "mode": "fast", "names": ["a", "b"], "folder": "x"}
    made = registry.make(Options, options, "here")
    assert made == Options(1.0, 20, "fast", ("a", "b"), Path("x"))
    assert isinstance(made.rate, float)
    assert registry.checked(build, {"width": "4"}, "model") == {"width": 4}
    assert registry.make(Options, {}, "here") == Options()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"rat": 1}, r"unknown option here\.rat \(did you mean 'rate'\?\); one of rate, steps, mode"),
        ({"seed": 1}, r"unknown option here\.seed"),
        ({"made": 1}, r"unknown option here\.made"),
        ({"_hidden": 1}, r"unknown option here\._hidden"),
        ({"kind": "x"}, r"unknown option here\.kind"),
        ({"steps": 1.5}, r"here\.steps = 1\.5: must be a valid integer"),
        ({"rate": "much"}, r"here\.rate = 'much': must be a valid number"),
        ({"names": "a"}, r'here\.names = \'a\': must be a list, such as \["a"\]$'),
        ({"mode": "quick"}, r"here\.mode = 'quick': must be 'slow' or 'fast'"),
    ],
)
def test_wrong_options_are_refused(options, reason):
    with pytest.raises(PluginError, match=reason):
        registry.make(Options, options, "here")


def test_an_option_whose_values_are_lists_is_told_from_one_that_may_have_others():
    @dataclass
    class Kinds:
        one: tuple[int, int] = (1, 2)
        many: list[float] | None = None
        any_number: Sequence[str] = ()
        either: float | tuple[float, ...] = 0.5
        word: str = ""
        open: object = None

    taken = [name for name in (*registry.option_names(Kinds), "other") if registry.takes_list(Kinds, name)]
    assert taken == ["one", "many", "any_number"]
    assert not registry.takes_list(build, "width")


def test_a_plugin_without_options_says_so():
    with pytest.raises(PluginError, match=r"unknown option here\.width; one of none"):
        registry.checked(lambda: None, {"width": 3}, "here")


def test_what_a_plugin_itself_refuses_is_refused_where_it_was_asked():
    @dataclass
    class Picky:
        rate: float = 0.5

        def __post_init__(self) -> None:
            if self.rate < 0:
                raise ValueError(f"rate = {self.rate}: it must be at least 0")

    with pytest.raises(PluginError, match=r"here: rate = -1\.0: it must be at least 0"):
        registry.make(Picky, {"rate": -1}, "here")


@pytest.mark.parametrize(("given", "meant"), [(True, "true"), ("true", "true"), ("usual", "usual")])
def test_a_word_that_toml_reads_as_a_truth_value_is_that_word(given: object, meant: str) -> None:
    def named(*, labels: Literal["true", "usual"] = "usual", loud: bool = False) -> None: ...

    assert registry.checked(named, {"labels": given, "loud": True}, "here") == {"labels": meant, "loud": True}
    with pytest.raises(PluginError, match=r"here\.labels = False: must be 'true' or 'usual'"):
        registry.checked(named, {"labels": False}, "here")
