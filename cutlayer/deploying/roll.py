"""Who is there: the clients that have joined a server, and what they said of themselves."""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from cutlayer.data.samples import Samples
from cutlayer.deploying.meaning import unlike
from cutlayer.deploying.terms import LANGUAGE, Plan, differences
from cutlayer.experiment import ExperimentError
from cutlayer.threat import Seat
from cutlayer.transport.duplex import DisconnectedError, Duplex, RefusedError, SilentError, control, printable

logger = logging.getLogger("cutlayer")
_HELLO_SECONDS = 30.0
_POLL = 0.5
_MOST_FAULTS = 3
"""Of a client while one thing is asked of it: nobody else waits for a fourth."""
_MOST_TURNS = 1_000_000
_MOST_BATCHES = 1 << 24
"""In one client's epoch: turns are worked out from a list of its batches, 128 MiB long at this bound."""


Digest = Annotated[str, Field(max_length=64)]


class Hello(BaseModel):
    """A client's first words."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    verb: str
    name: str = Field(max_length=63)
    language: int
    version: str = Field(max_length=40)
    plan: dict[str, object]
    turn: int = Field(ge=0)
    step: int = Field(ge=0)
    reach: int = Field(ge=0)
    rows: int = Field(ge=0, le=1 << 40)
    dataset: list[int] = Field(max_length=2)
    meaning: dict[Digest, Digest] = Field({}, max_length=8)
    labeled: str = ""

    def labeled_rows(self) -> Tensor:
        """The rows that the client can look up labels for, where the server drives."""
        held = np.frombuffer(base64.b64decode(self.labeled, validate=True), np.uint8)
        if len(self.dataset) != 2 or len(held) != (self.dataset[0] + 7) // 8:
            raise ValueError("as many bits as there are training rows")
        found = torch.from_numpy(np.unpackbits(held)[: self.dataset[0]]).nonzero().flatten()
        if len(found) != self.rows:
            raise ValueError("as many labeled rows as announced")
        return found


@dataclass
class Present:
    """A client that is connected."""

    link: Duplex
    hello: Hello
    turn: int
    """The latest turn it has begun."""
    step: int
    reach: int
    """The earliest step of that turn from which on it can stand at every one."""

    @property
    def name(self) -> str:
        """By the plan."""
        return self.hello.name


class Roll:
    """The clients of a plan, as far as they are there."""

    def __init__(self, plan: Plan, secure: bool, say: Callable[[str], None]) -> None:
        self._plan, self._secure, self._say = plan, secure, say
        self._agreed = plan.agreed()
        self._here: dict[str, Present] = {}
        self._changed = threading.Condition()
        self._away_since: dict[str, float] = {}
        self._faults: Counter[str] = Counter()
        self._rows: dict[str, int] = {}
        self._meaning: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Who may come."""
        terms = self._plan.terms
        return (*terms.clients, *filter(None, [terms.trusted_party]))

    def admit(self, link: Duplex) -> None:
        """Let a client in that has just connected; ``RefusedError`` when its plan is another one."""
        said = control(link.receive(_HELLO_SECONDS))
        try:
            hello = Hello.model_validate(said)
        except ValidationError:
            raise RefusedError("the first message is not a greeting of a cutlayer client") from None
        if hello.name not in self.names or (self._secure and hello.name != link.name):
            raise RefusedError(f"{hello.name!r} is not {link.name!r}, or no party of this plan")
        link.name = hello.name
        if hello.language != LANGUAGE:
            raise RefusedError(
                f"language {hello.language} is spoken by version {printable(hello.version)}, {LANGUAGE} here"
            )
        difference = differences(self._agreed, hello.plan, hello.name)
        if difference:
            raise RefusedError(f"the plans differ: {difference}")
        self._sensible(hello)
        link.listening = False
        with self._changed:
            other = self._other_data(hello)
            if other:
                raise RefusedError(other)
            former = self._here.get(hello.name)
            if former and isinstance(former.link.why, RefusedError | SilentError):
                self._faults[hello.name] += 1
            self._here[hello.name] = Present(link, hello, hello.turn, hello.step, hello.reach)
            self._changed.notify_all()
        if former:
            former.link.close(RefusedError(f"{hello.name} has connected anew"))
        self._say(f"{hello.name} has joined, at step {hello.step}")

    def _sensible(self, hello: Hello) -> None:
        experiment = self._plan.experiment
        batches = -(-hello.rows // experiment.batch_size)
        turns = experiment.epochs * (-(-batches // experiment.turn) if experiment.turn else 1)
        if turns > _MOST_TURNS:
            raise RefusedError(f"{hello.rows} rows would make {turns} turns of one client, at most {_MOST_TURNS}")
        if batches > _MOST_BATCHES:
            raise RefusedError(
                f"{hello.rows} rows would make {batches} batches in an epoch of one client, at most {_MOST_BATCHES}"
            )
        if self._plan.protocol.driver is Seat.SERVER:
            try:
                hello.labeled_rows()
            except ValueError as error:
                raise RefusedError(f"the rows that {hello.name} has labels for are malformed: {error}") from None

    def hold_to(self, rows: Mapping[str, int], meaning: Mapping[str, str]) -> None:
        """From now on refuse a client with another number of training rows than in ``rows``: turns depend on it.

        And one whose data do not have the ``meaning`` that all had in the beginning.
        """
        with self._changed:
            self._rows, self._meaning = dict(rows), dict(meaning)
            here = [*self._here.values()]
        for present in here:
            other = self._other_data(present.hello)
            if other:
                present.link.close(RefusedError(other))

    def _other_data(self, hello: Hello) -> str:
        if hello.name not in self._rows:
            return ""
        noted = self._rows[hello.name]
        if noted != hello.rows:
            return (
                f"{hello.name} has {hello.rows} training rows and began this training with {noted}: it goes on with "
                "the data of then alone (dataset, train_rows, share)"
            )
        return unlike(hello.name, hello.meaning, "all when the training began", self._meaning)

    def same_rows(self, own: Samples | None, there: Sequence[Present]) -> None:
        """Refuse clients with other rows than the server's: where it drives, both mean the same by a row number."""
        assert own
        wanted = [len(own.train_rows), len(own.test_rows)]
        for present in there:
            if present.hello.dataset != wanted:
                found, name = present.hello.dataset, present.name
                why = f"row numbers do not match: {name} has {found} rows (training, test), the server {wanted}"
                present.link.close(RefusedError(why))
                raise ExperimentError(why)

    def same_meaning(self, own: Mapping[str, str], there: Sequence[Present]) -> bool:
        """Refuse clients to whose data numbers mean something else than to the server's ``own``; whether all stay.

        Where it has none, the first client's count.
        """
        first = there[0]
        wanted, whose = (own, "the server") if own else (first.hello.meaning, first.name)
        found = [(one, unlike(one.name, one.hello.meaning, whose, wanted)) for one in there]
        other = [(one, why) for one, why in found if why]
        for one, why in other:
            one.link.close(RefusedError(why))
        if other and not own:
            # Which of two is wrong, only their owners know.
            with contextlib.suppress(DisconnectedError, RefusedError):
                first.link.tell("wait", why=other[0][1])
        return not other

    def present(self, name: str) -> Present | None:
        """The client ``name`` where it is connected."""
        with self._changed:
            found = self._here.get(name)
            return found if found and found.link.alive else None

    def hopeless(self, name: str) -> bool:
        """Whether the client ``name`` has come back too often after it was refused, or did not answer in time."""
        with self._changed:
            return self._faults[name] >= _MOST_FAULTS

    def forgive(self) -> None:
        """Something else is asked of the clients from now on."""
        with self._changed:
            self._faults.clear()

    def wait(self, name: str, seconds: float, may_give_up: Callable[[], bool]) -> Present | None:
        """The client ``name``, waited for; ``None`` once it has been away for ``seconds`` and ``may_give_up``.

        Who is hopeless is as good as away.
        """
        told = False
        while True:
            if self.hopeless(name) and may_give_up():
                return None
            found = self.present(name)
            if found:
                self._away_since.pop(name, None)
                return found
            since = self._away_since.setdefault(name, time.monotonic())
            if not told:
                self._say(f"waiting for {name}")
                told = True
            if time.monotonic() - since > seconds and may_give_up():
                return None
            with self._changed:
                self._changed.wait(_POLL)
