"""Query-free inversion: a shadow of the client's part, trained through the server's own part, and inverted instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log2, prod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cutlayer.attack import Attack, Guess, Setting
from cutlayer.message import Kind, Message
from cutlayer.methods.fitting import Fitting
from cutlayer.methods.inversion import Variation
from cutlayer.methods.likelihood import Descent
from cutlayer.methods.overheard import Overheard
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, ThreatModel, View

EPSILON = 1e-3  # of both Adams, as in the published code


@dataclass
class InversionQueryFree(Attack):
    """He, Zhang, Lee: Model Inversion Attacks Against Collaborative Inference (ACSAC 2019), query-free setting.

    A shadow of the client's part learns, by cross-entropy, to give the server's own part what it can classify; then the
    white-box attack treats it as the real one. Departures from the paper, and what is taken where it is silent:

    * The paper's auxiliary data are the victim's own training data (``aux=train`` in an experiment) or others of the
      same distribution (``aux=test``).
    * The paper lists shadows of another architecture for five cuts. ``different`` builds one for any cut from the
      shapes on both sides, and for those five the listed ones. It takes inputs in [0, 1].
    * The shadow trains as the paper's victims do, its rate halved every 20 epochs; the server's part is in evaluation
      mode.
    * Total variation is squared and a mean over differences, with one weight for all cuts, as in the published code.
      Networks of the paper take normalized inputs, with which its steps are meant; see ``scale``.
    * Ours: without labeled data, the two things that "no data" can mean in UnSplit's comparison with this attack. A
      shadow trained on noise, uniform over the range, with labels drawn by chance; and one that is not trained.
    * Without auxiliary data the shape of the inputs is to be known, which nothing but the client's architecture tells.
    """

    paper: ClassVar[str] = "He, Zhang, Lee: Model Inversion Attacks Against Collaborative Inference (ACSAC 2019)"
    plain: ClassVar[str] = (
        "A server that follows the protocol looks at what it is sent anyway, the activations of a few predictions, and "
        "asks for nothing. It has its own part of the model and labeled data of the same kind, and may know the layers "
        "of the client's first part, not their weights. It trains a stand-in for that part on its data and "
        "reconstructs the inputs as if the stand-in were the real one."
    )
    setting: ClassVar[Setting] = Setting(protocol="vanilla", when="after", target_kind="predict", targets=0)
    watches: ClassVar[frozenset[Kind]] = frozenset({Kind.PREDICT})
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"epochs": 10, "halve_every": 4, "noise": 5000},
        "rehearsal": {"epochs": 1, "noise": 200, "iterations": 20},
    }

    shadow: Literal["same", "different"] = "same"
    """The shadow's architecture: the client's, or another that fits between inputs and activations."""
    data: Literal["labeled", "noise", "none"] = "labeled"
    """What the shadow is trained on: auxiliary inputs and their labels, noise with labels by chance, or nothing."""
    noise: int = 10_000
    """How many images of noise."""
    epochs: int = 50
    """How often the shadow sees its data."""
    batch_size: int = 32
    """Samples in a step of the shadow."""
    shadow_learning_rate: float = 1e-3
    """Of the shadow's Adam."""
    halve_every: int = 20
    """Epochs after which the shadow's learning rate is halved, again and again."""
    iterations: int = 500
    """Steps of the inputs."""
    learning_rate: float = 0.1
    """Of the inputs' Adam."""
    tv: Variation = "squared"
    """Total variation: ``squared``, as in the published code, or ``paper``, isotropic."""
    tv_weight: float = 2.0
    """Weight of total variation."""
    scale: float = 0.5
    """The standard deviation of normalized inputs: the paper's .5 on MNIST; on CIFAR-10 it has .229, .224 and .225."""

    def __post_init__(self) -> None:
        if self.noise < 1:
            raise ValueError(f"noise = {self.noise}: it takes at least 1 image")
        self._fitting()
        self._descent()

    @property
    def threat(self) -> ThreatModel:
        """A curious server with data, or without; the architecture only where it is the shadow's or tells a shape."""
        knows = set() if self.data == "none" else {Knows.OWN_PART}
        knows |= {Knows.AUX_INPUTS, Knows.AUX_LABELS} if self.data == "labeled" else {Knows.PEER_ARCHITECTURE}
        knows |= {Knows.PEER_ARCHITECTURE} if self.shadow == "same" else set()
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset(knows))

    def work(self, targets: int, auxiliary: int) -> int:
        """Steps of the shadow, and of the inputs counted for each target."""
        rows = {"labeled": auxiliary, "noise": self.noise, "none": 0}[self.data]
        return self._fitting().steps(rows) + targets * self.iterations

    def idle(self) -> Mapping[str, str]:
        """What concerns a training on other data, or on none."""
        trained = ("epochs", "batch_size", "shadow_learning_rate", "halve_every") if self.data == "none" else ()
        of_others = (*trained, *(("noise",) if self.data != "noise" else ()))
        return dict.fromkeys(of_others, f"the shadow is trained on data = {self.data}")

    def begin(self, view: View) -> None:
        """Nothing has been seen yet; ``NotOfferedError`` where there is nothing to invert or to train through."""
        self._overheard = Overheard(view)
        if view.layout.owners[-1] is Seat.CLIENT and self.data != "none":
            raise NotOfferedError(
                f"in {view.protocol} the last part is the client's: through its own part the server gets features, no "
                f"loss that data = {self.data!r} could train a shadow by"
            )
        self._view = view

    def observe(self, message: Message) -> None:
        """Keep the activations of predictions; which of them are targets may be announced later."""
        self._overheard.keep(message)

    def infer(self) -> Sequence[Guess]:
        """The inputs that would have given the targets' activations in the shadow, clipped to the range."""
        rows, smashed = self._overheard.targets()
        if not rows:
            return ()
        architecture = self._view.peer_architecture() if Knows.PEER_ARCHITECTURE in self.threat.knows else None
        given = self._view.aux_inputs() if self.data == "labeled" else None
        shape = tuple(given.shape[1:]) if given is not None else architecture.input_shapes[0] if architecture else ()
        if self.shadow == "same" and architecture is not None:
            network = architecture.build(0)
        else:
            network = different(shape, tuple(smashed.shape[1:]), rectified=bool((smashed >= 0).all()))
        network.to(smashed.device)
        if self.data != "none":
            self._train(network, torch.rand(self.noise, *shape) if given is None else given, smashed)
        inputs = self._descent().search(network, smashed, shape, self._view)
        return (Guess(Goal.INPUTS, {"inputs": inputs}, rows),)

    def _train(self, network: nn.Module, inputs: Tensor, smashed: Tensor) -> None:
        own_part = self._view.own_part().to(smashed.device).eval().requires_grad_(False)
        if self.data == "labeled":
            labels = self._view.aux_labels()
        else:
            labels = torch.randint(own_part(smashed[:1]).shape[1], (len(inputs),))

        def loss(outputs: Tensor, labels: Tensor) -> Tensor:
            return cross_entropy(own_part(outputs), labels)

        self._fitting().fit(network, inputs, labels, loss, self._view, "shadow")

    def _fitting(self) -> Fitting:
        return Fitting(self.epochs, self.batch_size, self.shadow_learning_rate, EPSILON, self.halve_every)

    def _descent(self) -> Descent:
        return Descent(self.iterations, self.learning_rate, EPSILON, self.tv_weight, self.tv, self.scale)


def different(inputs: tuple[int, ...], smashed: tuple[int, ...], rectified: bool) -> nn.Sequential:
    """A network from inputs to activations, by their shapes without the batch, of an architecture of its own.

    Between images: as many 2x2 poolings as the inputs' sides can be halved without falling below the activations'.
    Where sides are lost in addition, as to convolutions without padding, and where nothing is pooled, two 3x3
    convolutions in a row stand before, between and behind the poolings; otherwise one 5x5 convolution and a ReLU. The
    first convolution has half the activations' channels, without pooling at most 16; all others have the activations'
    own. Sides that do not come out are averaged to fit. Where the activations are ``rectified``, none of those seen
    being negative, the last thing is a ReLU. Activations that are no images follow from 32 channels at a quarter of
    the sides; where inputs are none, there is one hidden layer, twice as wide as what is wider.
    """
    layers: list[nn.Module]
    if len(inputs) == 3 and len(smashed) == 3:
        layers = _images(inputs, smashed)
    elif len(inputs) == 3:
        image = (32, -(-inputs[1] // 4), -(-inputs[2] // 4))
        layers = [*different(inputs, image, rectified=True), nn.Flatten(), nn.Linear(prod(image), prod(smashed))]
    else:
        width = 2 * max(prod(inputs), prod(smashed))
        layers = [nn.Flatten(), nn.Linear(prod(inputs), width), nn.ReLU(), nn.Linear(width, prod(smashed))]
    layers += [nn.ReLU()] if rectified else []
    return nn.Sequential(*layers, *([] if len(smashed) == 3 == len(inputs) else [nn.Unflatten(1, smashed)]))


def _images(inputs: tuple[int, ...], smashed: tuple[int, ...]) -> list[nn.Module]:
    (into, *large), (channels, *small) = inputs, smashed
    poolings = max(0, floor(log2(min(before / after for before, after in zip(large, small, strict=True)))))
    # Four rows and columns are lost to each pair of convolutions, and count twice behind each pooling.
    lost = min(before - after * 2**poolings for before, after in zip(large, small, strict=True))
    lossy = lost >= 4 * (2 ** (poolings + 1) - 1)
    first = max(1, channels // 2) if poolings else min(16, channels)
    layers: list[nn.Module] = []
    sides = large
    for stage in range(poolings + 1):
        if stage:
            layers.append(nn.MaxPool2d(2))
        width = channels if stage else first
        if lossy or not poolings:
            layers += [nn.Conv2d(i, o, 3, padding=int(not lossy)) for i, o in ((into, width), (width, channels))]
            into = channels
        else:
            layers += [nn.Conv2d(into, width, 5, padding=2), *([nn.ReLU()] if stage < poolings else [])]
            into = width
        sides = [side // (2 if stage else 1) - 4 * lossy for side in sides]
    return layers if sides == small else [*layers, nn.AdaptiveAvgPool2d((small[0], small[1]))]
