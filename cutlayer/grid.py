"""Experiments as a user asks for them: a TOML file and ``key=value`` overrides, several values making a grid."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cutlayer import registry
from cutlayer.attack import Attack
from cutlayer.defense import Defense
from cutlayer.experiment import KEYS, LISTS, TEXTS, Experiment, ExperimentError, make
from cutlayer.home import at_home
from cutlayer.mistake import unknown_key
from cutlayer.option import meant, nested

DEFAULT_FILE = Path(__file__).parent / "default.toml"
_KINDS = {"attacks": Attack, "defenses": Defense}
_BESIDE_A_POINT = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w.])(?=\.\d)|(?<=\d\.)(?!\d)""")
# Outside of quotes, where a digit would make a number of it in TOML: .5 and 1.
_NAMING = ("attack", "under", "defense", "dataset", "aux", "transfer")


def grid(file: Path | None, overrides: Sequence[str]) -> list[Experiment]:
    """All experiments that ``file`` and ``overrides`` ask for, each once, in order.

    A key with several values (a list in TOML, commas in an override) sweeps over them. Tables ``[[grid]]`` in the file
    are grids of their own on top of the file's other keys. Without a file, and without an attack named, the grids are
    those of the embedded ``default.toml``.
    """
    registry.refresh()
    given = dict(override(text) for text in overrides)
    source = file or (None if "attack" in given else DEFAULT_FILE)
    base = read_toml(source) if source else {}
    grids = base.pop("grid", [{}])
    if not isinstance(grids, list) or not grids or not all(isinstance(own, dict) for own in grids):
        raise ExperimentError(f"{source}: grid = {grids!r}: must be tables [[grid]]")
    if file and not base.get("name"):
        base["name"] = file.stem
    found: dict[str, Experiment] = {}
    written = [{**_flat(base), **_flat(own)} for own in grids]
    named = _named({**own, **given} for own in written)
    # What a file says of a plug-in that overrides have put aside is passed over; what is typed is meant.
    aside = _named(written) - named
    for own in written:
        kept = {key: value for key, value in own.items() if key in KEYS or key.partition(".")[0] not in aside}
        for values in _product({**kept, **given}, named):
            experiment = make(values)
            found.setdefault(experiment.fingerprint(drop=()), experiment)
    return list(found.values())


def _product(values: Mapping[str, Any], named: Collection[str]) -> Iterable[dict[str, Any]]:
    """Every choice among the values; ``named`` are the plug-ins of all cells, those of other grids among them."""
    choices = axes(values)
    empty = next((key for key, values in choices.items() if not values), None)
    if empty is not None:
        raise ExperimentError(f"{empty} = []: there is no value to run")
    for key in ("name", "out"):
        if len(choices.get(key, ())) > 1:
            raise ExperimentError(f"{key} = {','.join(map(str, choices[key]))}: all cells go into one folder")
    for choice in itertools.product(*choices.values()):
        chosen = dict(zip(choices, choice, strict=True))
        here = _users({key: [value] for key, value in chosen.items()})
        cell = nested(chosen)
        yield {**cell, "options": meant(cell["options"], here, named)}


def axes(values: Mapping[str, Any], plugins: Path | None = None) -> dict[str, list[Any]]:
    """By key the values that it sweeps over, one where it does not; ``plugins`` where ``values`` name no other."""
    folder = values.get("plugins") or plugins
    return {key: value if _sweeps(key, value, folder) else [value] for key, value in values.items()}


def _named(grids: Iterable[Mapping[str, Any]]) -> set[str]:
    """The plug-ins that cells of the grids use."""
    return {name for values in grids for name in _users(axes(values))}


def _users(axes: Mapping[str, Sequence[Any]]) -> set[str]:
    """The plug-ins that the values of keys name, or their defaults."""
    values = (value for key in _NAMING for value in axes.get(key, [Experiment.model_fields[key].default]))
    return {name for value in values for name in str(value).split("+")}


def _sweeps(key: str, value: object, plugins: object) -> bool:
    """Whether the value is several ones; a list for a key or an option whose values are lists is one, unless nested."""
    if not isinstance(value, list) or any(isinstance(part, list) for part in value):
        return isinstance(value, list)
    folder = at_home(Path(plugins)) if isinstance(plugins, str | Path) else None
    return not (key in LISTS or _takes_list(key, folder))


def _takes_list(key: str, plugins: Path | None) -> bool:
    """Whether the key is an option whose values are lists."""
    plugin, _, option = key.partition(".")
    try:
        return any(registry.takes_list(owner, option) for owner in _owners(plugin, plugins))
    except registry.PluginError:
        # What cannot be found or imported is refused where it is used.
        return False


def _owners(plugin: str, plugins: Path | None) -> Iterator[type | Callable[..., Any]]:
    """What takes the options of the plug-ins with this name."""
    for folder, kind in _KINDS.items():
        if plugin in registry.names(folder, plugins):
            yield registry.cls(folder, plugin, kind, plugins)
    if plugin in registry.names("datasets", plugins):
        load = getattr(registry.module("datasets", plugin, plugins), "load", None)
        yield from [load] if callable(load) else []


def override(text: str) -> tuple[str, Any]:
    """The key and the value of ``key=value``; several values, split by commas, are a list."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ExperimentError(f"{text!r} is not of the form key=value")
    _check_key(key)
    value = value.strip()
    if value.startswith("[") and isinstance(whole := typed(value), list):
        return key, whole
    values = [_scalar(part.strip(), key in TEXTS) for part in value.split(",")]
    if key in LISTS:
        return key, [part for part in values if part != ""]
    return key, values if len(values) > 1 else values[0]


def _check_key(key: str) -> None:
    plugin, dot, option = key.partition(".")
    if not (plugin and option if dot else key in KEYS):
        raise ExperimentError(_of_a_plugin(key) or unknown_key(key, KEYS))


def _of_a_plugin(key: str) -> str:
    """What to say of a key that is an option of plug-ins; empty where it is none."""
    owners = [
        f"{name}.{key}"
        for folder, kind in _KINDS.items()
        for name in registry.names(folder)
        if key in registry.option_names(registry.cls(folder, name, kind))
    ]
    return f"unknown key {key!r}: an option is given with its plug-in's name, as {', '.join(owners)}" if owners else ""


def _scalar(text: str, is_text: bool) -> Any:
    """The text as a value; where texts are due, unlike a number, what is typed is meant to the letter."""
    value = typed(text)
    return value if isinstance(value, str) or (isinstance(value, bool | int | float) and not is_text) else text


def typed(text: str) -> Any:
    """``text`` as a value in TOML, or one that wants no more than a digit beside a point; ``None`` for any other."""
    for written in (text, _BESIDE_A_POINT.sub(lambda found: found[1] or "0", text)):
        try:
            found = tomllib.loads(f"value = {written}")
        except (ValueError, RecursionError):
            continue
        return found["value"] if len(found) == 1 else None
    return None


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if key == "options":
            continue
        if isinstance(value, dict):
            flat |= {f"{key}.{option}": choice for option, choice in value.items()}
        else:
            _check_key(key)
            flat[key] = value
    # As records have them, [options.unsplit] for [unsplit].
    options = values.get("options", {})
    for plugin, table in options.items() if isinstance(options, dict) else [("options", options)]:
        if not isinstance(table, dict):
            raise ExperimentError(f"{plugin} = {table!r}: [options] has a table for each plug-in, as [options.unsplit]")
        for option, choice in table.items():
            if f"{plugin}.{option}" in flat:
                raise ExperimentError(f"{plugin}.{option} is given twice, in [{plugin}] and in [options.{plugin}]")
            flat[f"{plugin}.{option}"] = choice
    return flat


def read_toml(file: Path) -> dict[str, Any]:
    """What the file says; an ``ExperimentError`` where it is missing or no TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExperimentError(f"{file}: there is no such file") from None
    except (ValueError, RecursionError, OSError) as error:
        raise ExperimentError(f"{file} is not a TOML file: {error}") from None
