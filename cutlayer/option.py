"""What an option of a plug-in can be, a value that experiments, messages and records carry as JSON, and whose it is."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

TYPES = (
    "bool, int, float, str, Path, None, a Literal, an Enum whose values are texts, and a tuple, list, Sequence, "
    "dict[str, ...] or Mapping[str, ...] of these"
)
_WORDS = (bool, int, float, str, types.NoneType)
_SERIES = (tuple, list, Sequence)
_TABLES = (dict, Mapping)


def fits(hint: Any) -> bool:
    """Whether all values of the type ``hint`` can be options."""
    hint = getattr(hint, "__supertype__", hint)
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is Literal:
        return all(type(word) in _WORDS for word in inner)
    if kind in (typing.Union, types.UnionType) or kind in _SERIES:
        return all(part is ... or fits(part) for part in inner)
    if kind in _TABLES:
        return not inner or (inner[0] is str and fits(inner[1]))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return all(isinstance(member.value, str) for member in kind)
    # What an open type stands for in the end is looked at value by value.
    return kind in (*_WORDS, Path, Any, object)


def as_json(value: Any) -> Any:
    """``value`` without paths and members of enums, as texts; a ``TypeError`` where it is nothing that JSON has."""
    match value:
        case Path():
            return str(value)
        case enum.Enum():
            return as_json(value.value)
        case tuple() | list():
            # A tuple with names for its parts is one by position here.
            return (tuple if isinstance(value, tuple) else list)(as_json(part) for part in value)
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: as_json(part) for key, part in value.items()}
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{value!r} has no form in JSON")


def not_truth(value: Any, hint: Any) -> Any:
    """``value``; a ``ValueError`` where it is, or holds, a truth value in place of a number: nobody means 1 by it."""
    kinds = _kinds(hint)
    numbers = kinds & {int, float} and not kinds & {bool, Any, object}
    if numbers and any(isinstance(one, bool) for one in _leaves(value)):
        raise ValueError("must be a number, not a truth value")
    return value


def _leaves(value: Any) -> Iterator[Any]:
    """All values that are in ``value``, however deep."""
    match value:
        case list() | tuple():
            yield from chain.from_iterable(map(_leaves, value))
        case Mapping():
            yield from chain.from_iterable(map(_leaves, value.values()))
        case _:
            yield value


def _kinds(hint: Any) -> set[Any]:
    """The plain types that ``hint`` is made of."""
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is Annotated:
        inner = inner[:1]
    return set().union(*map(_kinds, inner)) if inner else {hint}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` as an experiment has them: those of ``plugin.option`` under ``options``, by plug-in."""
    found: dict[str, Any] = {"options": {}}
    for key, value in values.items():
        plugin, dot, option = key.partition(".")
        if dot:
            found["options"].setdefault(plugin, {})[option] = value
        else:
            found[key] = value
    return found


def meant(
    options: Mapping[str, Mapping[str, Any]], here: Collection[str], anywhere: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """Those for a cell that uses the plug-ins ``here``, by plug-in; ``anywhere``: those that any cell beside it uses.

    Options of a plug-in that other cells use are no mistake here, and make no other cell; those of one that none uses
    stay, to be refused.
    """
    return {plugin: own for plugin, own in options.items() if plugin in here or plugin not in anywhere}


def words(hint: Any) -> tuple[Any, ...]:
    """The values that a Literal or an Enum names; none of any other type."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return tuple(member.value for member in hint)
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
