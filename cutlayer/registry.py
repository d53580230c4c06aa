"""Plug-ins by file name: a file in ``attacks/``, ``defenses/``, ``protocols/``, ``models/`` or ``datasets/`` is one."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import json
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cutlayer.home import all_at_home
from cutlayer.mistake import nearest, reason
from cutlayer.neighbor import States, importable, states, with_neighbors
from cutlayer.option import TYPES, as_json, fits, not_truth, words

FOLDERS = ("protocols", "attacks", "defenses", "models", "datasets")
Builder = Callable[..., Any]
"""A function that makes a plug-in's object."""

_SERIES = {tuple, list, Sequence}
_FINITE = ConfigDict(allow_inf_nan=False)
_PACKAGE = Path(__file__).parent
_HOLDS = "it holds folders such as attacks/, defenses/"
_NAME = re.compile(r"\w[\w-]*")
# Any other is taken apart on the command line, where + joins, a dot leads to an option and a comma to the next value.
_RESERVED = {"none", "auto", "grid", "options", "plan", "pins"}
# What keys of an experiment say in place of a name, and tables of a file that are no plug-in's.
_RESERVED_IN = {"datasets": {"test", "train", "share"}}  # of the victim's own dataset, as an adversary's data
_LOADED: dict[str, tuple[ModuleType, States]] = {}
# Modules from files of the user's own by their names, and what these files and their neighbors' were then.


class PluginError(ValueError):
    """A plug-in or an option of one that does not exist or does not fit."""


def names(folder: str, plugins: Path | None = None) -> tuple[str, ...]:
    """The plug-ins in ``folder``, those of the package and those of the folder ``plugins`` beside it, sorted."""
    return tuple(sorted(_files(folder, plugins)))


def module(folder: str, name: str, plugins: Path | None = None) -> ModuleType:
    """The module of plug-in ``name``."""
    files = _files(folder, plugins)
    if name not in files:
        elsewhere = sorted(plugins.glob(f"*/{name}.py")) if plugins else []
        astray = f"; {elsewhere[0]} lies in another folder than {folder}/" if elsewhere else ""
        raise PluginError(
            f"unknown {folder.removesuffix('s')} {name!r}{nearest(name, files)}; one of {', '.join(sorted(files))}"
            f"{astray}"
        )
    return _module(folder, files[name])


def _module(folder: str, path: Path) -> ModuleType:
    if path.parent.parent == _PACKAGE:
        return importlib.import_module(f"cutlayer.{folder}.{path.stem}")
    return from_file(path, f"cutlayer_plugins.{folder}.{path.stem}")


def from_file(path: Path, name: str) -> ModuleType:
    """The module in the file ``path``, imported once under ``name``; it can import others from its folder."""
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    read = _read_from(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file")
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        with importable(path):
            spec.loader.exec_module(made)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    _LOADED[name] = made, read
    return made


def refresh() -> None:
    """Forget the modules from files of the user's own that have changed: what is next asked of them is loaded anew.

    For whoever begins something new: what has begun with a module goes on with it as it was.
    """
    for name, (made, read) in _still_loaded().items():
        if _read_from(_file(made)) != read:
            del sys.modules[name]


def loaded() -> States:
    """The user's own files whose code this process runs, as they were when it was read."""
    found: dict[Path, tuple[int, int]] = {}
    for _, read in _still_loaded().values():
        # What two have read has changed between them: the second is loaded anew by whoever begins with it.
        found = {**{file.resolve(): state for file, state in read.items()}, **found}
    return found


def _still_loaded() -> dict[str, tuple[ModuleType, States]]:
    return {name: (made, read) for name, (made, read) in _LOADED.items() if sys.modules.get(name) is made}


def _file(made: ModuleType) -> Path:
    assert made.__file__
    return Path(made.__file__)


def _read_from(path: Path) -> States:
    return states(with_neighbors(path) if path.is_file() else ())


def cls(folder: str, name: str, parent: type, plugins: Path | None = None) -> type:
    """The one concrete subclass of ``parent`` that plug-in ``name`` defines."""
    found = module(folder, name, plugins)
    classes = [
        value
        for value in vars(found).values()
        if inspect.isclass(value)
        and issubclass(value, parent)
        and value.__module__ == found.__name__
        and not inspect.isabstract(value)
    ]
    if len(classes) != 1:
        raise PluginError(f"{found.__file__} must define one concrete {parent.__name__}, it defines {len(classes)}")
    if dataclasses.is_dataclass(classes[0]):
        # What an experiment could not say or a record not keep would be found out by a cell at work.
        option_types(classes[0])
    return classes[0]


def make(kind: type, options: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass ``kind`` with ``options``, checked against its fields' names and types."""
    try:
        return kind(**checked(kind, options, where))
    except PluginError:
        raise
    except ValueError as error:
        raise PluginError(f"{where}: {error}") from None


def checked(target: type | Callable[..., Any], options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``options`` with values of the types that ``target`` (a dataclass or a function) annotates."""
    known = option_types(target)
    result = {}
    for name, value in options.items():
        if name not in known:
            raise PluginError(
                f"unknown option {where}.{name}{nearest(name, known)}; one of {', '.join(known) or 'none'}"
            )
        hint = known[name]
        try:
            meant = not_truth(_meant(value, hint), hint)
            result[name] = all_at_home(TypeAdapter(hint, config=_FINITE).validate_python(meant))
        except ValueError as error:
            a_list = f"a list, such as {json.dumps([value], default=str)}"
            why = reason(error, a_list) if isinstance(error, ValidationError) else error
            raise PluginError(f"{where}.{name} = {value!r}: {why}") from None
    return result


def _meant(value: Any, hint: Any) -> Any:
    """``value``; the word where one is due, and what was written for it reads as a number or a truth value."""
    word = str(value).lower()
    if hint is str and (type(value) in (int, bool) or (type(value) is float and not math.isfinite(value))):
        return word
    return word if type(value) is bool and word in words(hint) else value


def option_types(target: type | Callable[..., Any]) -> dict[str, Any]:
    """The types of the options that ``target`` takes; a ``PluginError`` for one that JSON has no form for."""
    names = option_names(target)
    try:
        hints = typing.get_type_hints(target)
    except Exception as error:
        raise PluginError(f"{_place(target)}: the types of its options cannot be told: {error}") from error
    found = {name: hints.get(name, Any) for name in names}
    for name, hint in found.items():
        if not fits(hint):
            told = inspect.formatannotation(hint, target.__module__)
            raise PluginError(f"{_place(target)}: the option {name} is of type {told}; options are of type {TYPES}")
    return found


def option_names(target: type | Callable[..., Any]) -> tuple[str, ...]:
    """The options ``target`` takes: of a class all fields it is made with, but private ones (``_...``).

    A field with the metadata ``{"option": False}`` is none either, in no subclass: whoever makes the object sets it.
    """
    if dataclasses.is_dataclass(target):
        mro = [base for base in inspect.getmro(target) if dataclasses.is_dataclass(base)]
        every = [field for base in mro for field in dataclasses.fields(base)]
        given = {field.name for field in every if not field.metadata.get("option", True)}
        own = dataclasses.fields(target)
        return tuple(f.name for f in own if f.init and f.name not in given and not f.name.startswith("_"))
    if inspect.isclass(target):
        raise PluginError(
            f"{_place(target)} must be a dataclass, its fields are the options: write @dataclass above it"
        )
    kinds = (inspect.Parameter.KEYWORD_ONLY,)
    return tuple(p.name for p in inspect.signature(target).parameters.values() if p.kind in kinds)


def options_of(made: object) -> dict[str, Any]:
    """The options that ``made`` has, as JSON has them, with which ``make`` gives another one like it."""
    found = {}
    for name in option_names(type(made)):
        try:
            found[name] = as_json(getattr(made, name))
        except TypeError as error:
            place = _place(type(made))
            raise PluginError(f"{place}: the option {name} is {error}; options are of type {TYPES}") from None
    return found


def _place(target: type | Callable[..., Any]) -> str:
    return f"{inspect.getfile(target)}: {target.__name__}"


def takes_list(target: type | Callable[..., Any], option: str) -> bool:
    """Whether the values of an option of ``target`` are lists, and nothing else."""
    hint = option_types(target).get(option)
    of_union = typing.get_origin(hint) in {typing.Union, types.UnionType}
    kinds = [kind for kind in (typing.get_args(hint) if of_union else [hint]) if kind is not types.NoneType]
    return bool(kinds) and all((typing.get_origin(kind) or kind) in _SERIES for kind in kinds)


def summary(folder: str, name: str, plugins: Path | None = None) -> str:
    """One line on a plug-in: the first line of its module's docstring."""
    return _first_line(module(folder, name, plugins))


def summaries(folder: str, plugins: Path | None = None) -> tuple[dict[str, str], list[str]]:
    """``summary`` of each plug-in by its name, and why other files of ``plugins`` are none."""
    files, wrong = _told_apart(folder, plugins)
    lines: dict[str, str] = {}
    for name, path in sorted(files.items()):
        try:
            lines[name] = _first_line(_module(folder, path))
        except PluginError as error:
            wrong.append(str(error))
    return lines, wrong


def _first_line(made: ModuleType) -> str:
    text = inspect.getdoc(made) or ""
    return text.splitlines()[0] if text else ""


def _files(folder: str, plugins: Path | None) -> dict[str, Path]:
    found, wrong = _told_apart(folder, plugins)
    if wrong:
        raise PluginError(wrong[0])
    return found


def _told_apart(folder: str, plugins: Path | None) -> tuple[dict[str, Path], list[str]]:
    """The files of plug-ins by name, and what is wrong with the names of others."""
    if folder not in FOLDERS:
        raise PluginError(f"no plug-in folder {folder!r}; one of {', '.join(FOLDERS)}")
    found = {path.stem: path for path in _plugin_files(_PACKAGE / folder)}
    if plugins is None:
        return found, []
    if not plugins.is_dir():
        raise PluginError(f"plugins = {str(plugins)!r} is not a folder; {_HOLDS}")
    if (astray := _plugin_files(plugins)) and not any((plugins / known).is_dir() for known in FOLDERS):
        raise PluginError(
            f"plugins = {str(plugins)!r} has {min(astray).name} at its top, where no plug-in is read; {_HOLDS}"
        )
    own = {path: _misnamed(folder, path.stem, found) for path in sorted(_plugin_files(plugins.resolve() / folder))}
    wrong = [f"{path} {why}; rename it" for path, why in own.items() if why]
    return {**found, **{path.stem: path for path, why in own.items() if not why}}, wrong


def _misnamed(folder: str, name: str, taken: Collection[str]) -> str:
    """Why a plug-in in ``folder`` cannot have the name; empty where it can."""
    if name in taken:
        return f"has the name of the package's own {folder.removesuffix('s')}"
    if not _NAME.fullmatch(name):
        return "cannot be named so: a plug-in's name is of letters, digits, _ and -"
    if name in {*_RESERVED, *_RESERVED_IN.get(folder, ())}:
        return f"cannot be named so: {name} means something else in an experiment"
    return ""


def _plugin_files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.py") if not path.stem.startswith("_")]
