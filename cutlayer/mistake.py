"""What is wrong with a value, in one sentence: which it is, why it does not fit, what would."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from types import UnionType
from typing import Union, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def nearest(name: str, known: Collection[str]) -> str:
    """`` (did you mean 'x'?)`` where a known name is close to ``name``, else nothing."""
    near = next(iter(difflib.get_close_matches(name, list(known), n=1)), "")
    # Another letter in three is another word: gpu is no cpu, while lna is lan.
    other = len(name) == len(near) <= 3 and sorted(name) != sorted(near)
    return f" (did you mean {near!r}?)" if near and not other else ""


def unknown_key(key: str, known: Collection[str]) -> str:
    """What to say of a key that is none of ``known``."""
    return f"unknown key {key!r}{nearest(key, known)}; keys: {', '.join(known)}"


def mistake(error: ValidationError, kind: type[BaseModel], whole: str, a_list: str) -> str:
    """The first thing that ``error`` finds wrong with values for a ``kind``.

    ``whole``: what all of them are called; ``a_list``: how a list is given there.
    """
    first = error.errors()[0]
    key = ".".join(part for part in _place(first, kind) if isinstance(part, str))
    if first["type"] == "extra_forbidden":
        return unknown_key(key, tuple(kind.model_fields))
    about = kind.model_fields[key].description if key in kind.model_fields else None
    if first["type"] == "missing":
        return f"{key or whole} is missing" + (f": {about}" if about else "")
    why = _reason(first, a_list)
    if about and first["type"].endswith(("_parsing", "_type")):
        why += f" ({about})"
    return f"{key} = {first['input']!r}: {why}" if key else why


def _place(first: ErrorDetails, kind: type[BaseModel]) -> tuple[int | str, ...]:
    """Where the value is; of one that may be of several kinds without what it was tried as."""
    place = first["loc"]
    field = kind.model_fields.get(str(place[0])) if place else None
    return place[:1] if field and get_origin(field.annotation) in {Union, UnionType} else place


def reason(error: ValidationError, a_list: str) -> str:
    """Why the first value that ``error`` names does not fit; ``a_list``: how a list is given there."""
    return _reason(error.errors()[0], a_list)


def misfit(error: ValidationError, a_list: str) -> str:
    """``reason`` behind the place of the value, where that is not all there is."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), _reason(first, a_list))))


def _reason(first: ErrorDetails, a_list: str) -> str:
    said = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    choices = re.findall(r"'([^']*)'", str(first.get("ctx", {}).get("expected", "")))
    return said.replace("a valid tuple", a_list) + nearest(str(first["input"]), choices)
