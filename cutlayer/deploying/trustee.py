"""The party that keeps the client part between turns, where the plan names one that all clients trust."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cutlayer import __version__
from cutlayer.codec import FrameError, decode, encode
from cutlayer.deploying.member import read_number, read_offer, read_turn
from cutlayer.deploying.seal import Taker, context_of, seal
from cutlayer.deploying.terms import LANGUAGE, Plan
from cutlayer.disk import PRIVATE, sweep, write_whole
from cutlayer.layout import PartyFolder
from cutlayer.message import Kind
from cutlayer.threat import Progress
from cutlayer.transport.certificate import Identity
from cutlayer.transport.duplex import DisconnectedError, Duplex, RefusedError, control, printable

_PAUSE = 1.0
_FAREWELL_SECONDS = 10.0


@dataclass
class Trustee:
    """It opens what a client has sealed for it, and seals it for the next client."""

    plan: Plan
    identity: Identity
    folder: Path
    dial: Callable[[], Duplex]
    watch: Progress
    pins: dict[str, str]
    _taker: Taker | None = None

    @property
    def _held(self) -> Path:
        return PartyFolder(self.folder).client_part

    def run(self) -> None:
        """Keep and give until the training is over; then nothing is left here."""
        # A kill while it was written leaves weights that nobody would look for.
        sweep(PartyFolder(self.folder).state)
        while True:
            link = self.dial()
            try:
                self._talk(link)
                self._forget()
                return
            except DisconnectedError as error:
                self.watch(f"no connection ({printable(str(error))}); trying again", 0, 0)
                time.sleep(_PAUSE)
            finally:
                link.close()

    def _talk(self, link: Duplex) -> None:
        nothing = {"turn": 0, "step": 0, "reach": 0, "rows": 0, "dataset": [0, 0]}
        known = {"language": LANGUAGE, "version": __version__, "plan": self.plan.agreed()}
        link.tell("hello", name=self.identity.name, **known, **nothing)
        heard = False
        while True:
            frame = link.receive()
            if not heard:
                self.watch("keeping the client part between turns", 0, 0)
            heard, said = True, control(frame)
            if said is None:
                self._keep(frame)
                link.tell("ready")
            elif said["verb"] == "take":
                giver = str(said.get("giver"))
                context = context_of(self.plan, read_turn(said).number, giver, self.identity.name)
                self._taker = Taker(self.identity, context)
                offer = {name: base64.b64encode(v).decode() for name, v in asdict(self._taker.offer).items()}
                link.tell("offered", **offer)
            elif said["verb"] == "give":
                link.send(self._given(said))
            elif said["verb"] == "finish":
                link.tell("done")
                with contextlib.suppress(DisconnectedError, RefusedError):
                    link.receive(_FAREWELL_SECONDS)
                return

    def _keep(self, frame: bytes) -> None:
        if self._taker is None:
            raise FrameError("the server hands over a client part that nobody asked for")
        part = self._taker.open(decode(frame), self.pins)
        if part.kind is not Kind.WEIGHTS:
            raise FrameError("what was sealed is no client part")
        write_whole(self._held, encode(part), PRIVATE)
        self._taker = None

    def _forget(self) -> None:
        self._held.unlink(missing_ok=True)
        # None where no client part came; one that holds something else is not this party's alone.
        with contextlib.suppress(OSError):
            self._held.parent.rmdir()

    def _given(self, said: dict[str, Any]) -> bytes:
        context = context_of(self.plan, read_number(said, "turn"), self.identity.name, str(said.get("taker")))
        part = decode(self._held.read_bytes())
        return encode(seal(part, read_offer(said), self.identity, context, self.pins))
