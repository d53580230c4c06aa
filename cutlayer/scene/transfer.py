"""Whether a network can be taken over to other data: its last layer is what a transfer trains anew."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from cutlayer.dataset import Dataset
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.network import Scaling, scaled


def transfer_scaling(experiment: Experiment) -> Scaling:
    """What is done to the new data's inputs before the network; ``ExperimentError`` where that scales them itself."""
    if experiment.transfer_mean and experiment.input_mean:
        raise ExperimentError(
            f"transfer_mean = {list(experiment.transfer_mean)}: the network scales its inputs by input_mean already, "
            "those of other data, too, and both would be applied; choose one of them"
        )
    return Scaling(experiment.transfer_mean, experiment.transfer_std)


def check_transfer(model: nn.Sequential, own: Dataset, other: Dataset, scaling: Scaling) -> None:
    """``ExperimentError`` where ``model`` for ``own`` cannot be taken over to ``other``, ``scaling`` what it is given.

    A ``NetworkError`` where that cannot be scaled so. Whether the weights are trained is no matter.
    """
    scaled(nn.Sequential(nn.Identity()), scaling, other.input_shape, "transfer")
    for what, mine, its in (
        ("inputs", list(own.input_shape), list(other.input_shape)),
        ("classes", len(own.classes), len(other.classes)),
    ):
        if mine != its:
            raise ExperimentError(f"transfer = {other.name!r}: its {what} are {its}, those of {own.name} are {mine}")
    if not _ends_with_last(model, own.input_shape):
        raise ExperimentError(
            f"transfer = {other.name!r}: the network's last layer with weights does not give its outputs, and no other "
            "one is trained anew; a model that ends with that layer, or no transfer"
        )


def _ends_with_last(model: nn.Sequential, shape: tuple[int, ...]) -> bool:
    """Whether the outputs of ``model`` for inputs of ``shape`` are what its last layer with weights gives."""
    model, marks = copy.deepcopy(model).eval(), list[Tensor]()

    def marked(module: nn.Module, given: object, gives: object) -> Tensor | None:
        if not isinstance(gives, Tensor):
            return None
        # Large and of both signs: weights that are not trained yet may give nothing that an activation changes.
        marks.append(torch.linspace(-1000, 1000, gives.numel()).view(gives.shape))
        return marks[-1].clone()

    last_layer(model).register_forward_hook(marked)
    with torch.no_grad():
        outputs = model(torch.zeros(2, *shape))
    return len(marks) == 1 and torch.equal(outputs, marks[0])


def last_layer(model: nn.Module) -> nn.Module:
    """The last layer with weights of its own, in the order in which layers are named."""
    return [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))][-1]
