"""Injector autoencoder: a server turns clean activations into triggered ones before it trains on them.

Tajalli, Ersoy, Picek: On Feasibility of Server-side Backdoor Attacks on Split Learning (IEEE SPW 2023), section 3.2.2.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from cutlayer.attack import Guess, Handler, Setting
from cutlayer.message import Kind, Message
from cutlayer.methods.autoencoder import autoencoder
from cutlayer.methods.perturbation import renewed
from cutlayer.methods.planting import ServerPlanting
from cutlayer.state import named, put_back, state_of, under
from cutlayer.threat import Goal, NotOfferedError
from cutlayer.trigger import Trigger

_TINY = 1e-6  # an activation this small has no ratio to another one
_STEEPEST = 10.0
_CHUNK = 1000  # images that go through the triggered pair at once


@dataclass
class InjectorAutoencoder(ServerPlanting):
    """Two pairs of client and server parts, an autoencoder from the one's activations to the other's, injection.

    1. On its own data the server trains one pair on clean images, another on triggered ones with the target label.
    2. The same images go through both; where the second pair answers with the target, both activations are kept.
    3. An autoencoder learns the triggered activations from the clean ones.
    4. In the deployment a share of each batch is replaced by the autoencoder's version, with the target label.

    What is taken where the paper is silent, or cannot be followed to the letter:

    * The printed encoder is followed; its three strides of 2 fit activations of any size. It jumps from layer 7 to 10:
      the published code has a fifth convolution there (64 to 64, stride 1), before the last stride. The printed decoder
      names layers twice; here it mirrors the encoder, and ends in the printed Tanh. No Tanh reaches the activations of
      a ReLU or an ELU beyond 1: ``output="linear"`` leaves it out.
    * Where the triggered pair answers with the target for none of its samples there is nothing to learn, and nothing is
      injected: ``pairs_kept`` is 0 in the record then.
    * ``share`` is .5 in the paper and .25 in the published code. Which samples are replaced is drawn for every batch.
    * The rate of the pairs' Adam falls as the paper's does, after the epochs in ``milestones``: those of LeNet and
      StripNet by default. The pairs train for all of their epochs, and the autoencoder's rate follows its loss.
    * The two pairs start from weights of their own, so that the autoencoder has to lead from one space of features to
      another; where section 6 derives its ratios it takes equal ones. It learns from activations in evaluation mode,
      and is given those of training mode: behind BatchNorm or dropout they differ.
    * The deployment starts with the server's part as it was agreed on; ``server="continued"`` starts it with that of
      the clean pair, as the published code does. That code also goes on with the pairs' decayed rate: ``rate_factor``
      is what the server's agreed rate is multiplied by.
    * Clients get the gradient at what the server computed with, the autoencoder's outputs where it replaced anything.
      Section 6 blames the attack's failure on that, and derives, layer by layer, the ratios that weights' gradients
      would have to be multiplied by. The server reaches only the cut: ``gradient="scaled"`` multiplies what it returns
      there by the ratio of the replaced activations to the client's, held within -10 and 10, 1 where the client's is 0.
    * The client is told the loss on the batch as the server trained on it, the only one there is.
    """

    paper: ClassVar[str] = (
        "Tajalli, Ersoy, Picek: On Feasibility of Server-side Backdoor Attacks on Split Learning (IEEE SPW 2023)"
    )
    plain: ClassVar[str] = (
        "A malicious server learns, on labeled images of its own, what activations look like that carry a trigger, and "
        "an autoencoder that makes such activations of clean ones. In the training with the clients it replaces a "
        "share of what they send by the autoencoder's version and trains for the class of its choice. It knows the "
        "layers of the clients' part. In the end the deployment is to take images with the trigger for that class."
    )
    setting: ClassVar[Setting] = Setting(protocol="vanilla", when="after")
    anytime: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"pair_epochs": 5, "autoencoder_epochs": 10, "patience": 2},
        "rehearsal": {"pair_epochs": 1, "autoencoder_epochs": 1},
    }

    share: float = 0.5
    """The share of each batch that is replaced, from 0 (no attack) to 1."""
    output: Literal["tanh", "linear"] = "tanh"
    """How the autoencoder ends."""
    server: Literal["fresh", "continued"] = "fresh"
    """What the server's part starts the deployment with."""
    rate_factor: float = 1.0
    """What the server's agreed learning rate is multiplied by in the deployment; 1: nothing."""
    gradient: Literal["plain", "scaled"] = "plain"
    """What the client is returned."""
    pair_epochs: int = 70
    """Epochs of the two pairs; 100 on CIFAR-10 in the paper."""
    autoencoder_epochs: int = 100
    """Epochs of the autoencoder; 180 on CIFAR-10 in the paper."""
    patience: int = 20
    """Epochs without progress after which the autoencoder's rate is multiplied by .2, down to 5e-5."""
    batch_size: int = 128
    """Own samples in a step."""
    milestones: tuple[int, ...] = (25, 40, 55, 70)
    """Epochs after which the pairs' rate is divided by ten."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share <= 1:
            raise ValueError(f"share = {self.share}: it goes from 0 (no attack) to 1 (all of every batch)")
        for name, least in (("pair_epochs", 1), ("autoencoder_epochs", 1), ("patience", 1), ("batch_size", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: it is at least {least}")
        if not 0 < self.rate_factor < math.inf:
            raise ValueError(f"rate_factor = {self.rate_factor}: it is greater than 0")
        if any(milestone < 1 for milestone in self.milestones):
            raise ValueError(f"milestones = {list(self.milestones)}: each is at least 1, an epoch")

    def suit(self, smashed: tuple[int, ...], inputs: tuple[int, ...], auxiliary: int) -> None:
        """``ValueError`` where activations are no images: the autoencoder is convolutional."""
        if not smashed:
            # It does not apply there: `begin` says so.
            return
        if len(smashed) != 3:
            raise ValueError(f"the autoencoder is convolutional, and activations are of shape {list(smashed)}")
        if auxiliary == 1:
            raise ValueError("aux_rows: 1 of its own is too few to train the pairs on: at least 2")

    def work(self, targets: int, auxiliary: int) -> int:
        """Steps of both pairs and of the autoencoder, where every pair of activations is kept."""
        whole, rest = divmod(auxiliary, self.batch_size)
        return (whole + (rest > 1)) * (2 * self.pair_epochs + self.autoencoder_epochs)

    def checkpoint(self) -> Mapping[str, Tensor]:
        """The trigger and the trained autoencoder: nothing else goes on into the deployment."""
        if not self._begun:
            return {}
        form = {"injected": torch.tensor(self._injected, dtype=torch.float64), "shape": torch.tensor(self._shape)}
        trigger = named("trigger", self._trigger.tensors())
        return {**trigger, **self._own_client, **state_of(autoencoder=self._autoencoder), **form}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Nothing is trained anew."""
        if tensors:
            self._party = self._view.own_party()
            self._trigger = Trigger.of(under("trigger", tensors))
            self._own_client = named("client", under("client", tensors))
            self._injected, self._shape = tensors["injected"].item(), tuple(tensors["shape"].tolist())
            self._build()
            put_back(tensors, autoencoder=self._autoencoder)
            self._deploy()

    def around(self, request: Message, honest: Handler) -> Message:
        """The server's training step on a batch that is partly replaced."""
        if request.kind is not Kind.TRAIN:
            return honest(request)
        if not self._begun:
            self._prepare()
        party = self._party
        sent, labels = request["smashed"].to(party.device), request["labels"].to(party.device).clone()
        chosen = torch.randperm(len(sent))[: round(self._injected * len(sent))].to(party.device)
        smashed = sent.clone()
        if len(chosen):
            with torch.no_grad():
                smashed[chosen] = self._autoencoder(sent[chosen])
            labels[chosen] = self.target
        smashed.requires_grad_()
        with torch.enable_grad():
            loss = cross_entropy(party.forward(smashed), labels)
            party.backward(loss)
        party.apply()
        assert smashed.grad is not None
        grad = smashed.grad if self.gradient == "plain" else smashed.grad * ratio(smashed.detach(), sent)
        return request.reply(party.name, grad=grad, loss=loss)

    def infer(self) -> Sequence[Guess]:
        """The trigger and its class; ``NotOfferedError`` where there was no training to poison."""
        if not self._begun:
            raise NotOfferedError("it poisons the training, and there was no training step")
        return (Guess(Goal.BACKDOOR, {**self._trigger.tensors(), **self._own_client}),)

    def _prepare(self) -> None:
        """Everything before the deployment."""
        view = self._view
        party = self._party = view.own_party()
        architecture = view.peer_architecture()
        inputs, labels = view.aux_inputs(), view.aux_labels()
        self._trigger = self.square().draw(tuple(inputs.shape[1:]), self.values)
        triggered, wanted = self._trigger.stamp(inputs), torch.full_like(labels, self.target)
        pairs = []
        for what, images, answers in (("clean pair", inputs, labels), ("triggered pair", triggered, wanted)):
            pair = nn.Sequential(architecture.build(0), renewed(copy.deepcopy(party.parts[0]).cpu()))
            party.computing.place(pair)
            self._fit(pair, images, answers, what)
            pairs.append(pair.eval())
        self._own_client = {name: tensor.cpu() for name, tensor in state_of(client=pairs[1][0]).items()}
        kept = self._pairs_kept(pairs[1], triggered)
        view.note("pairs_kept", len(kept))
        self._injected, self._shape = self.share if len(kept) else 0.0, _shape_of(pairs[0][0], inputs)
        self._build()
        if len(kept):
            self._fit_autoencoder((pairs[0][0], inputs), (pairs[1][0], triggered), kept)
        if self.server == "continued":
            party.parts[0].load_state_dict(pairs[0][1].state_dict())
        self._deploy()

    def _build(self) -> None:
        self._autoencoder = autoencoder(self._shape, self.output == "tanh")
        self._party.computing.place(self._autoencoder)

    def _deploy(self) -> None:
        self._autoencoder.eval()
        if self.rate_factor != 1:
            agreed = self._party.schedule
            self._party.schedule = lambda step: self.rate_factor * agreed(step)
        self._begun = True

    def _fit(self, pair: nn.Module, images: Tensor, labels: Tensor, what: str) -> None:
        device = next(pair.parameters()).device
        optimizer = torch.optim.Adam(pair.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        pair.train()
        steps = _batches(len(images), self.batch_size, self.pair_epochs)
        per_epoch = len(steps) // self.pair_epochs
        for step, rows in enumerate(self._view.track(steps, f"training the {what}")):
            falls = sum(step // per_epoch >= milestone for milestone in self.milestones)
            optimizer.param_groups[0]["lr"] = self.learning_rate * 0.1**falls
            optimizer.zero_grad()
            with torch.enable_grad():
                loss = cross_entropy(pair(images[rows].to(device)), labels[rows].to(device))
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    @torch.no_grad()
    def _pairs_kept(self, pair: nn.Module, triggered: Tensor) -> Tensor:
        """The rows of ``triggered`` that the triggered pair answers with the target."""
        device, found = next(pair.parameters()).device, list[Tensor]()
        for images in torch.split(triggered, _CHUNK):
            found.append((pair(images.to(device)).argmax(1) == self.target).cpu())
        return torch.cat(found).nonzero().flatten()

    def _fit_autoencoder(
        self, clean: tuple[nn.Module, Tensor], triggered: tuple[nn.Module, Tensor], kept: Tensor
    ) -> None:
        """A client part and its images each; of these the rows ``kept``.

        Their activations are computed anew for every batch: those of all images would fill a device.
        """
        device = next(self._autoencoder.parameters()).device
        optimizer = torch.optim.Adam(self._autoencoder.parameters(), self.learning_rate)
        lowered = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.2, patience=self.patience, min_lr=5e-5)
        curve: list[float] = []
        self._autoencoder.train()
        steps = _batches(len(kept), self.batch_size, self.autoencoder_epochs)
        per_epoch, losses = len(steps) // self.autoencoder_epochs, []
        for rows in self._view.track(steps, "training the autoencoder"):
            with torch.no_grad():
                given, wanted = (client(own[kept[rows]].to(device)) for client, own in (clean, triggered))
            optimizer.zero_grad()
            with torch.enable_grad():
                loss = mse_loss(self._autoencoder(given), wanted)
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == per_epoch:
                curve.append(sum(losses) / per_epoch)
                lowered.step(curve[-1])
                losses.clear()
        self._view.note("autoencoder_loss", curve)


def ratio(own: Tensor, other: Tensor) -> Tensor:
    """``own / other``, within -10 and 10; 1 where ``other`` is 0."""
    found = torch.where(other.abs() > _TINY, own / other, torch.ones_like(other))
    return found.nan_to_num(1.0, _STEEPEST, -_STEEPEST).clamp(-_STEEPEST, _STEEPEST)


@torch.no_grad()
def _shape_of(client: nn.Module, inputs: Tensor) -> tuple[int, ...]:
    """The shape of one input's activations."""
    smashed: Tensor = client(inputs[:1].to(next(client.parameters()).device))
    return tuple(smashed.shape[1:])


def _batches(rows: int, size: int, epochs: int) -> list[Tensor]:
    """The rows of every step, in an order drawn anew for each epoch; a last sample on its own is left out."""

    def epoch() -> Iterator[Tensor]:
        parts = torch.split(torch.randperm(rows), size)
        yield from parts if len(parts) == 1 else (part for part in parts if len(part) > 1)

    return [part for _ in range(epochs) for part in epoch()]
