"""White-box inversion: with the client's weights known, the inputs that most likely gave the activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from cutlayer.attack import Attack, Guess, Setting
from cutlayer.message import Kind, Message
from cutlayer.methods.inversion import Variation
from cutlayer.methods.likelihood import Descent
from cutlayer.methods.overheard import Overheard
from cutlayer.state import under
from cutlayer.threat import Goal, Knows, Seat, ThreatModel, View

EPSILON = 1e-3  # of Adam, as in the published code

LARGEST = 1e3  # of the published weights of total variation


@dataclass
class InversionWhiteBox(Attack):
    """He, Zhang, Lee: Model Inversion Attacks Against Collaborative Inference (ACSAC 2019), white-box setting.

    Adam on the inputs, from mid-gray: the mean squared error between activations plus ``tv_weight`` times total
    variation; the result is clipped to the range. Departures from the paper, and what is taken where it is silent:

    * Total variation is squared and a mean over differences, and Adam is AMSGrad with an epsilon of 1e-3, as in the
      published code. The paper prints the isotropic form: ``tv="paper"``.
    * Weights of total variation are published for five cuts. An open ``tv_weight`` follows a rule for any cut, which
      gives those five (``variation_weight``).
    * Networks of the paper take normalized inputs, for which rate, epsilon and total variation are meant. Networks here
      take inputs in [0, 1], and steps are those of inputs divided by ``scale``, one number for all channels. What the
      paper subtracts changes nothing but the start, and that is mid-gray in any case.
    * Targets are searched for side by side. The result for each is the one that it would have alone.
    * Inputs that are not images have no total variation.
    """

    paper: ClassVar[str] = "He, Zhang, Lee: Model Inversion Attacks Against Collaborative Inference (ACSAC 2019)"
    plain: ClassVar[str] = (
        "A server that follows the protocol looks at what it is sent anyway, the activations of a few predictions. It "
        "knows the client's first part, its layers and their weights: they were trained together, or handed over "
        "through the server. It has no data and asks for nothing. From this it reconstructs the inputs."
    )
    setting: ClassVar[Setting] = Setting(protocol="vanilla", when="after", target_kind="predict", targets=0)
    watches: ClassVar[frozenset[Kind]] = frozenset({Kind.PREDICT})
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # A fifth of the published steps, larger ones.
        "quick": {"iterations": 1000, "learning_rate": 0.05},
        "rehearsal": {"iterations": 20},
    }

    iterations: int = 5000
    """Steps of the inputs."""
    learning_rate: float = 1e-2
    """Of Adam."""
    tv: Variation = "squared"
    """Total variation: ``squared``, as in the published code, or ``paper``, isotropic."""
    tv_weight: float | None = None
    """Weight of total variation. Open: by the layers and poolings of the client's part (``variation_weight``)."""
    scale: float = 0.5
    """The standard deviation of normalized inputs: the paper's .5 on MNIST; on CIFAR-10 it has .229, .224 and .225."""

    def __post_init__(self) -> None:
        self._descent(nn.Sequential())

    @property
    def threat(self) -> ThreatModel:
        """A curious server that knows the client's part, layers and weights."""
        knows = frozenset({Knows.PEER_ARCHITECTURE, Knows.PEER_WEIGHTS})
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), knows)

    def work(self, targets: int, auxiliary: int) -> int:
        """Steps of the inputs, counted for each target."""
        return targets * self.iterations

    def begin(self, view: View) -> None:
        """Nothing has been seen yet; ``NotOfferedError`` where the inputs are not the client's."""
        self._view = view
        self._overheard = Overheard(view)

    def observe(self, message: Message) -> None:
        """Keep the activations of predictions; which of them are targets may be announced later."""
        self._overheard.keep(message)

    def infer(self) -> Sequence[Guess]:
        """The inputs, clipped to the range."""
        rows, smashed = self._overheard.targets()
        if not rows:
            return ()
        architecture = self._view.peer_architecture()
        part, weights = architecture.build(0), self._view.peer_weights()
        part.load_state_dict(under("0", weights))
        descent = self._descent(part)
        self._view.note("tv_weight", descent.tv_weight)
        inputs = descent.search(part, smashed, architecture.input_shapes[0], self._view)
        return (Guess(Goal.INPUTS, {"inputs": inputs}, rows),)

    def _descent(self, part: nn.Module) -> Descent:
        weight = variation_weight(part) if self.tv_weight is None else self.tv_weight
        return Descent(self.iterations, self.learning_rate, EPSILON, weight, self.tv, self.scale)


def variation_weight(part: nn.Module) -> float:
    """The weight of squared total variation for ``part``: 10 ** (layers / 2 + poolings - 2), but 0 for a single layer.

    Layers are those with kernels or matrices. What a part discards smoothness has to replace, and poolings discard
    most. The published weights leave such a rule no freedom: 0 for one convolution, 1 for two and one pooling, 10 for
    four and one, 1e3 for six and two. Deeper parts get no more than that.
    """
    modules = list(part.modules())
    layers = sum(any(weight.ndim > 1 for weight in module.parameters(recurse=False)) for module in modules)
    poolings = sum(type(module).__module__ == nn.MaxPool2d.__module__ for module in modules)
    return 0.0 if layers + poolings <= 1 else min(float(10 ** (layers / 2 + poolings - 2)), LARGEST)
