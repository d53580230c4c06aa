"""Black-box inversion: an inverse network, trained on the client's answers to queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log2, prod
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from cutlayer.attack import Attack, Guess, Setting
from cutlayer.message import Kind, Message
from cutlayer.methods.fitting import Fitting
from cutlayer.methods.overheard import Overheard
from cutlayer.threat import Goal, Knows, Seat, ThreatModel, View

EPSILON = 1e-3  # of Adam, as in the published code
NOISE = 10_000  # images of noise where their number is left open
CHUNK = 512  # queries in one message
GRAY = 0.5  # the middle of the inputs' range
FLAT_CHANNELS = 64  # of the image that a decoder makes of activations that are none


@dataclass
class InversionBlackBox(Attack):
    """He, Zhang, Lee: Model Inversion Attacks Against Collaborative Inference (ACSAC 2019), black-box setting.

    The client's part answers queries, and a decoder learns to turn its answers back into the inputs. Departures from
    the paper, and what is taken where it is silent:

    * The paper lists decoders for five cuts. ``decoder`` builds one for any cut from the shapes on both sides, and for
      those five the listed ones; where the paper pads a convolution, it has the transposed one that computes the same.
    * The paper's three sets of queries are the images that the client was trained on (``source="auxiliary"`` in an
      experiment with ``aux=train``), others of the same distribution (``aux=test``) and noise (``source="noise"``),
      which is uniform over the range here.
    * Few queries make few steps: after ten of them 50 epochs are 50 steps, too few for most decoders. ``least_steps``
      trains it for longer; how long the paper did, it does not say.
    * Answers are asked for once and kept, so as many queries are counted as there are inputs. The client's part is in
      evaluation mode, as in the predictions to be inverted.
    * The decoder's outputs are inputs minus mid-gray, divided by ``scale``: normalized as in the paper, but by one
      number for all channels. The guess is clipped to the range.
    * With noise it needs to know the shape of the inputs, which nothing but the client's architecture tells.
    """

    paper: ClassVar[str] = "He, Zhang, Lee: Model Inversion Attacks Against Collaborative Inference (ACSAC 2019)"
    plain: ClassVar[str] = (
        "A server looks at what it is sent anyway, the activations of a few predictions. It can also have the client's "
        "first part compute on inputs of its own choice, images of its own or noise, and see what comes out; nothing "
        "of that part is known to it. From the pairs it learns to reconstruct the inputs of the predictions."
    )
    setting: ClassVar[Setting] = Setting(protocol="vanilla", when="after", target_kind="predict", targets=0)
    watches: ClassVar[frozenset[Kind]] = frozenset({Kind.PREDICT})
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        # So few steps at the published rate leave the decoder unfinished.
        "quick": {"queries": 5000, "epochs": 20, "halve_every": 4, "learning_rate": 0.01, "least_steps": 1000},
        "rehearsal": {"queries": 200, "epochs": 1, "least_steps": 0},
    }

    source: Literal["auxiliary", "noise"] = "auxiliary"
    """What is asked about: other inputs of the same kind, or noise."""
    queries: int = 0
    """How many inputs are asked about, of auxiliary ones at most all; 0: all of them, or 10,000 of noise."""
    epochs: int = 50
    """How often the decoder sees each pair."""
    batch_size: int = 32
    """Pairs in a step of the decoder."""
    learning_rate: float = 1e-3
    """Of Adam."""
    halve_every: int = 10
    """Epochs after which the learning rate is halved, again and again."""
    least_steps: int = 0
    """Steps that the decoder takes at least: epochs are stretched where few queries leave fewer; 0: as published."""
    scale: float = 0.5
    """The standard deviation of normalized inputs: the paper's .5 on MNIST; on CIFAR-10 it has .229, .224 and .225."""

    def __post_init__(self) -> None:
        if self.queries < 0:
            raise ValueError(f"queries = {self.queries}: it cannot be less than 0 (0: all auxiliary inputs)")
        if not self.scale > 0:
            raise ValueError(f"scale = {self.scale}: it must be greater than 0")
        if self.least_steps < 0:
            raise ValueError(f"least_steps = {self.least_steps}: it cannot be less than 0 (0: what the epochs make)")
        self._fitting(1)

    @property
    def threat(self) -> ThreatModel:
        """A server that asks; the protocol itself it follows."""
        own = Knows.AUX_INPUTS if self.source == "auxiliary" else Knows.PEER_ARCHITECTURE
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset({Knows.PEER_QUERIES, own}))

    def work(self, targets: int, auxiliary: int) -> int:
        """Steps of the decoder."""
        asked = self._count(auxiliary)
        return self._fitting(asked).steps(asked)

    def begin(self, view: View) -> None:
        """Nothing has been seen yet; ``NotOfferedError`` where the inputs are not the client's."""
        self._view = view
        self._overheard = Overheard(view)

    def observe(self, message: Message) -> None:
        """Keep the activations of predictions; which of them are targets may be announced later."""
        self._overheard.keep(message)

    def infer(self) -> Sequence[Guess]:
        """What the decoder makes of the targets' activations, clipped to the range."""
        rows, smashed = self._overheard.targets()
        if not rows:
            return ()
        asked = self._asked()
        answers = self._answers(asked, smashed.shape[1:])
        network = decoder(tuple(smashed.shape[1:]), tuple(asked.shape[1:])).to(smashed.device)
        self._fitting(len(asked)).fit(network, answers, (asked - GRAY) / self.scale, mse_loss, self._view, "decoder")
        with torch.no_grad():
            inputs = network(smashed).mul_(self.scale).add_(GRAY).clamp_(0, 1)
        return (Guess(Goal.INPUTS, {"inputs": inputs}, rows),)

    def _asked(self) -> Tensor:
        """The inputs of the queries, [n, ...]."""
        if self.source == "noise":
            return torch.rand(self._count(0), *self._view.peer_architecture().input_shapes[0])
        inputs = self._view.aux_inputs()
        return inputs[torch.randperm(len(inputs))[: self._count(len(inputs))]]

    def _answers(self, asked: Tensor, shape: torch.Size) -> Tensor:
        """The client's activations for them."""
        answers = torch.empty(len(asked), *shape)
        for start in self._view.track(range(0, len(asked), CHUNK), "querying the client"):
            answers[start : start + CHUNK] = self._view.peer_queries(asked[start : start + CHUNK])
        self._view.note("queries", len(asked))
        return answers

    def _count(self, auxiliary: int) -> int:
        if self.source == "noise":
            return self.queries or NOISE
        return min(self.queries or auxiliary, auxiliary)

    def _fitting(self, asked: int) -> Fitting:
        published = Fitting(self.epochs, self.batch_size, self.learning_rate, EPSILON, self.halve_every)
        return published.over(asked, self.least_steps)


def decoder(smashed: tuple[int, ...], inputs: tuple[int, ...]) -> nn.Sequential:
    """A network from activations to inputs, by their shapes without the batch.

    Between images: as often as the inputs' sides can be halved without falling below the activations', a transposed
    convolution that doubles sides, and one more that does not; ReLU between them. The number of channels stays, and in
    the last image before the inputs it is halved. Kernels are 3x3 with padding, so the layer that doubles nothing comes
    last; where sides are lost in addition, as to convolutions without padding, it comes first, and each kernel gives
    back its share. Activations that are no images go through a linear layer into an image of a quarter of the sides;
    inputs that are no images come from two linear layers, the one between them twice as wide as what is wider.
    """
    if len(inputs) != 3:
        before, after = prod(smashed), prod(inputs)
        width = 2 * max(before, after)
        layers = [nn.Flatten(), nn.Linear(before, width), nn.ReLU(), nn.Linear(width, after), nn.Unflatten(1, inputs)]
        return nn.Sequential(*layers)
    if len(smashed) != 3:
        image = (FLAT_CHANNELS, -(-inputs[1] // 4), -(-inputs[2] // 4))
        widen = nn.Linear(prod(smashed), prod(image))
        return nn.Sequential(nn.Flatten(), widen, nn.ReLU(), nn.Unflatten(1, image), *decoder(image, inputs))
    (channels, *small), (colors, *large) = smashed, inputs
    doublings = max(0, floor(log2(min(after / before for before, after in zip(small, large, strict=True)))))
    given_back = [
        (after - before * 2**doublings) // (2 ** (doublings + 1) - 1)
        for before, after in zip(small, large, strict=True)
    ]
    lossy = min(given_back) > 0
    strides = [1] + doublings * [2] if lossy else doublings * [2] + [1]
    widths = [*[channels] * (doublings - 1), *[max(1, channels // 2)] * (doublings > 0), colors]
    layers = []
    sides = small
    for stride, width in zip(strides, widths, strict=True):
        grown = [stride * side + lossy * border for side, border in zip(sides, given_back, strict=True)]
        last = len(layers) == 2 * doublings
        layers += [_layer(channels, width, stride, sides, large if last else grown), nn.ReLU()]
        channels, sides = width, grown
    return nn.Sequential(*layers[:-1])


def _layer(into: int, out: int, stride: int, small: Sequence[int], large: Sequence[int]) -> nn.ConvTranspose2d:
    """From sides ``small`` to sides ``large``: the least kernel from 3x3 on that gets there, an odd one at stride 2."""
    fits = []
    for before, after in zip(small, large, strict=True):
        reach = after - stride * (before - 1)
        kernel = max(reach, 3 + (reach % 2 == 0)) if stride == 1 else max(reach - (reach % 2 == 0), 3)
        padding = -(-(kernel - reach) // 2) if kernel > reach else 0
        fits.append((kernel, padding, reach - kernel + 2 * padding))
    kernels, paddings, more = zip(*fits, strict=True)
    return nn.ConvTranspose2d(into, out, kernels, stride, paddings, more)
