"""Defenses: what a client does to the messages that leave it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

from cutlayer.channel import Handler
from cutlayer.message import Message
from cutlayer.tap import Tap


@dataclass
class Defense(ABC):
    """A defense of one client. It is a dataclass; its fields are its options."""

    paper: ClassVar[str] = ""
    """The source, as one would cite it in a sentence."""
    plain: ClassVar[str] = ""
    """What it does, in plain words."""
    seed: int = field(default=0, kw_only=True)
    """The root of its own random stream, of no other client's or defense's; set by whoever makes it."""

    @abstractmethod
    def guard(self, message: Message) -> Message:
        """The message that leaves the client instead of ``message``."""

    def idle(self, sent: Collection[str]) -> str:
        """Which option changes nothing where a client sends the tensors ``sent``, as key = value; empty for none."""
        return ""

    def tap(self, drives: bool) -> Tap:
        """This defense at a client that drives (guards its requests) or answers (guards its replies)."""

        def around(request: Message, handler: Handler) -> Message:
            return handler(self.guard(request)) if drives else self.guard(handler(request))

        return around
