"""A client's noise, whatever a server says of turns and steps: it is never that of other data."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cutlayer.codec import decode, encode
from cutlayer.defenses.gaussian_noise import GaussianNoise
from cutlayer.deploying.member import Member
from cutlayer.deploying.turn import Turn
from cutlayer.message import Kind, Message
from cutlayer.transport.duplex import control
from tests.deploying.test_hostile_server import Server, say
from tests.deployments import Deployment, made_here, plan_of
from tests.scenes import made

__all__ = ["made", "made_here"]
pytestmark = pytest.mark.usefixtures("made", "made_here")
OWN = {"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigma": 0.2}}}
CLOSE = 0.2
"""More than the correlation of any two noises of so many values."""


class Steering(Server):
    """It answers whatever the client asks in training with a gradient of its own choice."""

    grad = 0.0

    def send(self, frame: bytes) -> None:
        super().send(frame)
        if control(frame) is None:
            request = decode(frame)
            grad = torch.full_like(request["smashed"], self.grad)
            self.words.insert(0, encode(request.reply("server", grad=grad, loss=torch.tensor(1.0))))


class Lying(Steering):
    """After the first turn it wants the same step with other weights."""

    def tell(self, verb: str, **fields: Any) -> None:
        super().tell(verb, **fields)
        self.grad += 1.0 * (verb == "done")


def begin(number: int, **at: int) -> bytes:
    return say("begin", at=asdict(Turn(number, **{"epoch": 1, "count": 2, **at})))


def left(folder: Path, link: Server, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Message, Tensor]]:
    """What leaves a client as ``link`` leads it, and the noise on it."""
    clean, guard = list[Message](), GaussianNoise.guard

    def noted(defense: GaussianNoise, message: Message) -> Message:
        clean.append(message)
        return guard(defense, message)

    place = Deployment(plan_of(), folder, own=OWN).place("c0")
    with monkeypatch.context() as patched:
        patched.setattr(GaussianNoise, "guard", noted)
        Member(place, None, lambda: link).run(once=True)  # type: ignore[arg-type, return-value]
    sent = [decode(frame) for frame in link.sent]
    return [(one, one["smashed"] - raw["smashed"].detach()) for raw, one in zip(clean, sent, strict=True)]


@pytest.mark.parametrize("other", [{"first": 2}, {"epoch": 2}], ids=str)
def test_a_step_that_is_taken_again_with_other_data_carries_other_noise(
    tmp_path: Path, other: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a turn was skipped, and as often as a server likes."""
    words = [begin(1), say("drive", step=0), say("abandon", turn=1), begin(2, **other), say("drive", step=0)]
    found = left(tmp_path, Steering(*words), monkeypatch)
    assert [message.step for message, _ in found] == [0, 1, 0, 1]
    apart(found)


def test_a_step_that_is_taken_again_with_other_weights_carries_other_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = left(tmp_path, Lying(begin(1), say("drive", step=0), say("drive", step=0)), monkeypatch)
    assert [message.step for message, _ in found] == [0, 1, 0, 1]
    assert encode(found[0][0]) == encode(found[2][0]), "the same data, and the same message"
    apart(found[1:])


def test_a_step_that_is_taken_again_is_the_same_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = say("drive", step=0)
    words = [begin(1), drive, drive, say("abandon", turn=1), begin(2), drive]
    found = left(tmp_path, Steering(*words), monkeypatch)
    assert {encode(message) for message, _ in found} == {encode(message) for message, _ in found[:2]}
    assert len(found) == 6


def test_data_that_are_ordered_as_another_step_carry_the_same_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else a mean over many such orders would be free of it."""
    words = [begin(1), say("drive", step=0), begin(2, start=2), say("drive", step=2)]
    found = left(tmp_path, Steering(*words), monkeypatch)
    assert [message.step for message, _ in found] == [0, 1, 2, 3]
    assert torch.equal(found[0][1], found[2][1])


def test_an_evaluation_that_is_asked_for_again_shows_no_other_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Evaluating(Server):
        def send(self, frame: bytes) -> None:
            super().send(frame)
            request = decode(frame)
            self.words.insert(0, encode(request.reply("server", logits=torch.zeros(len(request["smashed"]), 4))))

    found = left(tmp_path, Evaluating(*[say("evaluate", epoch=1)] * 3), monkeypatch)
    assert [message.kind for message, _ in found] == [Kind.PREDICT] * 3
    assert len({tuple(noise.flatten().tolist()) for _, noise in found}) == 1


def apart(found: list[tuple[Message, Tensor]]) -> None:
    """No two of these messages share their noise, in any part."""
    for (_, one), (_, other) in combinations(found, 2):
        assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()[: one.numel()]]))[0, 1].abs() < CLOSE
