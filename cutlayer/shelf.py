"""Where attacks of one run leave what they have made: whoever would make the same again takes it from there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor

from cutlayer.state import Tensors, as_bytes, as_tensor, named, under


class Shelf(Protocol):
    """Tensors by a key that names all that they depend on."""

    def take(self, key: str) -> Mapping[str, Tensor] | None:
        """What lies under ``key``; None where nothing does."""

    def put(self, key: str, tensors: Tensors) -> None:
        """Lay ``tensors`` there; whoever was first may keep the place."""


def made(shelf: Shelf | None, key: str, make: Callable[[], Tensors], notes: dict[str, Any]) -> tuple[Tensors, float]:
    """What ``make`` gives, from the ``shelf`` where it lies there; and the seconds that this has spared.

    What ``make`` puts into ``notes`` is there in either case.
    """
    found = shelf.take(key) if shelf else None
    if found is not None:
        told = json.loads(as_bytes(found["told"]))
        notes |= told["notes"]
        return under("made", found), told["seconds"]
    before, start = dict(notes), time.perf_counter()
    fresh = make()
    if shelf:
        told = {
            "notes": {name: value for name, value in notes.items() if before.get(name) != value},
            "seconds": time.perf_counter() - start,
        }
        shelf.put(key, {**named("made", fresh), "told": as_tensor(json.dumps(told).encode())})
    return fresh, 0.0
