"""An attack that keeps the contract though it could tamper, and breaks one clause of it where it is told to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mutant import Mutant

from cutlayer.attack import TamperingAttack
from cutlayer.channel import Handler
from cutlayer.message import Message
from cutlayer.threat import ThreatModel


@dataclass
class TamperingMutant(Mutant, TamperingAttack):
    """Guesses as the other one does, and passes on what it is asked."""

    @property
    def threat(self) -> ThreatModel:
        return dataclasses.replace(super().threat, tampers=True)

    def around(self, request: Message, honest: Handler) -> Message:
        super().observe(request)
        return honest(request)
