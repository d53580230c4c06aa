"""Defenses: what a client does to the messages that leave it."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from cutlayer.channel import Handler
from cutlayer.message import Message
from cutlayer.tap import Tap


@dataclass
class Defense(ABC):
    """A defense of one client. It is a dataclass; its fields are its options.

    It is stateless: what leaves depends on the message, the options and the seed, and on nothing that passed before.
    No checkpoint holds anything of it, and training steps, evaluations, targets and an adversary's queries all pass
    the same object: whatever it kept, such as a remainder or a running norm, would differ after a resume, in another
    process, or because somebody watched. ``make_defenses`` refuses one that is seen to do so.
    """

    paper: ClassVar[str] = ""
    """The source, as one would cite it in a sentence."""
    plain: ClassVar[str] = ""
    """What it does, in plain words."""
    seed: int = field(default=0, kw_only=True, metadata={"option": False})
    """The root of its own random streams, of no other client's or defense's; set by whoever makes it."""

    @abstractmethod
    def guard(self, message: Message) -> Message:
        """The message that leaves the client instead of ``message``.

        The step of a ``PREDICT`` message counts those before it, and is nothing to go by.
        """

    def idle(self, sent: Collection[str]) -> str:
        """Which option changes nothing where a client sends the tensors ``sent``, as key = value; empty for none."""
        return ""

    @final
    def draws(self, data: Tensor) -> np.random.Generator:
        """Random numbers for ``data``: the same ones again for the same values, to the bit, and others for any others.

        A stream named by the step would serve other data, too, whenever a server has the step taken again with them:
        the difference of both messages would be free of noise. The number of a step is the server's to say.
        """
        values = data.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
        key = hmac.digest(str(self.seed).encode(), values, "sha256")
        # Torch's own generator starts from 32 bits of its seed, few enough to try out every one.
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "big")))

    def tap(self, drives: bool) -> Tap:
        """This defense at a client that drives (guards its requests) or answers (guards its replies)."""

        def around(request: Message, handler: Handler) -> Message:
            return handler(self.guard(request)) if drives else self.guard(handler(request))

        return around
