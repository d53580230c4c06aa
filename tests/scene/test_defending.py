"""A defense keeps nothing from message to message: one that does is refused before anything is trained."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from cutlayer import registry
from cutlayer.defense import Defense
from cutlayer.defenses.gaussian_noise import GaussianNoise
from cutlayer.defenses.int8_quantization import Int8Quantization
from cutlayer.experiment import ExperimentError, make
from cutlayer.message import Kind, Message
from cutlayer.registry import PluginError
from cutlayer.scene import defending
from cutlayer.scene.defending import check_stateless, make_defenses
from cutlayer.seat.making import make_protocol
from tests.scenes import made, scene_of

__all__ = ["made"]
PROTOCOLS = [make_protocol(name) for name in registry.names("protocols")]


class Changes(Defense):
    """A defense of whatever floating-point tensors a message carries."""

    def guard(self, message: Message) -> Message:
        numbers = {name: t for name, t in message.tensors.items() if t.is_floating_point()}
        return message.replace(**{name: self.changed(name, tensor, message) for name, tensor in numbers.items()})

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        raise NotImplementedError


@dataclass
class ErrorFeedback(Changes):
    _left: dict[tuple[object, ...], Tensor] = field(default_factory=dict, init=False)

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        wanted = tensor + self._left.get((name, *tensor.shape), 0)
        self._left[(name, *tensor.shape)] = wanted - wanted.round()
        return wanted.round()


@dataclass
class RunningNorm(Changes):
    """The first message passes as it is, and so does any that is no larger than those before."""

    _norm: float | None = field(default=None, init=False)

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        own = float(tensor.norm())
        self._norm = own if self._norm is None else 0.9 * self._norm + 0.1 * own
        return tensor * min(1.0, self._norm / own)


@dataclass
class EverySecond(Changes):
    _asked: int = field(default=0, init=False)

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        self._asked += 1
        return tensor * (self._asked % 2)


@dataclass
class RunsOut(EverySecond):
    """As long as it lasts."""

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        self._asked += 1
        return tensor * (self._asked < 25)


@dataclass
class EarlierLabels(Defense):
    _before: Counter[int] = field(default_factory=Counter, init=False)

    def guard(self, message: Message) -> Message:
        if "labels" not in message:
            return message
        self._before.update(message["labels"].tolist())
        return message.replace(labels=torch.full_like(message["labels"], self._before.total()))


@dataclass
class Momentum(Changes):
    """Of the gradients that a client replies with."""

    _kept: float = field(default=0.0, init=False)

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        if name != "grad":
            return tensor
        self._kept = 0.9 * self._kept + float(tensor.mean())
        return tensor + self._kept


@dataclass
class ByThePrediction(Changes):
    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        return tensor / (1 + message.step) if message.kind is Kind.PREDICT else tensor


class ByChance(Changes):
    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        return tensor + torch.randn(tensor.shape)


@dataclass
class ByChanceWhenMade(Changes):
    def __post_init__(self) -> None:
        self._factor = float(torch.rand(()))

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        return self._factor * tensor


class MapsAlone(EverySecond):
    """It takes nothing but feature maps."""

    takes: ClassVar[int] = 4

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        if tensor.ndim != self.takes:
            raise ValueError(f"it takes tensors of {self.takes} dimensions")
        return super().changed(name, tensor, message)


class DenseAlone(MapsAlone):
    takes = 2


@dataclass
class Carried(Int8Quantization):
    """A wire codec with error feedback."""

    _over: float = field(default=0.0, init=False)

    def pack(self, tensor: Tensor) -> dict[str, Tensor]:
        packed = dict(super().pack(tensor + self._over))
        self._over = float((tensor - self.unpack(packed)).mean())
        return packed


@pytest.mark.parametrize(
    "kind",
    [
        *(ErrorFeedback, RunningNorm, EverySecond, RunsOut, EarlierLabels, Momentum),
        *(ByThePrediction, ByChance, ByChanceWhenMade, MapsAlone, DenseAlone, Carried),
    ],
)
def test_one_that_goes_by_more_than_the_message_is_refused(kind: type[Defense]) -> None:
    with pytest.raises(PluginError) as error:
        check_stateless("mine", kind, PROTOCOLS)
    assert str(error.value).startswith("mine: the same message does not leave it the same each time: ")
    assert "\n" not in str(error.value)


@dataclass
class Fading(Changes):
    """Noise that grows less from step to step of the training, and overwrites what it is given."""

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        noise = torch.from_numpy(self.draws(tensor).standard_normal(tuple(tensor.shape), "float32"))
        return tensor.add_(noise / (1 + (message.step if message.kind is not Kind.PREDICT else 0)))


@dataclass
class Masked(Changes):
    """It remembers the mask for a shape, and has to see as many values as a real one has."""

    least: int = 1
    _masks: dict[torch.Size, Tensor] = field(default_factory=dict, init=False)

    def changed(self, name: str, tensor: Tensor, message: Message) -> Tensor:
        tensor.flatten().topk(self.least)
        shape = tensor.shape[1:]
        if shape not in self._masks:
            drawn = self.draws(torch.zeros(shape)).random(tuple(shape), "float32")
            self._masks[shape] = torch.from_numpy(drawn) < 0.5
        return tensor * self._masks[shape]


@pytest.mark.parametrize(
    "defense", [Fading(), Masked(), Masked(least=10**6), GaussianNoise(), Int8Quantization()], ids=repr
)
def test_one_that_goes_by_the_message_passes(defense: Defense) -> None:
    options = {"least": defense.least} if isinstance(defense, Masked) else {}
    check_stateless("mine", lambda: type(defense)(**options), PROTOCOLS)


OWN = '''"""A client that scales what it sends by how much it has sent."""
from dataclasses import dataclass, field
from cutlayer.defense import Defense


@dataclass
class Counted(Defense):
    _sent: int = field(default=0, init=False)

    def guard(self, message):
        self._sent += 1
        return message.replace(grad=message["grad"] * self._sent) if "grad" in message else message
'''


@pytest.mark.usefixtures("made")
def test_an_experiment_with_such_a_defense_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "defenses").mkdir()
    (tmp_path / "defenses" / "counted.py").write_text(OWN)
    asked = {"plugins": tmp_path, "model": "lenet", "attack": "unsplit", "defense": "half_precision+counted"}
    # There a client sends nothing that it changes.
    assert make_defenses(make({**asked, "protocol": "vanilla"}))
    for protocol in ("auto", "label_only"):
        with pytest.raises(ExperimentError, match=r"^counted: the same message does not leave it the same each time"):
            scene_of(**asked, protocol=protocol)


def test_it_is_tried_once_and_not_for_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    monkeypatch.setattr(defending, "_STATELESS", set())
    monkeypatch.setattr(defending, "check_stateless", lambda name, made, protocols: tried.append(name))
    for sigma in (0.5, 0.5, 2.0):
        given = {"defense": "gaussian_noise", "options": {"gaussian_noise": {"sigma": sigma}}, "clients": 3}
        for client in range(3):
            assert len(make_defenses(make(given), client)) == 1
    assert tried == ["gaussian_noise"] * 2


def test_trying_it_advances_no_stream_and_leaves_the_defense_as_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defending, "_STATELESS", set())
    guarded: list[Defense] = []
    guard = GaussianNoise.guard
    monkeypatch.setattr(GaussianNoise, "guard", lambda own, message: (guarded.append(own), guard(own, message))[1])
    before = torch.get_rng_state()
    (own,) = make_defenses(make({"defense": "gaussian_noise"}))
    assert guarded
    assert all(other is not own for other in guarded)
    with pytest.raises(PluginError):
        check_stateless("mine", ByChance, PROTOCOLS)
    assert torch.equal(torch.get_rng_state(), before)
