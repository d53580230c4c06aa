"""Inputs by maximum likelihood: against a plain loop, torch's own optimizer and normalized inputs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from cutlayer.methods import inversion
from cutlayer.methods.inversion import total_variation
from cutlayer.methods.likelihood import CURVE, Descent
from cutlayer.threat import Goal, Seat, ThreatModel, View

SHAPE = (2, 6, 5)
DESCENT = Descent(iterations=60, learning_rate=1e-2, epsilon=1e-3, tv_weight=0.01)


def view(**more) -> View:
    return View(ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset()), {}, (), **more)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3)).eval()


def plain(part: nn.Module, smashed: Tensor, descent: Descent, mean: float) -> Tensor:
    """One sample after the other: modules, loss and optimizer as they come, on inputs (x - mean) / scale."""
    found = []
    for one in smashed:
        normal = torch.full((1, *SHAPE), (0.5 - mean) / descent.scale, requires_grad=True)
        adam = torch.optim.Adam([normal], descent.learning_rate, eps=descent.epsilon, amsgrad=True)
        for _ in range(descent.iterations):
            adam.zero_grad()
            error = mse_loss(part(mean + descent.scale * normal), one[None])
            (error + descent.tv_weight * total_variation(normal, descent.tv).sum()).backward()
            adam.step()
        found.append(normal.detach()[0])
    return (mean + descent.scale * torch.stack(found)).clamp(0, 1)


@pytest.mark.parametrize(
    ("tv", "scale", "mean"),
    [("squared", 1.0, 0.0), ("squared", 0.225, 0.5), ("paper", 1.0, 0.5), ("paper", 0.5, 0.0)],
)
def test_steps_are_those_of_normalized_inputs(tv, scale, mean, monkeypatch):
    part, descent = network(), replace(DESCENT, tv=tv, scale=scale)
    with torch.no_grad():
        smashed = part(torch.rand(3, *SHAPE))
    found = descent.search(part, smashed, SHAPE, view())
    # What counts as flat does so in [0, 1], not in the wider range of normalized inputs.
    monkeypatch.setattr(inversion, "FLAT", inversion.FLAT / scale**2)
    torch.testing.assert_close(found, plain(part, smashed, descent, mean), rtol=0, atol=1e-4)
    assert (found - 0.5).abs().max() > 0.005


def test_each_is_found_as_if_alone():
    part = network()
    with torch.no_grad():
        smashed = part(torch.rand(3, *SHAPE))
    together = DESCENT.search(part, smashed, SHAPE, view())
    for one, found in zip(smashed, together, strict=True):
        torch.testing.assert_close(DESCENT.search(part, one[None], SHAPE, view())[0], found, rtol=0, atol=1e-5)


def test_the_result_is_clipped():
    part = nn.Sequential(nn.Conv2d(2, 2, 1))
    found = replace(DESCENT, learning_rate=0.2, tv_weight=0.0).search(part, 50 * torch.ones(1, *SHAPE), SHAPE, view())
    assert found.min() == 0
    assert found.max() == 1


def test_what_diverges_stays_where_it_was_finite_and_stops_no_other():
    part, smashed, seen = network(), torch.rand(3, 8, 4, 3), view()
    smashed[1] *= 1e30
    found = DESCENT.search(part, smashed, SHAPE, seen)
    assert seen.notes["diverged"] == "1 of 3 optimizations; the guess is what was finite last"
    assert (found[1] == 0.5).all()
    torch.testing.assert_close(found[[0, 2]], DESCENT.search(part, smashed[[0, 2]], SHAPE, view()), rtol=0, atol=1e-5)
    assert all(0 < value < 10 for value in seen.notes["matching_loss"])


def test_all_may_diverge():
    seen = view()
    found = replace(DESCENT, learning_rate=1e38).search(network(), torch.rand(2, 8, 4, 3), SHAPE, seen)
    assert found.isfinite().all()
    assert seen.notes["diverged"].startswith("2 of 2")


def test_progress_and_the_matching_loss():
    reports = []
    seen = view(progress=lambda *report: reports.append(report))
    replace(DESCENT, iterations=2 * CURVE + 1, tv_weight=0.0).search(network(), torch.rand(2, 8, 4, 3), SHAPE, seen)
    assert reports[0][1:] == (0, 2 * CURVE + 1)
    assert reports[-1][1:] == (2 * CURVE + 1,) * 2
    curve = seen.notes["matching_loss"]
    assert 1 < len(curve) <= CURVE
    assert curve[-1] < curve[0]
    assert "diverged" not in seen.notes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"iterations": 0}, "iterations = 0: it takes at least 1"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0: it must be greater than 0"),
        ({"scale": -1.0}, "scale = -1.0: it must be greater than 0"),
        ({"epsilon": float("nan")}, "epsilon = nan: it must be greater than 0"),
        ({"tv_weight": -0.5}, "tv_weight = -0.5: it cannot be less than 0"),
    ],
)
def test_values_that_make_no_sense(values, message):
    with pytest.raises(ValueError, match=message):
        replace(DESCENT, **values)
