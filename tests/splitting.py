"""The proof that splitting a model changes nothing, for any protocol."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from cutlayer.channel import Direct, Handler, Loopback
from cutlayer.threat import Seat
from tests.parties import Optimize, Pair, batches, pair, unsplit_training

SHAPE = (2, 8, 8)
CHANNELS: dict[str, Callable[[Handler], Handler]] = {"direct": Direct, "loopback": Loopback}
OPTIMIZERS: dict[str, Optimize] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True, weight_decay=1e-2),
}


def network() -> nn.Sequential:
    """Everything that could tell a split model from a whole one: batch statistics, dropout, an in-place activation."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(2, 4, 3), norm1=nn.BatchNorm2d(4), relu1=nn.ReLU(inplace=True), drop1=nn.Dropout(0.3),
            conv2=nn.Conv2d(4, 6, 3), norm2=nn.BatchNorm2d(6), relu2=nn.ReLU(inplace=True), drop2=nn.Dropout(0.3),
            fc1=nn.Sequential(nn.Flatten(), nn.Linear(96, 8)), norm3=nn.BatchNorm1d(8), drop3=nn.Dropout(0.3),
            fc2=nn.Linear(8, 5),
        )
    )  # fmt: skip


def data(count: int = 44) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, *SHAPE, generator=generator), torch.randint(5, (count,), generator=generator)


def rate(step: int) -> float:
    return 0.02 / (1 + step)


def victim(name: str, cuts: tuple[int | str, ...], optimizer: str = "sgd", channel: str = "direct") -> Pair:
    made = pair(name, network(), cuts, SHAPE, data()[1], OPTIMIZERS[optimizer], rate)
    return replace(made, carrier=CHANNELS[channel])


def assert_split_equals_whole(name: str, cuts: tuple[int | str, ...], optimizer: str, channel: str) -> None:
    """Six steps, the last one smaller: weights, buffers, losses and predictions are equal to the last bit."""
    model, (inputs, labels) = network(), data()
    run = batches(inputs, labels, 8)
    split = victim(name, cuts, optimizer, channel)
    split.train(run)
    whole, losses = unsplit_training(split, model, cuts, run, OPTIMIZERS[optimizer])
    weights = {key: value for part in whole for key, value in part.state_dict().items()}
    assert weights.keys() == split.weights().keys() == model.state_dict().keys()
    assert [key for key, value in weights.items() if not torch.equal(value, split.weights()[key])] == []
    assert all(not torch.equal(value, model.state_dict()[key]) for key, value in weights.items())
    assert split.parties[Seat.CLIENT].losses == losses
    with torch.no_grad():
        logits = nn.Sequential(*whole.eval())(inputs)
    assert torch.equal(split.predict(batches(inputs, labels, len(inputs))[0]), logits)


def state(split: Pair) -> dict[str, Tensor]:
    """Everything that the next step of either party depends on."""
    return {
        f"{party.name}.{key}": value for party in split.parties.values() for key, value in party.checkpoint().items()
    }
