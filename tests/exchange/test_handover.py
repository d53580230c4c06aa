"""What a hand-over may bring: anything else is refused before anything has changed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cutlayer.batch import Batch
from cutlayer.exchange.handover import OptimizerState, give, take_over
from cutlayer.message import Kind, Message
from cutlayer.wire import WireError
from tests.parties import pair

ASK = Message(Kind.WEIGHTS, "taker", 0, {})
BATCH = Batch(torch.arange(4), torch.rand(4, 5), torch.arange(4) % 3)


def client(optimize=None):
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    return pair("vanilla", model, (1,), (5,), **({"optimize": optimize} if optimize else {}))


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def plain(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


@pytest.mark.parametrize("optimize", [None, momentum, plain])
@pytest.mark.parametrize("trained", [False, True])
def test_a_real_state_is_taken_and_gone_on_with(optimize, trained):
    giver, taker = client(optimize), client(optimize)
    if trained:
        giver.train([BATCH])
    taker.answerer.step = giver.driver.step
    take_over(taker.driver, give(giver.driver, ASK, carried=True), OptimizerState.CARRIED)
    states = giver.driver.optimizer_state(), taker.driver.optimizer_state()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    taker.train([BATCH])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimizer.x.exp_avg": torch.zeros(4, 5)}, "belongs to none of its 4 weights"),
        ({"optimizer.exp_avg": torch.zeros(4, 5)}, "belongs to none"),
        ({"optimizer.4.exp_avg": torch.zeros(4, 5)}, "belongs to none"),
        ({"optimizer.-1.exp_avg": torch.zeros(4, 5)}, "belongs to none"),
        ({"optimizer.\u0661.exp_avg": torch.zeros(4)}, "belongs to none"),
        ({"optimizer." + "9" * 5000 + ".exp_avg": torch.zeros(4)}, "belongs to none"),
        ({"optimizer.00.exp_avg": torch.zeros(4, 5)}, "is unknown"),
        ({"optimizer.0.lr": torch.zeros(())}, "is unknown; it has step, exp_avg"),
        ({"optimizer.0.exp_avg": torch.zeros(5, 4)}, r"is torch.float32 \[5, 4\], its own is torch.float32 \[4, 5\]"),
        ({"optimizer.0.exp_avg": torch.zeros(4, 5).double()}, "is torch.float64"),
        ({"optimizer.0.exp_avg": torch.full((4, 5), torch.nan)}, "NaN or infinite"),
        ({"optimizer.0.step": torch.zeros(1)}, r"is torch.float32 \[1\]"),
        ({"optimizer.0.exp_avg": None}, "optimizer state of weight 0 lacks exp_avg"),
        ({"0.0.weight": None}, "weight '0.0.weight' is missing"),
    ],
)
def test_a_state_that_no_step_could_go_on_with_is_refused(change, said):
    giver, taker = client(), client()
    giver.train([BATCH])
    offered = dict(give(giver.driver, ASK, carried=True).tensors) | change
    message = Message(Kind.WEIGHTS, "giver", 1, {name: t for name, t in offered.items() if t is not None})
    before = copy.deepcopy(taker.driver.checkpoint())
    with pytest.raises(WireError, match=said):
        take_over(taker.driver, message, OptimizerState.CARRIED)
    after = taker.driver.checkpoint()
    assert before.keys() == after.keys()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
