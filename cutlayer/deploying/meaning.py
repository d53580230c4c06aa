"""What the numbers in a party's data stand for, as digests: others can compare them, and read only what they guess."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from itertools import zip_longest

from cutlayer.dataset import Dataset

ASPECTS = {
    "classes": "the classes or their order",
    "features": "the columns, the words in them, or their order",
    "ranges": "the numbers of a column that become 0 and 1 (table.columns)",
}
_UNSCALED = (0.0, 1.0)
_SHOWN = 12


def meaning(dataset: Dataset, plan: str) -> dict[str, str]:
    """A digest for each aspect of ``dataset``, to be compared within the plan that has the fingerprint ``plan``."""
    said = {aspect: json.dumps([plan, aspect, getattr(dataset, aspect)]) for aspect in ASPECTS}
    return {aspect: hashlib.sha256(text.encode()).hexdigest()[:32] for aspect, text in said.items()}


def unlike(one: str, of_one: Mapping[str, str], other: str, of_other: Mapping[str, str]) -> str:
    """What the data of ``one`` and of ``other`` do not have alike, in one sentence; empty where they mean the same."""
    found = [told for aspect, told in ASPECTS.items() if of_one.get(aspect) != of_other.get(aspect)]
    differing = "; ".join(found)
    return f"numbers in the data of {one} and of {other} mean different things, by {differing}" if found else ""


def in_words(dataset: Dataset) -> str:
    """What they stand for, in one line for whoever brings them."""
    spans = zip_longest(dataset.features, dataset.ranges, fillvalue=_UNSCALED)
    features = [f"{name}" if span == _UNSCALED else f"{name} {span[0]:g}..{span[1]:g}" for name, span in spans]
    said = {"classes": [f"{number} {name}" for number, name in enumerate(dataset.classes)], "features": features}
    return "; ".join(f"{aspect} {_few(words)}" for aspect, words in said.items() if words)


def _few(words: Iterable[str]) -> str:
    every = [*words]
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
