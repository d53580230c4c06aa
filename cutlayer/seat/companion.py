"""An adversary in the server's seat that attends a training together with others, and changes nothing of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from cutlayer.adversary import Adversary
from cutlayer.channel import Handler
from cutlayer.checksum import pack_checked
from cutlayer.message import Message
from cutlayer.seat.host import LocalOccupant

logger = logging.getLogger("cutlayer")


@final
class Companion:
    """A tap: what passes on is what was sent, whatever the adversary makes of it.

    One that fails, or that would change something after all, leaves: in a training of its own it does what it does.
    That holds for messages; what it does to the process, as any code can, is not undone.
    """

    def __init__(self, adversary: Adversary) -> None:
        """The adversary begins; what it raises passes through."""
        self._name = type(adversary.attack).__name__
        self._adversary: Adversary | None = adversary
        self._occupant = LocalOccupant(adversary)

    @property
    def present(self) -> bool:
        """Whether it is still there."""
        return self._adversary is not None

    def leave(self, why: str) -> None:
        """Be shown nothing any more, and hold nothing."""
        logger.info("%s no longer attends a training with others: %s", self._name, why)
        self._adversary, self._occupant = None, LocalOccupant(None)

    def __call__(self, message: Message, honest: Handler) -> Message:
        """What ``honest`` gives for ``message``, asked once."""
        if self._adversary is None:
            return honest(message)
        passing = _Passing(message, honest)
        try:
            if not passing.is_left_alone(self._adversary(message, passing)):
                self.leave("it would change what passes")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a companion that fails does so again in its own cell
            self.leave(f"it failed ({error})")
        return passing.reply()

    def memory(self) -> Mapping[str, Tensor] | None:
        """The adversary's state, which can be written; None where it has left, or cannot tell."""
        try:
            memory = self._occupant.memory()
            pack_checked(memory or {})
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            self.leave(f"its state cannot be kept ({error})")
            return None
        return memory

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Put the adversary where ``memory`` was taken; one that cannot go on from there leaves."""
        try:
            self._occupant.remember(memory)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            self.leave(f"it cannot go on from its state ({error})")


class _Passing:
    """A message on its way to the honest party, which answers it once, however often it is asked."""

    def __init__(self, message: Message, honest: Handler) -> None:
        self._message, self._honest = message, honest
        self._requests: list[Message] = []
        self._answer: Message | Exception | None = None

    def __call__(self, request: Message) -> Message:
        self._requests.append(request)
        return self.reply()

    def reply(self) -> Message:
        """The honest party's; what it has raised is raised again."""
        if self._answer is None:
            try:
                self._answer = self._honest(self._message)
            except Exception as error:  # noqa: BLE001 - kept, as an adversary in between may swallow it
                self._answer = error
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def is_left_alone(self, returned: Message) -> bool:
        """Whether the party was asked for what was sent, once, and its reply is what was ``returned``."""
        asked = [_same(request, self._message) for request in self._requests]
        return asked == [True] and _same(returned, self.reply())


def _same(one: Message, other: Message) -> bool:
    if one is other:
        return True
    told = (one.kind, one.sender, one.step) == (other.kind, other.sender, other.step)
    alike = told and one.tensors.keys() == other.tensors.keys()
    return alike and all(torch.equal(one[name], other[name]) for name in one)
