"""Defenses: what a party does to the messages that leave it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from cutlayer.channel import Handler
from cutlayer.message import Message
from cutlayer.tap import Tap
from cutlayer.threat import Seat


@dataclass
class Defense(ABC):
    """A defense of one seat. It is a dataclass; its fields are its options."""

    seat: ClassVar[Seat] = Seat.CLIENT
    """The seat that it protects."""
    paper: ClassVar[str] = ""
    """The source, as one would cite it in a sentence."""
    plain: ClassVar[str] = ""
    """What it does, in plain words."""
    seed: int = field(default=0, kw_only=True)
    """The root of its own random stream; set by the session."""

    @abstractmethod
    def guard(self, message: Message) -> Message:
        """The message that leaves the party instead of ``message``."""

    def tap(self, drives: bool) -> Tap:
        """This defense at a party that drives (guards its requests) or answers (guards its replies)."""

        def around(request: Message, handler: Handler) -> Message:
            return handler(self.guard(request)) if drives else self.guard(handler(request))

        return around
