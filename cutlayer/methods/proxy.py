"""Evasion by a proxy: inputs are made adversarial on a network at hand, in the hope that they fool the deployment."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.attack import Attack, Guess, Setting
from cutlayer.budget import Budget
from cutlayer.message import Kind, Message
from cutlayer.methods.fitting import Fitting
from cutlayer.methods.perturbation import CHUNK, device_of, renewed
from cutlayer.state import as_tensor, digest, under
from cutlayer.threat import Goal, Knows, Seat, ThreatModel, View

_TRAINED = (Knows.OWN_PART, Knows.PEER_ARCHITECTURE, Knows.AUX_INPUTS, Knows.AUX_LABELS, Knows.NATURAL_INPUTS)
_TRUE = (Knows.OWN_PART, Knows.PEER_ARCHITECTURE, Knows.PEER_WEIGHTS, Knows.NATURAL_INPUTS)

_LEAST = 10  # own images


@dataclass
class ProxyAttack(Attack):
    """A network of the deployment's architecture, trained with labels, on which inputs are perturbed.

    Neither Fan et al. nor the attacks' papers say how a proxy is trained on a few thousand images: here with Adam, from
    fresh weights, at a rate that is halved twice. The label whose probability is to fall is the proxy's own prediction
    for the natural input, so that the attack needs no true labels of what it perturbs. A poor proxy is often wrong
    there, and moving away from a wrong label is little use: ``labels="true"`` takes true ones, where they are offered.
    """

    plain: ClassVar[str] = (
        "A curious server knows the layers of the clients' parts and has labeled data of the same kind. It trains a "
        "network like the deployment's, and changes natural inputs until that network takes them for something else. "
        "It looks at no message."
    )
    setting: ClassVar[Setting] = Setting(protocol="u_shaped", when="after", targets=100, cuts=1)
    watches: ClassVar[frozenset[Kind]] = frozenset({Kind.PREDICT})
    stream: ClassVar[str] = "proxy"
    narrow: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"epochs": 6},
        "rehearsal": {"epochs": 1, "least_steps": 0},
    }

    epochs: int = 60
    """Of the proxy's training."""
    least_steps: int = 0
    """Steps that it takes at least: epochs are stretched where few images leave fewer; 0: as many as there are."""
    batch_size: int = 128
    """In the proxy's training."""
    learning_rate: float = 1e-3
    """Of the proxy's Adam."""

    labels: Literal["auto", "predicted", "true"] = "auto"
    """Whose probability is to fall; auto: predicted by a proxy, true on the deployment itself."""

    def __post_init__(self) -> None:
        if self.least_steps < 0:
            raise ValueError(f"least_steps = {self.least_steps}: it must be at least 0")
        self._fitting()

    @property
    def threat(self) -> ThreatModel:
        """A curious server with labeled data of its own; it tampers with nothing."""
        knows = {*(_TRUE if self._sees_victim() else _TRAINED), *([Knows.NATURAL_LABELS] if self._told() else [])}
        return ThreatModel(Seat.SERVER, frozenset({Goal.EVASION}), frozenset(knows))

    def suit(self, smashed: tuple[int, ...], inputs: tuple[int, ...], auxiliary: int) -> None:
        """``ValueError`` for too few images to train a proxy on."""
        if not self._sees_victim() and auxiliary < _LEAST:
            raise ValueError(f"aux_rows: {auxiliary} of its own are too few to train a proxy on: at least {_LEAST}")

    def idle(self) -> Mapping[str, str]:
        """What a proxy is trained with, where there is none."""
        trained = ("epochs", "least_steps", "batch_size", "learning_rate") if self._sees_victim() else ()
        return {**super().idle(), **dict.fromkeys(trained, "it perturbs on the deployment itself, and trains no proxy")}

    def work(self, targets: int, auxiliary: int) -> int:
        """Steps of the proxy's training, and slopes taken for the targets."""
        trained = 0 if self._sees_victim() else self._fitting().over(auxiliary, self.least_steps).steps(auxiliary)
        return trained + ceil(targets / CHUNK) * self._slopes()

    def begin(self, view: View) -> None:
        """Nothing is asked for yet."""
        self._view = view

    def observe(self, message: Message) -> None:
        """Messages tell it nothing that it uses."""

    def infer(self) -> Sequence[Guess]:
        """Adversarial inputs at every budget of the experiment.

        What is made on a proxy depends on no victim: attacks of the run on several victims make it once. Of the first
        budget's it notes how many its own network takes for something else now: those that do not get that far fail
        before they are carried over.
        """
        view = self._view
        proxy = (self._true() if self._sees_victim() else self._trained()).eval().requires_grad_(False)
        parts, device = torch.split(view.natural_inputs(), CHUNK), device_of(proxy)
        weights = digest(*(tensor.cpu() for tensor in proxy.state_dict().values()))
        predicted = [proxy(part.to(device)).argmax(1) for part in parts]
        labels = torch.split(view.natural_labels(), CHUNK) if self._told() else predicted
        own = {} if self._sees_victim() else {"predicted": torch.cat(predicted).cpu()}
        guesses = []
        for budget in view.budgets:
            batches = view.track(tuple(zip(parts, labels, strict=True)), "perturbing inputs")
            changed = [self._changed(proxy, weights, part, of.cpu(), budget) for part, of in batches]
            tensors = {"inputs": torch.cat(changed), **({} if budget.name else own)}
            if not budget.name:
                fooled = proxy(changed[0].to(device)).argmax(1) != predicted[0]
                view.note("own_changed", fooled.float().mean().item())
            guesses.append(Guess(Goal.EVASION, tensors, tuple(view.targets), name=budget.name))
        return guesses

    @abstractmethod
    def perturb(self, proxy: nn.Module, natural: Tensor, labels: Tensor, budget: Budget) -> Tensor:
        """``natural`` [n, ...], of ``labels`` [n], changed within ``budget`` and [0, 1] until they look like others."""

    def _slopes(self) -> int:
        """How many slopes ``perturb`` takes."""
        return 1

    def _sees_victim(self) -> bool:
        """Whether it perturbs on the deployment itself."""
        return False

    def _told(self) -> bool:
        """Whether it knows the true labels of what it perturbs."""
        return self.labels == "true" or (self.labels == "auto" and self._sees_victim())

    def _fitting(self) -> Fitting:
        return Fitting(self.epochs, self.batch_size, self.learning_rate, 1e-8, max(1, ceil(self.epochs / 3)))

    def _changed(self, proxy: nn.Module, weights: str, natural: Tensor, labels: Tensor, budget: Budget) -> Tensor:
        """``natural`` perturbed on ``proxy`` of these ``weights``, unless an attack of the run has left the same."""
        device = device_of(proxy)

        def perturb() -> Tensor:
            return self.perturb(proxy, natural.to(device), labels.to(device), budget).cpu()

        if self._sees_victim():
            return perturb()
        seed = int(torch.randint(1 << 62, ()))

        def make() -> Mapping[str, Tensor]:
            with _drawing(seed, device):
                return {"inputs": perturb()}

        key = digest(as_tensor(f"{self} {budget.reach} {weights} {seed}".encode()), natural, labels)
        return self._view.made_once(key, make)["inputs"]

    def _trained(self) -> nn.Module:
        """The proxy: trained, or taken from an attack of the run that has trained the same one."""
        view, seed = self._view, int(torch.randint(1 << 62, ()))
        own, inputs, labels = self._own(), view.aux_inputs(), view.aux_labels()
        device = device_of(own)
        view.note("proxy_images", len(inputs))
        fitting = self._fitting().over(len(inputs), self.least_steps)
        with _drawing(seed, device):
            # Weights are drawn on the CPU: that is where the attack's own stream is.
            proxy = nn.Sequential(*self._parts(renewed(own.cpu())))
            told = as_tensor(f"{fitting} {seed}".encode())
            key = digest(told, inputs, labels, *proxy.state_dict().values())
            proxy.to(device)

            def train() -> Mapping[str, Tensor]:
                fitting.fit(proxy, inputs, labels, cross_entropy, view, "proxy")
                return proxy.state_dict()

            proxy.load_state_dict(view.made_once(key, train))
        return proxy.eval()

    def _true(self) -> nn.Module:
        own, weights = self._own(), self._view.peer_weights()
        parts = self._parts(own)
        for number, part in enumerate(part for part in parts if part not in own):
            part.load_state_dict(under(str(number), weights))
        return nn.Sequential(*parts).to(device_of(own))

    def _own(self) -> nn.ModuleList:
        """Copies of the server's parts."""
        held = self._view.layout.owners.count(Seat.SERVER)
        return nn.ModuleList(self._view.own_part(number) for number in range(held))

    def _parts(self, own: nn.ModuleList) -> list[nn.Module]:
        """The deployment's parts in order: the server's ``own``, the other seat's with fresh weights."""
        peer = self._view.peer_architecture()
        theirs, ours = iter([peer.build(number) for number in range(len(peer.input_shapes))]), iter(own)
        return [next(ours if owner is Seat.SERVER else theirs) for owner in self._view.layout.owners]


@contextmanager
def _drawing(seed: int, device: torch.device) -> Iterator[None]:
    """On numbers of its own: what is drawn behind it is the same, whoever has made what is made within."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
