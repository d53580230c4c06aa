"""What an attack sets of its process holds for itself alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from cutlayer.adversary import Adversary
from cutlayer.attack import Attack, TamperingAttack
from cutlayer.computing import Settings
from cutlayer.message import Kind, Message
from cutlayer.stream import Stream
from cutlayer.threat import Goal, Seat, ThreatModel, View

SET: dict[str, Callable[[], None]] = {
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "dtype": lambda: torch.set_default_dtype(torch.float64),
    "device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch._C._set_grad_enabled(False),
    "matmul": lambda: torch.set_float32_matmul_precision("medium"),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "warns": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
}


@dataclass
class Careless(TamperingAttack):
    """Sets something for all of its process, once, and notes by what it and the honest party compute."""

    paper = "none"
    plain = "A test."
    what: str = ""
    own: list[Settings] = field(default_factory=list)
    honest: list[Settings] = field(default_factory=list)

    @property
    def threat(self) -> ThreatModel:
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset(), tampers=True)

    def begin(self, view: View) -> None:
        SET[self.what]()
        self.own.append(Settings.found())

    def around(self, request: Message, honest: Callable[[Message], Message]) -> Message:
        reply = honest(request)
        self.own.append(Settings.found())
        return reply

    def infer(self) -> tuple[()]:
        self.own.append(Settings.found())
        return ()


def seated(attack: Attack) -> Adversary:
    return Adversary(attack, View(attack.threat, {}, ()), Stream(1))


def test_every_setting_is_tried() -> None:
    assert SET.keys() == Settings.__dataclass_fields__.keys()


@pytest.mark.parametrize("what", SET)
def test_what_an_attack_sets_holds_for_itself_alone(what: str) -> None:
    before, attack = Settings.found(), Careless(what=what)
    tap = seated(attack)

    def honest(request: Message) -> Message:
        attack.honest.append(Settings.found())
        return request.reply("server", loss=torch.zeros(()))

    message = Message(Kind.TRAIN, "client", 0, {"smashed": torch.ones(2, 3)})
    for act in (tap.begin, lambda: tap(message, honest), lambda: tap(message, honest), tap.infer):
        act()
        assert Settings.found() == before
    assert attack.honest == [before, before]
    assert len(attack.own) == 4
    assert set(attack.own) == {attack.own[0]}
    assert attack.own[0] != before


def test_one_that_fails_leaves_nothing_behind() -> None:
    @dataclass
    class Failing(Careless):
        def begin(self, view: View) -> None:
            super().begin(view)
            raise RuntimeError("over")

    before = Settings.found()
    with pytest.raises(RuntimeError, match="over"):
        seated(Failing(what="threads")).begin()
    assert Settings.found() == before


def test_the_threads_that_are_set_between_two_messages_hold_for_an_attack_that_has_set_none() -> None:
    attack, before = Careless(what="threads"), Settings.found()
    tap = seated(attack)
    message = Message(Kind.TRAIN, "client", 0, {"smashed": torch.ones(2, 3)})
    torch.set_num_threads(before.threads + 1)
    try:
        tap(message, lambda request: request.reply("server", loss=torch.zeros(())))
        assert [one.threads for one in attack.own] == [before.threads + 1]
    finally:
        before.put_back()
    tap(message, lambda request: request.reply("server", loss=torch.zeros(())))
    assert attack.own[1] == before
