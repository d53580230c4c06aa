"""What a trigger does to a model: put on every test image, with the attack and without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from cutlayer.attack import Guess
from cutlayer.judging.labeling import share
from cutlayer.stream import generator
from cutlayer.trigger import Trigger

Answers = Callable[[Callable[[Tensor], Tensor]], Tensor]
"""A deployment's logits [n, classes] for its test split, whose inputs the given function changes first."""


class TriggerError(ValueError):
    """A trigger that cannot be put on the inputs."""


@dataclass(frozen=True)
class BackdoorTruth:
    """The attacked deployment, what triggers do to the same one trained without the attack, the test split's labels."""

    attacked: Answers
    clean: Unattacked
    labels: Tensor
    """int64 [n]."""


@dataclass(frozen=True)
class Effect:
    """Shares of the test split, from 0 to 1."""

    success: float
    """Of the triggered inputs whose label is not the target: those taken for it."""
    accuracy: float
    """On clean inputs."""
    unprompted: float
    """Of the clean inputs whose label is not the target: those taken for it all the same."""
    recognized: float
    """Of the triggered inputs whose label is not the target: those taken for what they are."""
    guessed: float
    """Of the same inputs: those of the commonest class among them."""


class Unattacked:
    """The deployment trained without the attack; what a trigger does to it is found out once."""

    def __init__(self, answers: Answers, labels: Tensor) -> None:
        self._answers, self._labels = answers, labels
        self._known: dict[bytes, Effect] = {}

    def __call__(self, trigger: Trigger) -> Effect:
        """What ``trigger`` does to it."""
        key = b"".join(tensor.numpy().tobytes() for tensor in trigger.tensors().values())
        if key not in self._known:
            self._known[key] = effect(trigger, self._answers, self._labels)
        return self._known[key]

    def unplanted(self, trigger: Trigger) -> float:
        """What it takes for the target with any other noise in the place of ``trigger``, from 0 to 1."""
        return unplanted_success(trigger, self._answers, self._labels)


def trigger_of(guess: Guess, shape: tuple[int, ...], classes: int) -> Trigger:
    """The trigger that ``guess`` claims; ``TriggerError`` where it does not fit inputs of ``shape``."""
    pattern, mask, target = (guess.tensors.get(name) for name in ("pattern", "mask", "target"))
    for name, tensor in (("pattern", pattern), ("mask", mask)):
        if tensor is None or tuple(tensor.shape) != shape:
            found = "missing" if tensor is None else f"of shape {list(tensor.shape)}"
            raise TriggerError(f"the trigger's {name} is {found}, it must have an input's shape {list(shape)}")
        if not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise TriggerError(f"the trigger's {name} leaves [0, 1]")
    added = guess.tensors.get("added")
    if added is not None and (tuple(added.shape) != shape or not bool((added.abs() <= 1).all())):
        raise TriggerError(f"what the trigger adds must have an input's shape {list(shape)} and stay in [-1, 1]")
    if target is None or target.numel() != 1 or not 0 <= int(target) < classes:
        found = "missing" if target is None else str(target.tolist())
        raise TriggerError(f"the trigger's target is {found}, it must be one class from 0 to {classes - 1}")
    assert pattern is not None
    assert mask is not None
    return Trigger(pattern.float(), mask.float(), int(target), None if added is None else added.float())


def effect(trigger: Trigger, answers: Answers, labels: Tensor) -> Effect:
    """What the trigger does to one deployment."""
    clean = answers(lambda inputs: inputs).argmax(1)
    triggered = answers(trigger.stamp).argmax(1)
    others = labels != trigger.target
    if not others.any():
        return Effect(0.0, share(clean == labels), 0.0, 0.0, 0.0)
    answered, right = triggered[others], labels[others]
    return Effect(
        success=share(answered == trigger.target),
        accuracy=share(clean == labels),
        unprompted=share(clean[others] == trigger.target),
        recognized=share(answered == right),
        guessed=share(right == right.mode().values),
    )


def unplanted_success(trigger: Trigger, answers: Answers, labels: Tensor) -> float:
    """Share of inputs of other classes taken for the target with noise of their own in the trigger's place."""
    draw = generator(0, "unplanted")
    answered = answers(lambda inputs: trigger.stamp_unplanted(inputs, draw)).argmax(1)[labels != trigger.target]
    return share(answered == trigger.target) if len(answered) else 0.0
