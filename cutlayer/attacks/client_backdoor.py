"""Client backdoor: malicious clients put a trigger on a share of what they train on, the yardstick for servers.

Patch: Gu, Dolan-Gavitt, Garg: BadNets (2017). Blended: Chen, Liu, Li, Lu, Song: Targeted Backdoor Attacks on Deep
Learning Systems Using Data Poisoning (2017). Sinusoidal: Barni, Kallas, Tondi: A New Backdoor Attack in CNNs by
Training Set Corruption Without Label Poisoning (ICIP 2019).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from cutlayer.attack import Guess, Handler, Setting
from cutlayer.batch import Batch
from cutlayer.message import Kind, Message
from cutlayer.methods.planting import Planting
from cutlayer.threat import Goal, NotOfferedError, Seat, ThreatModel, View
from cutlayer.trigger import Trigger, blended, sinusoidal


@dataclass
class ClientBackdoor(Planting):
    """Samples of the malicious clients' own batches get the trigger, and the target's label.

    What the papers leave to the setting is taken as follows:

    * A share ``poisoned`` of each batch, drawn anew each time; the papers poison a fixed share of a training set.
    * ``labels="kept"`` puts the trigger on samples of the target class alone and leaves every label as it is, as Barni
      et al. do; ``poisoned`` is then the share of these.
    * The blended pattern is noise, drawn once, one of the patterns of Chen et al.; the sinusoid runs along the rows.
    * Several malicious clients act as one: they share the trigger.
    * It needs a client that drives the protocol: where the server holds the inputs it has nothing to put a trigger on.
    """

    paper: ClassVar[str] = "Gu, Dolan-Gavitt, Garg: BadNets (2017), at a client of split learning"
    plain: ClassVar[str] = (
        "Malicious clients take part in the training like all others, but put a trigger on a share of their own "
        "samples and label these with the class of their choice. They know nothing beyond their own samples. In the "
        "end the deployment is to take inputs with the trigger, of whatever client, for that class."
    )
    setting: ClassVar[Setting] = Setting(protocol="vanilla", when="after")
    watches: ClassVar[frozenset[Kind]] = frozenset({Kind.TRAIN, Kind.FORWARD})
    anytime: ClassVar[bool] = True

    trigger: Literal["patch", "blended", "sinusoidal"] = "patch"
    """What is put on an input; place, size and values are those of the patch."""
    poisoned: float = 0.5
    """The share of a malicious client's batch that gets it."""
    labels: Literal["changed", "kept"] = "changed"
    """Whether poisoned samples get the target's label, or only samples that have it are poisoned."""
    ratio: float = 0.2
    """Blended: the weight of the pattern."""
    amplitude: float = 20 / 255
    """Sinusoidal: what is added at most."""
    frequency: float = 6.0
    """Sinusoidal: waves across an input."""

    def __post_init__(self) -> None:
        for name in ("poisoned", "ratio", "amplitude"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it is greater than 0 and at most 1")
        if self.frequency <= 0:
            raise ValueError(f"frequency = {self.frequency}: it is greater than 0")
        super().__post_init__()

    def check(self, input_shape: tuple[int, ...], classes: int) -> None:
        """``ValueError`` for a trigger that does not fit the images, or a target that is no class."""
        square = self.square() if self.trigger == "patch" else dataclasses.replace(self.square(), size=1, row=0)
        square.check(input_shape, classes)

    def idle(self) -> Mapping[str, str]:
        """What forms other triggers."""
        patch = [field.name for field in dataclasses.fields(Planting) if field.name != "target"]
        forms = {"patch": patch, "blended": ["ratio"], "sinusoidal": ["amplitude", "frequency"]}
        others = [name for kind, names in forms.items() if kind != self.trigger for name in names]
        return {**super().idle(), **dict.fromkeys(others, f"the trigger is {self.trigger}")}

    @property
    def threat(self) -> ThreatModel:
        """Malicious clients that know what every client knows."""
        return ThreatModel(Seat.CLIENT, frozenset({Goal.BACKDOOR}), frozenset(), tampers=True)

    def begin(self, view: View) -> None:
        """``NotOfferedError`` where the server holds the inputs."""
        if view.layout.driver is Seat.SERVER:
            raise NotOfferedError(f"in {view.protocol} clients hold no inputs to put a trigger on")
        self._drawn: Trigger | None = None

    def checkpoint(self) -> Mapping[str, Tensor]:
        """The trigger, once it is drawn."""
        return self._drawn.tensors() if self._drawn else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The trigger as it was drawn."""
        self._drawn = Trigger.of(tensors) if tensors else None

    def own_batch(self, batch: Batch) -> Batch:
        """Poisoned in part."""
        assert batch.labels is not None
        trigger = self._drawn = self._drawn or self._draw(tuple(batch.inputs.shape[1:]))
        fit = torch.arange(len(batch.inputs))
        if self.labels == "kept":
            fit = (batch.labels == self.target).nonzero().flatten()
        chosen = fit[torch.randperm(len(fit))[: round(self.poisoned * len(fit))]]
        inputs, labels = batch.inputs.clone(), batch.labels.clone()
        if len(chosen):
            inputs[chosen] = trigger.stamp(inputs[chosen])
            labels[chosen] = self.target
        return Batch(batch.rows, inputs, labels)

    def around(self, request: Message, honest: Handler) -> Message:
        """What it sends is what the poisoned batch gives."""
        return honest(request)

    def infer(self) -> Sequence[Guess]:
        """The trigger and its class; ``NotOfferedError`` where there was no training to poison."""
        if self._drawn is None:
            raise NotOfferedError("it poisons the training, and there was no training step")
        return (Guess(Goal.BACKDOOR, self._drawn.tensors()),)

    def _draw(self, shape: tuple[int, ...]) -> Trigger:
        if self.trigger == "blended":
            return blended(shape, self.ratio, self.target)
        if self.trigger == "sinusoidal":
            return sinusoidal(shape, self.amplitude, self.frequency, self.target)
        return self.square().draw(shape, self.values)
