"""SLADV: a server trains shadow input layers beside the clients', and perturbs inputs on these and its own part.

Fan, Chen, Wang, Zhou, Huang: On the Robustness of Split Learning against Adversarial Attacks (ECAI 2023), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import cosine_similarity, mse_loss

from cutlayer.attack import Guess, Handler, Setting, TamperingAttack
from cutlayer.budget import Budget
from cutlayer.message import Kind, Message
from cutlayer.methods.perturbation import (
    CHUNK,
    PROBED,
    Slope,
    anywhere,
    cosine_slope,
    device_of,
    outputs_of,
    probe,
    sign_steps,
    similarity,
)
from cutlayer.methods.pile import Pile
from cutlayer.methods.shadow import Form, shadow
from cutlayer.state import named, put_back, state_of, under
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, ThreatModel, View

_CURVE = 100  # points kept of each curve over the steps, at most
_LEAST = 2  # images of its own below which there is nothing to learn from


@dataclass
class SLADV(TamperingAttack):
    """Algorithm 1 during the training, algorithm 2 behind it.

    Departures, and what is taken where the paper is silent:

    * The similarity loss is the L2 norm over the whole batch (``distance="batch"``), whose gradient at what the client
      sent has length 1 however near the two are: many times the task's in honest training, though under the attack the
      task's own can grow past it. ``"image"`` is the mean of each image's norm, the root of the batch's size weaker;
      the mean square of all elements (``"mean"``) pulls weaker still.
    * At the printed rate the shadow can diverge under either norm, under the first one to what is no number: the
      gradient of its weights is clipped (``clip``), at a length chosen by the shadow's own loss alone.
    * The two batches have nothing to do with one another, as printed: what is compared are an image of the client and
      whatever image was drawn beside it. Over such pairs a shadow that always gives the mean of what is sent has the
      least loss, and alpha pulls the client's layers there as well: the records' ``layer_distance`` (its blind value is
      that constant's) and ``slope_similarity`` say how far the two layers become alike as functions.
    * A batch of the server's own images is as large as the client's, drawn without replacement until all were used.
    * Own images are normalized before the shadow, as the authors' code does with all data.
    * Algorithm 2 goes along the slope itself, which with one step of 0.3 would hardly change an input: here it goes
      along its sign. At the natural input, where it starts as printed, the cosine similarity has its maximum and no
      slope, so that there (``start=0``) the sign of rounding errors leads on: it starts from uniform noise of
      ``start`` budgets.
    * Section 4.1 prints the client's own layers at the server's image, and returns the gradient of the shadow's
      weights: algorithm 1 is followed, which has the shadow there, and returns the gradient of what was sent.
    * The blocks of ``shadow="multi"`` follow from the shape of what is sent, doubling the width at each halving; the
      published ones differ from network to network and are given as ``blocks``. At cuts 1 to 4 these are for ResNet18
      64, 32-64, 32-64-128@2 and 32-64-128@2-256@2 (``cutlayer reproduce sladv --table 5`` sets them).
    * ``align="server_output"`` compares what the server's part, as it stands before the step, makes of both batches.
    * Step and budget of 0.3 are the experiment's ``budget``, in its units; ``step`` counts budgets.
    * The label-free shadow is all it trains; the server's part goes on training on the task as in honest training.
    """

    paper: ClassVar[str] = (
        "Fan, Chen, Wang, Zhou, Huang: On the Robustness of Split Learning against Adversarial Attacks (ECAI 2023)"
    )
    plain: ClassVar[str] = (
        "A malicious server has some images of its own, without labels, which may be of quite another kind. While the "
        "network is trained, it trains first layers of its own to give what the clients' ones give, and adds to the "
        "gradients it returns what pulls the clients' layers towards its own. It knows neither their layers nor the "
        "labels. Afterwards it changes natural inputs so that its first layers and its part of the network make "
        "something else of them, in the hope that the deployment then errs."
    )
    setting: ClassVar[Setting] = Setting(protocol="u_shaped", when="after", targets=100, cuts=1)
    watches: ClassVar[frozenset[Kind]] = frozenset({Kind.TRAIN, Kind.FORWARD, Kind.BACKWARD})
    narrow: ClassVar[bool] = True

    alpha: float = 1.0
    """Weight of the similarity's gradient in the returned one; 0 tampers with nothing."""
    shadow: Form = "two_conv"
    """Shadow input layers: two convolutions with a skip connection, a single one, or several residual blocks."""
    blocks: str = ""
    """Of the shadow ``multi``: widths, and strides behind an @, as in 32-64@2; empty: by the shape of what is sent,
    not the published ones."""
    align: Literal["cut", "server_output"] = "cut"
    """Where shadow and clients' layers are compared."""
    distance: Literal["batch", "image", "mean"] = "batch"
    """How: L2 norm over the batch, mean L2 norm of an image's difference, or mean square of the elements."""
    learning_rate: float = 0.01
    """Of the shadow's SGD."""
    clip: float = 1.0
    """Largest L2 norm of the gradient of all weights of the shadow; 0: none."""
    iterations: int = 1
    """Steps of the perturbation (K)."""
    step: float = 1.0
    """Length of a step in budgets (beta)."""
    start: float = 0.1
    """Noise that the perturbation starts from, in budgets."""

    def __post_init__(self) -> None:
        for name in ("alpha", "learning_rate", "clip", "step"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least 0")
        if self.iterations < 1:
            raise ValueError(f"iterations = {self.iterations}: it is at least 1")
        if not 0 <= self.start <= 1:
            raise ValueError(f"start = {self.start}: it goes from 0, where the slope is rounding alone, to 1")
        if self.blocks and self.shadow != "multi":
            raise ValueError(f"blocks = {self.blocks!r}: only the shadow 'multi' has any, this one is {self.shadow!r}")

    @property
    def threat(self) -> ThreatModel:
        """A malicious server with images of its own, without labels."""
        knows = frozenset({Knows.OWN_PART, Knows.AUX_INPUTS, Knows.NATURAL_INPUTS})
        return ThreatModel(Seat.SERVER, frozenset({Goal.EVASION}), knows, tampers=True)

    @property
    def only_watches(self) -> bool:
        """At ``alpha=0`` the returned gradient is the honest one."""
        return self.alpha == 0

    def suit(self, smashed: tuple[int, ...], inputs: tuple[int, ...], auxiliary: int) -> None:
        """``ValueError`` for a shadow that cannot give what is sent, and for too few images of its own."""
        if not smashed:
            # It does not apply there: `begin` says so.
            return
        if auxiliary < _LEAST:
            raise ValueError(f"aux_rows: {auxiliary} of its own are too few to train a shadow on: at least {_LEAST}")
        with torch.random.fork_rng(devices=[]):
            shadow(self.shadow, inputs, smashed, self.blocks)

    def work(self, targets: int, auxiliary: int) -> int:
        """Slopes taken for the targets."""
        return ceil(targets / CHUNK) * self.iterations

    def begin(self, view: View) -> None:
        """``NotOfferedError`` where the first layers are not the clients'."""
        if view.layout.owners[0] is Seat.SERVER:
            raise NotOfferedError(f"in {view.protocol} the inputs and the first layers are the server's own")
        self._view = view
        self._layers: nn.Sequential | None = None
        self._smashed = torch.empty(0)
        self._curves: dict[str, list[float]] = {}

    def checkpoint(self) -> Mapping[str, Tensor]:
        """The shadow, its optimizer, its place in the own images, the curves."""
        if self._layers is None:
            return {}
        own = state_of(layers=self._layers, optimizer=self._optimizer)
        curves = {name: torch.tensor(values, dtype=torch.float64) for name, values in self._curves.items()}
        return {**own, **named("curves", curves), **self._pile.checkpoint(), "smashed": self._smashed[:1]}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Build the shadow, and put it where it stood."""
        if tensors:
            self._smashed = tensors["smashed"]
            self._layers = self._set_up(self._smashed)
            put_back(tensors, layers=self._layers, optimizer=self._optimizer)
            self._pile.restore(tensors)
            self._curves |= {name: values.tolist() for name, values in under("curves", tensors).items()}

    def around(self, request: Message, honest: Handler) -> Message:
        """The honest reply; what ends a training step has another gradient."""
        if "smashed" in request:
            self._smashed = request["smashed"]
        if request.kind is Kind.FORWARD:
            return honest(request)
        # Before the server's part takes its step: both batches are seen by the same part.
        pull = self._pull(self._smashed)
        reply = honest(request)
        task = reply["grad"]
        returned = task + self.alpha * pull.to(task.device) if self.alpha else task
        self._note(task, returned)
        return reply.replace(grad=returned)

    def infer(self) -> Sequence[Guess]:
        """Adversarial inputs at every budget; ``NotOfferedError`` where there was no training to attend.

        How far they get on its own network is noted: what fails there fails before it is carried over.
        """
        view, layers = self._view, self._layers
        if layers is None:
            raise NotOfferedError("it trains its shadow while the network is trained, and there was no training step")
        layers.eval()
        proxy = nn.Sequential(layers, view.own_part()).eval().requires_grad_(False)
        natural, rows = view.natural_inputs(), tuple(view.targets)
        smashed, slopes = probe(layers, natural[:PROBED].to(self._device))
        beside = {"smashed": smashed.cpu(), "slopes": slopes.cpu()}
        for name, values in self._curves.items():
            view.note(name, values[:: max(1, ceil(len(values) / _CURVE))])
        parts = [part.to(self._device) for part in torch.split(natural, CHUNK)]
        # The same for every budget.
        unchanged = [outputs_of(proxy, part) for part in view.track(parts, "looking at natural inputs")]
        guesses = []
        for budget in view.budgets:
            uphill = [cosine_slope(proxy, outputs) for outputs in unchanged]
            tensors = {"inputs": self._perturbed(parts, uphill, budget)}
            if not budget.name:
                view.note("own_similarity", similarity(proxy, natural, tensors["inputs"]))
                tensors |= beside
            guesses.append(Guess(Goal.EVASION, tensors, rows, name=budget.name))
        return guesses

    def _perturbed(self, parts: Sequence[Tensor], uphill: Sequence[Slope], budget: Budget) -> Tensor:
        changed = []
        for inputs, slope in zip(self._view.track(parts, "perturbing inputs"), uphill, strict=True):
            start = anywhere(inputs, budget, self.start)
            changed.append(sign_steps(inputs, start, slope, budget, self.iterations, self.step).cpu())
        return torch.cat(changed)

    def _set_up(self, smashed: Tensor) -> nn.Sequential:
        view = self._view
        self._inputs, self._device = view.aux_inputs(), device_of(view.own_part())
        self._pile = Pile(len(self._inputs))
        layers = shadow(self.shadow, tuple(self._inputs.shape[1:]), tuple(smashed.shape[1:]), self.blocks)
        layers = layers.to(self._device).train()
        self._optimizer: torch.optim.Optimizer = torch.optim.SGD(layers.parameters(), self.learning_rate)
        names = ("similarity_loss", "task_gradient_norm", "returned_gradient_norm", "gradient_cosine")
        self._curves = {name: [] for name in names}
        return layers

    def _pull(self, smashed: Tensor) -> Tensor:
        """One step of the shadow; the gradient of the similarity loss at what the client sent."""
        if self._layers is None:
            self._layers = self._set_up(smashed)
        theirs = smashed.to(self._device).detach().requires_grad_()
        images = self._inputs[self._pile.draw(len(theirs))].to(self._device)
        with torch.enable_grad():
            ours, compared = self._layers(images), theirs
            if self.align == "server_output":
                part = self._view.own_part().train()
                ours, compared = part(ours), part(theirs)
            loss = _distance(ours, compared, self.distance)
            weights = list(self._layers.parameters())
            slope, *own = torch.autograd.grad(loss, [theirs, *weights])
        for weight, gradient in zip(weights, own, strict=True):
            weight.grad = gradient
        if self.clip:
            nn.utils.clip_grad_norm_(weights, self.clip)
        self._optimizer.step()
        self._curves["similarity_loss"].append(loss.item())
        return slope

    def _note(self, task: Tensor, returned: Tensor) -> None:
        """What a client could notice: how long its gradient is, and how far it is turned."""
        self._curves["task_gradient_norm"].append(task.norm().item())
        self._curves["returned_gradient_norm"].append(returned.norm().item())
        cosine = cosine_similarity(task.flatten(), returned.flatten(), dim=0)
        self._curves["gradient_cosine"].append(cosine.item())


def _distance(ours: Tensor, theirs: Tensor, kind: str) -> Tensor:
    if kind == "mean":
        return mse_loss(ours, theirs)
    difference = (ours - theirs).flatten(1)
    lengths: Tensor = vector_norm(difference) if kind == "batch" else vector_norm(difference, dim=1).mean()
    return lengths
