"""The shelf of the process that has started this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class CallersShelf:
    """What lies there is asked for: no file of the run is opened here."""

    ask: Callable[[str, str], tuple[Any, Mapping[str, Tensor]]]
    """A verb and its content, told to the caller: what it answers."""
    tell: Callable[[str, str, Mapping[str, Tensor]], None]

    def take(self, key: str) -> Mapping[str, Tensor] | None:
        """None where nothing lies under ``key``."""
        there, found = self.ask("take", key)
        return found if there else None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """For the attacks that come."""
        self.tell("put", key, tensors)
