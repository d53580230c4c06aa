"""UnSplit beyond the paper: restarts side by side, inputs known to lie in [0, 1], networks with a residual block."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cutlayer.attack import Guess
from cutlayer.attacks.unsplit import UnSplit
from cutlayer.message import Kind, Message
from cutlayer.model import split
from cutlayer.models import dense, fsha_resnet
from cutlayer.threat import Architecture, Knows, Row, View
from tests.attacks.test_unsplit import SEEDS, attacked, client_part, correlation, targets, trained

SMALL, TARGETS = (1, 8, 8), 3
FAST = {"order": "joint", "rounds": 10, "input_learning_rate": 3e-3, "bounds": "unit"}


def part() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2)).eval()


def pursue(
    attack: UnSplit, build: Callable[[], nn.Module], smashed: Tensor, shape: tuple[int, ...]
) -> tuple[Guess, Guess, View]:
    """The guesses of ``attack`` about ``smashed``, with clones from ``build``."""
    wanted = [Row(Kind.PREDICT, 0, row) for row in range(len(smashed))]
    architecture = Architecture(lambda number: build(), (shape,), 10)
    view = View(attack.threat, {Knows.PEER_ARCHITECTURE: lambda: architecture}, wanted)
    attack.begin(view)
    attack.observe(Message(Kind.PREDICT, "client", 0, {"smashed": smashed}))
    inputs, model = attack.infer()
    return inputs, model, view


def from_these(clones: list[nn.Sequential]) -> Callable[[], nn.Module]:
    ready = iter(copy.deepcopy(clones))
    return lambda: next(ready)


@pytest.mark.parametrize("order", ["sequential", "joint", "independent"])
def test_restarts_are_runs_of_their_own_and_the_best_matching_one_is_taken(order):
    torch.manual_seed(11)
    truth, runs = torch.rand(TARGETS, *SMALL), 3
    with torch.no_grad():
        smashed = part()(truth)
    # Targets that share a clone are chosen for at once; independent ones, each by itself.
    groups = smashed.split(1 if order == "independent" else TARGETS)
    clones = [[part() for _ in groups] for _ in range(runs)]
    steps = {"rounds": 2, "input_steps": 4, "model_steps": 4, "order": order}
    alone = [
        [pursue(UnSplit(**steps), from_these([clone]), group, SMALL) for clone, group in zip(own, groups, strict=True)]
        for own in clones
    ]
    together = UnSplit(**steps, restarts=runs)
    inputs, model, view = pursue(together, from_these([clone for own in clones for clone in own]), smashed, SMALL)
    errors = torch.tensor([[found.notes["matching_loss"][-1] for _, _, found in own] for own in alone])
    best = errors.argmin(0).tolist()
    assert len(set(best)) == min(2, len(groups)), "one choice for all targets would be another"
    assert view.notes["matching_loss_of_restarts"] == pytest.approx(errors.mean(1).tolist(), rel=1e-4)
    chosen = torch.cat([alone[run][group][0].tensors["inputs"] for group, run in enumerate(best)])
    torch.testing.assert_close(inputs.tensors["inputs"], chosen, rtol=0, atol=1e-5)
    group = int(errors.amin(0).argmin())
    stolen = alone[best[group]][group][1].tensors
    for name, tensor in model.tensors.items():
        torch.testing.assert_close(tensor, stolen[name], rtol=0, atol=1e-5)


def test_a_restart_that_diverges_is_not_chosen():
    torch.manual_seed(0)
    with torch.no_grad():
        smashed = part()(torch.rand(TARGETS, *SMALL))
    wild, tame = part(), part()
    wild[0].weight.data.mul_(1e30)
    attack = UnSplit(rounds=2, input_steps=4, model_steps=4, order="joint", restarts=2)
    inputs, model, view = pursue(attack, from_these([wild, tame]), smashed, SMALL)
    assert view.notes["diverged"].startswith("1 of 2")
    assert (inputs.tensors["inputs"] != 0.5).any()
    assert all(tensor.abs().max() < 1e3 for tensor in model.tensors.values())


def test_work_counts_restarts():
    assert UnSplit(restarts=5).work(10, 0) == 5 * UnSplit().work(10, 0)


@pytest.mark.parametrize("seeds", [SEEDS[:1], pytest.param(SEEDS[:2], marks=pytest.mark.slow)])
def test_known_bounds_find_brightness_and_contrast(seeds):
    found, errors = [], []
    for seed in seeds:
        guesses, view = attacked(trained(seed), UnSplit(**FAST), seed)
        inputs = guesses[0].tensors["inputs"]
        found.append(correlation(inputs, targets()))
        errors.append((inputs - targets()).square().mean().item())
        assert view.used == {Knows.PEER_ARCHITECTURE: 1}
    # Without bounds the error is that of flat images here, whatever their correlation.
    assert sum(errors) / len(seeds) < 0.03 < 0.5 * targets().var().item()
    assert sum(found) / len(seeds) > 0.9


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_bounds_hold_and_what_matches_still_does(update):
    victim = trained(SEEDS[0])
    guesses, view = attacked(victim, UnSplit(**{**FAST, "rounds": 2}, update=update), SEEDS[0])
    inputs, state = guesses[0].tensors["inputs"], guesses[1].tensors
    # Scaled once more in the end: what is brighter than nearly all of an image goes beyond one.
    assert inputs.min() > -0.2
    assert torch.quantile(inputs.flatten(1), 0.99, dim=1).mean() == pytest.approx(1, abs=1e-4)
    clone = copy.deepcopy(client_part(victim)).eval()
    with torch.no_grad():
        wanted = clone(targets())
        clone.load_state_dict(dict(state))
        error = (clone(inputs) - wanted).square().mean().item()
    assert error == pytest.approx(view.notes["matching_loss"][-1], rel=1e-3)


def test_tables_have_no_bounds_to_be_scaled_to():
    torch.manual_seed(0)
    build = lambda: split(dense.build((30,), 2), [1])[0].eval()  # noqa: E731
    with torch.no_grad():
        smashed = build()(torch.rand(2, 30))
    clone = build()
    steps = {"rounds": 2, "input_steps": 4, "model_steps": 4}
    one, other = (
        pursue(UnSplit(**steps, bounds=bounds), from_these([clone]), smashed, (30,))[0] for bounds in ("none", "unit")
    )
    assert torch.equal(one.tensors["inputs"], other.tensors["inputs"])


@pytest.mark.parametrize("restarts", [1, 2])
@pytest.mark.parametrize("bounds", ["none", "unit"])
def test_a_residual_network_with_normalization(bounds, restarts):
    """FSHA's client at level 1 and a residual block with normalization: traced, since no layer of ours computes it."""
    torch.manual_seed(0)
    shape = (1, 16, 16)

    def build() -> nn.Module:
        blocks = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(fsha_resnet.Prepared(shape), nn.Conv2d(3, 1, 1), *blocks, fsha_resnet.Residual(4, 6, 2))

    client = build()
    client(torch.rand(32, *shape))
    truth = torch.rand(2, *shape)
    with torch.no_grad():
        smashed = client.eval()(truth)
    attack = UnSplit(rounds=4, input_steps=5, model_steps=5, order="joint", bounds=bounds, restarts=restarts)
    inputs, model, view = pursue(attack, build, smashed, shape)
    assert inputs.tensors["inputs"].shape == truth.shape
    curve = view.notes["matching_loss"]
    assert curve[-1] < curve[0]
    clone = build()
    clone.load_state_dict(dict(model.tensors))
    # A clone in evaluation mode keeps the statistics that it was built with.
    assert model.tensors["3.num_batches_tracked"] == 0
    with torch.no_grad():
        error = (clone.eval()(inputs.tensors["inputs"]) - smashed).square().mean().item()
    least = min(view.notes.get("matching_loss_of_restarts", [curve[-1]]))
    assert error == pytest.approx(least, rel=1e-3)
