"""FSHA: a malicious server trains the client, by the gradients it returns, into an encoder that it can decode.

Pasquini, Ateniese, Bernaschi: Unleashing the Tiger: Inference Attacks on Split Learning (CCS 2021), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import interpolate, mse_loss
from torch.optim import Optimizer

from cutlayer.attack import Guess, Handler, Setting, TamperingAttack
from cutlayer.message import Kind, Message
from cutlayer.methods.hijacking import Discriminator, decoder, draw_as_published, pilot
from cutlayer.methods.overheard import Overheard
from cutlayer.state import as_bytes, as_tensor, named, put_back, state_of, under
from cutlayer.threat import Goal, Knows, NotOfferedError, Seat, ThreatModel, View

_CURVE = 100  # points kept of each loss over the steps, at most
_LOSSES = ("decoding_loss", "discriminator_loss", "gradient_penalty", "client_loss")
_HALVINGS = (1, 2, 2, 3)  # by level: how often the pilot halves an image's sides
_EPSILON = 1e-7  # of Adam, in the framework of the published code


@dataclass
class FSHA(TamperingAttack):
    """Feature-space hijacking: pilot and decoder, an autoencoder of public images; a discriminator of the pilot's
    features and the client's; the client is returned the gradient of the discriminator's score, not the task's.

    Networks, losses and rates are those of the published code. Departures, and what is taken where it is not the paper:

    * The honest server is called in every step, so that the loss in the reply is a real one, and goes on training on
      what it is sent. The paper's server does nothing but the attack.
    * Like the task's gradient, the returned one is that of a mean over the batch: n samples get the n-th part each.
      Nothing brings it to the task gradient's size; a client with Adam does not depend on its scale.
    * The gradient penalty takes the norm over all axes, as WGAN-GP does; the published code one for each channel.
    * ``entry_stride="level"`` is what the published code intends and its torch port does; as it stands, it is one.
    * Public images are resized so that the pilot's features have the client's size, and decoded ones are resized back;
      the published sizes need neither. Gray images keep their one channel, which the published code copies twice.
    * Client and optimizer are the victim's own. The published client trains with Adam at 1e-5, and normalizes by fixed
      statistics in training too.
    * In ``u_shaped`` the gradient that is replaced is the last one that the client's first part receives.
    """

    paper: ClassVar[str] = "Pasquini, Ateniese, Bernaschi: Unleashing the Tiger (CCS 2021)"
    plain: ClassVar[str] = (
        "A malicious server departs from the protocol: instead of the gradient of the task it returns one that turns "
        "the client's first part into an encoder that it can decode. It has images of its own, of the same kind, and "
        "knows neither the client's layers nor its weights. From the activations of a few predictions it then "
        "reconstructs their inputs."
    )
    setting: ClassVar[Setting] = Setting(protocol="vanilla", when="after", target_kind="predict", targets=0, cuts=1)
    anytime: ClassVar[bool] = True
    watches: ClassVar[frozenset[Kind]] = frozenset({Kind.TRAIN, Kind.FORWARD, Kind.BACKWARD, Kind.PREDICT})
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"rehearsal": {"width": 8, "blocks": 1}}

    level: int = 0
    """Depth of pilot and decoder, 1 to 4 as in FSHA; 0: by the shape of the client's activations."""
    learning_rate: float = 1e-5
    """Of the Adam of pilot and decoder."""
    discriminator_rate: float = 1e-4
    """Of the discriminator's Adam."""
    gp_weight: float = 500.0
    """Weight of the gradient penalty."""
    penalty_axes: Literal["all", "channel"] = "all"
    """What the penalty's norm is taken over: a sample's whole gradient, or that of each channel."""
    entry_stride: Literal["one", "level"] = "one"
    """Stride of the discriminator's first convolution: one, or two below level 4."""
    task_weight: float = 0.0
    """Share of the honest gradient in the returned one, from 0 to 1."""
    width: int = 256
    """Channels of the widest layers."""
    blocks: int = 6
    """Residual blocks of the discriminator."""

    def __post_init__(self) -> None:
        if self.level not in range(5):
            raise ValueError(f"level = {self.level}: there is none such; 1, 2, 3, 4, or 0 (by the activations' shape)")
        for name in ("width", "blocks", "learning_rate", "discriminator_rate", "gp_weight"):
            least = 1 if name in {"width", "blocks"} else 0
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: it takes at least {least}")
        if not 0 <= self.task_weight <= 1:
            raise ValueError(f"task_weight = {self.task_weight}: it is a share, from 0 to 1")

    @property
    def threat(self) -> ThreatModel:
        """A malicious server with images of its own."""
        return ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset({Knows.AUX_INPUTS}), tampers=True)

    def begin(self, view: View) -> None:
        """``NotOfferedError`` where the inputs are not the client's."""
        self._view = view
        self._overheard = Overheard(view)
        self._hijack: _Hijack | None = None
        self._smashed = torch.empty(0)

    def checkpoint(self) -> Mapping[str, Tensor]:
        """The networks of the hijacking, where they are, and what they were trained on."""
        if self._hijack is None:
            return {}
        device = as_tensor(str(self._smashed.device).encode())
        return {**named("hijack", self._hijack.checkpoint()), "smashed": self._smashed[:1], "device": device}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Build the networks, and put them where they stood."""
        if tensors:
            self._smashed = tensors["smashed"].to(as_bytes(tensors["device"]).decode())
            self._hijack = _Hijack(self, self._view.aux_inputs(), self._smashed)
            self._hijack.restore(under("hijack", tensors))

    def around(self, request: Message, honest: Handler) -> Message:
        """The honest reply; in a training step with another gradient."""
        reply = honest(request)
        if request.kind is Kind.PREDICT:
            self._overheard.keep(request)
        elif "smashed" in request:
            self._smashed = request["smashed"]
        if "grad" not in reply:
            return reply
        task = reply["grad"]
        self._smashed = self._smashed.to(task.device)
        if self._hijack is None:
            self._hijack = _Hijack(self, self._view.aux_inputs(), self._smashed)
        adversarial = self._hijack.step(self._smashed)
        if adversarial is not None:
            task = (1 - self.task_weight) * adversarial + self.task_weight * task
        return reply.replace(grad=task)

    def infer(self) -> Sequence[Guess]:
        """The decoder's images of the targets; ``NotOfferedError`` where no training step was hijacked."""
        if self._hijack is None:
            raise NotOfferedError("it hijacks the training, and there was no training step")
        rows, smashed = self._overheard.targets()
        if not rows:
            return ()
        steps = 0
        for name, values in self._hijack.losses.items():
            steps = len(values)
            self._view.note(name, [value.item() for value in values[:: ceil(steps / _CURVE) or 1]])
        if self._hijack.diverged:
            self._view.note("diverged", f"in step {steps + 1}; the honest gradient was returned from then on")
        inputs = self._hijack.decoded(smashed)
        return (Guess(Goal.INPUTS, {"inputs": inputs}, rows),)


class _Hijack:
    """The server's own networks, their optimizers, and the images that they are trained on."""

    def __init__(self, options: FSHA, public: Tensor, smashed: Tensor) -> None:
        if smashed.ndim != 4 or public.ndim != 4:
            shapes = f"inputs {list(public.shape[1:])} and activations {list(smashed.shape[1:])}"
            raise NotOfferedError(f"its networks are convolutional, and {shapes} are not both images")
        self._options, self._public, self._device = options, public, smashed.device
        channels, *size = smashed.shape[1:]
        sides = zip(public.shape[2:], size, strict=True)
        fitting = max(0, round(max(log2(image / side) for image, side in sides)))
        halvings = _HALVINGS[options.level - 1] if options.level else fitting
        stride = 2 if options.entry_stride == "level" and halvings < 3 else 1
        self._size = [side << halvings for side in size]
        networks = (
            pilot(public.shape[1], channels, halvings, options.width),
            decoder(channels, public.shape[1], halvings, options.width),
            Discriminator((channels, *size), options.width, options.blocks, stride),
        )
        for network in networks:
            draw_as_published(network)
            network.to(self._device)
        self._pilot, self._decoder, self._discriminator = networks
        self._coders = [*self._pilot.parameters(), *self._decoder.parameters()]
        self._judges = list(self._discriminator.parameters())
        rates = ((self._coders, options.learning_rate), (self._judges, options.discriminator_rate))
        self._optimizers = [torch.optim.Adam(weights, rate, eps=_EPSILON) for weights, rate in rates]
        self._order = torch.zeros(0, dtype=torch.int64)
        self.losses: dict[str, list[Tensor]] = {name: [] for name in _LOSSES}
        self.diverged = False

    def checkpoint(self) -> dict[str, Tensor]:
        """All that the next step depends on, and the losses so far."""
        losses = {name: torch.stack(values) for name, values in self.losses.items() if values}
        own = {"order": self._order, "diverged": torch.tensor(self.diverged)}
        return {**state_of(**self._held()), **named("losses", losses), **own}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Stand where ``checkpoint`` was taken."""
        put_back(tensors, **self._held())
        self.losses |= {name: list(values) for name, values in under("losses", tensors).items()}
        self._order, self.diverged = tensors["order"], bool(tensors["diverged"])

    def _held(self) -> dict[str, Module | Optimizer]:
        coders, judges = self._optimizers
        networks = {"pilot": self._pilot, "decoder": self._decoder, "discriminator": self._discriminator}
        return {**networks, "coders": coders, "judges": judges}

    def step(self, smashed: Tensor) -> Tensor | None:
        """Train on one batch of activations; what the client is to be returned, or nothing once this has diverged."""
        if self.diverged:
            return None
        count = len(smashed)
        public = self._drawn(count)
        features = self._pilot(public)
        decoding = mse_loss(self._decoder(features), public)
        of_coders = torch.autograd.grad(decoding, self._coders)
        features, private = features.detach(), smashed.detach().requires_grad_()
        scores = self._discriminator(torch.cat([features, private]))
        of_public, of_private = scores[:count].mean(), scores[count:].mean()
        penalty = self._penalty(features, private.detach())
        loss = of_public - of_private + self._options.gp_weight * penalty
        # All gradients are taken at the same weights, and none is left behind in a leaf for another one to be added to.
        *of_judges, at_private = torch.autograd.grad(loss, [*self._judges, private])
        found = [*of_coders, *of_judges, at_private]
        if not torch.stack([loss, decoding, *(grad.sum() for grad in found)]).isfinite().all():
            self.diverged = True
            return None
        for values, value in zip(self.losses.values(), (decoding, loss, penalty, of_private), strict=True):
            values.append(value.detach().cpu())
        for weight, grad in zip([*self._coders, *self._judges], found, strict=False):
            weight.grad = grad
        for optimizer in self._optimizers:
            optimizer.step()
        # Of the discriminator's loss only the client's own, with the opposite sign, depends on what the client sent.
        return -at_private

    @torch.no_grad()
    def decoded(self, smashed: Tensor) -> Tensor:
        """Images [n, channels, height, width] in [0, 1] of activations [n, ...]; mid-gray where they are not finite."""
        images: Tensor = self._decoder(smashed.to(self._device))
        images = (interpolate(images, self._public.shape[2:], mode="bilinear") + 1) / 2
        return images.clamp(0, 1).nan_to_num(0.5).cpu()

    def _penalty(self, features: Tensor, private: Tensor) -> Tensor:
        share = torch.rand(len(features), 1, 1, 1).to(features.device)
        slope = self._discriminator.slope(share * private + (1 - share) * features)
        norms: Tensor = slope.flatten(1 if self._options.penalty_axes == "all" else 2).norm(dim=-1)
        return (norms - 1).square().mean()

    def _drawn(self, count: int) -> Tensor:
        """Public images in [-1, 1], in an order drawn anew for each pass; a rest too small for a batch is left out."""
        if len(self._order) < count:
            passes = ceil(count / len(self._public))
            self._order = torch.cat([torch.randperm(len(self._public)) for _ in range(passes)])
        drawn, self._order = self._order[:count], self._order[count:]
        images = self._public[drawn].to(self._device)
        return interpolate(images, self._size, mode="bilinear") * 2 - 1
