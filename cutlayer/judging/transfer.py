"""A trained network taken over to other data: all but its last layer frozen, that one trained anew."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count

import torch
from torch import Tensor, nn

from cutlayer.computing import Computing
from cutlayer.dataset import Split
from cutlayer.judging.backdoor import effect
from cutlayer.network import Scaling, scaled
from cutlayer.order import batch_sizes
from cutlayer.protocol import task_loss
from cutlayer.record import Transfer
from cutlayer.scene.scene import Scene
from cutlayer.scene.transfer import last_layer, transfer_scaling
from cutlayer.stream import derive, drawing, generator
from cutlayer.threat import Progress
from cutlayer.trigger import Trigger

_CHUNK = 1000
_PLAIN = Computing()


def transferred(
    trigger: Trigger,
    models: Mapping[str, nn.Sequential],
    scene: Scene,
    progress: Progress = lambda what, done, total: None,
) -> Transfer:
    """What ``trigger`` does to the ``attacked`` and the ``clean`` one of ``models`` after the transfer.

    The last layer goes on from the weights it has, by the deployment's optimizer at its first learning rate, for
    ``transfer_epochs`` epochs. Where the new inputs are scaled on their way into the network, the trigger's pixels are
    what they were for it: they are put on what is scaled.
    """
    other, experiment = scene.transfer, scene.experiment
    assert other is not None
    scaling = transfer_scaling(experiment)
    if scaling.mean:
        trigger = _before(trigger, scaling, other.input_shape)
    found, done = {}, count(1)
    steps = len(models) * experiment.transfer_epochs * len(batch_sizes(len(other.train), experiment.batch_size))
    for name, given in models.items():
        fitted = fit_last(
            scaled(copy.deepcopy(given), scaling, other.input_shape, "transfer"),
            other.train,
            experiment.optimization(0).make,
            experiment.transfer_epochs,
            experiment.batch_size,
            experiment.seed,
            experiment.transfer_mode == "training",
            scene.computing,
            lambda: progress(f"transfer to {other.name}", next(done), steps),
        )
        found[name] = effect(trigger, partial(_answers, fitted, other.test, scene.computing), other.test.labels)
    return Transfer(
        dataset=other.name,
        accuracy=found["attacked"].accuracy,
        attack_success=found["attacked"].success,
        clean_accuracy=found["clean"].accuracy,
        clean_success=found["clean"].success,
    )


def _before(trigger: Trigger, scaling: Scaling, shape: tuple[int, ...]) -> Trigger:
    """The trigger that shows the network the same numbers once inputs have been scaled."""
    mean, std = (torch.tensor(values).reshape(-1, 1, 1).expand(shape) for values in (scaling.mean, scaling.std))
    added = None if trigger.added is None else trigger.added * std
    return dataclasses.replace(trigger, pattern=trigger.pattern * std + mean, added=added)


def fit_last(
    model: nn.Sequential,
    data: Split,
    optimizer: Callable[..., torch.optim.Optimizer],
    epochs: int,
    batch_size: int,
    seed: int,
    training: bool = False,
    computing: Computing = _PLAIN,
    progress: Callable[[], None] = lambda: None,
) -> nn.Sequential:
    """A copy of ``model``, which ``check_transfer`` accepts, with the last layer with weights trained on ``data``.

    The others keep their weights; where they are in ``training`` mode, dropout draws and BatchNorm's statistics move.
    It is computed as ``computing`` says, and stays on its device; ``progress`` is called after every step.
    """
    device = torch.device(computing.device)
    fitted = copy.deepcopy(model).eval().requires_grad_(False)
    computing.place(fitted)
    last = last_layer(fitted)
    features = None if training else _features(fitted, last, data, computing)
    last.requires_grad_(True)
    fitted.train(training)
    steps = optimizer(last.parameters())
    for epoch in range(epochs):
        order = torch.randperm(len(data), generator=generator(seed, "transfer", epoch))
        for number, rows in enumerate(torch.split(order, batch_sizes(len(data), batch_size))):
            steps.zero_grad()
            with drawing(derive(seed, "transfer", epoch, number), device), computing.precision():
                if features is None:
                    outputs = fitted(computing.bring(data.take(rows)))
                else:
                    outputs = last(features[rows.to(device)])
            task_loss(outputs.float(), data.labels[rows].to(device)).backward()  # type: ignore[no-untyped-call]
            steps.step()
            progress()
    return fitted.eval()


@torch.no_grad()
def _features(model: nn.Module, last: nn.Module, data: Split, computing: Computing) -> Tensor:
    """What the last layer is given in evaluation mode, for all of ``data``."""
    seen: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    for rows in torch.split(torch.arange(len(data)), _CHUNK):
        with computing.precision():
            model(computing.bring(data.take(rows)))
    hook.remove()
    return torch.cat(seen)


@torch.no_grad()
def _answers(model: nn.Module, split: Split, computing: Computing, change: Callable[[Tensor], Tensor]) -> Tensor:
    found = []
    for rows in torch.split(torch.arange(len(split)), _CHUNK):
        with computing.precision():
            found.append(model(computing.bring(change(split.take(rows)))).float().cpu())
    return torch.cat(found)
