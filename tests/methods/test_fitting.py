"""A network fitted in epochs: against a plain loop, and where it does not go well."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from cutlayer.methods.fitting import Fitting
from cutlayer.threat import Goal, Seat, ThreatModel, View

FITTING = Fitting(epochs=5, batch_size=4, learning_rate=1e-2, epsilon=1e-3, halve_every=2)


def view(**more) -> View:
    return View(ThreatModel(Seat.SERVER, frozenset({Goal.INPUTS}), frozenset()), {}, (), **more)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def test_it_is_a_plain_loop_with_a_halved_rate():
    ours, theirs = network(), network()
    inputs, wanted = torch.rand(10, 3), torch.rand(10, 2)
    seen = view()
    torch.manual_seed(1)
    FITTING.fit(ours, inputs, wanted, mse_loss, seen, "decoder")
    torch.manual_seed(1)
    adam, curve = torch.optim.Adam(theirs.parameters(), 1e-2, eps=1e-3, amsgrad=True), []
    for epoch in range(5):
        adam.param_groups[0]["lr"] = (1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3)[epoch]
        total = 0.0
        for rows in torch.randperm(10).split(4):
            adam.zero_grad()
            loss = mse_loss(theirs(inputs[rows]), wanted[rows])
            loss.backward()
            adam.step()
            total += loss.item() * len(rows)
        curve.append(total / 10)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    assert seen.notes == {"decoder_loss": pytest.approx(curve)}
    assert not ours.training


def test_steps_and_progress():
    reports = []
    seen = view(progress=lambda *report: reports.append(report))
    FITTING.fit(network(), torch.rand(10, 3), torch.rand(10, 2), mse_loss, seen, "shadow")
    assert FITTING.steps(10) == 15
    assert reports[0] == ("training the shadow", 0, 15)
    assert reports[-1][1:] == (15, 15)


def test_few_samples_are_fitted_for_as_many_steps_as_asked():
    longer = FITTING.over(10, 40)
    assert (longer.epochs, longer.halve_every) == (15, 6)
    assert longer.steps(10) == 45
    assert FITTING.over(10, 15) == FITTING.over(10, 0) == FITTING


def test_of_a_long_curve_a_part_is_noted():
    seen = view()
    replace(FITTING, epochs=500).fit(network(), torch.rand(4, 3), torch.rand(4, 2), mse_loss, seen, "decoder")
    assert len(seen.notes["decoder_loss"]) == 167


def test_a_last_sample_on_its_own_goes_with_those_before_it():
    normalized = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    FITTING.fit(normalized, torch.rand(9, 3), torch.rand(9, 2), mse_loss, view(), "decoder")
    assert FITTING.steps(9) == 10


def test_what_diverges_goes_back_to_the_last_good_epoch():
    inputs, wanted, calls = torch.rand(8, 3), torch.rand(8, 2), []

    def loss(outputs, labels):
        calls.append(None)
        return mse_loss(outputs, labels) * (float("inf") if len(calls) == 6 else 1)

    good, broken, seen = network(), network(), view()
    torch.manual_seed(1)
    replace(FITTING, epochs=2).fit(good, inputs, wanted, mse_loss, view(), "decoder")
    torch.manual_seed(1)
    FITTING.fit(broken, inputs, wanted, loss, seen, "decoder")
    assert seen.notes["diverged"] == "the decoder in epoch 3; it is what was finite last"
    assert len(seen.notes["decoder_loss"]) == 2
    for mine, other in zip(broken.parameters(), good.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert not broken.training


def test_what_diverges_at_once_stays_as_it_was():
    untouched = copy.deepcopy(model := network())
    seen = view()
    replace(FITTING, learning_rate=1e38).fit(model, torch.rand(8, 3), torch.rand(8, 2), mse_loss, seen, "decoder")
    assert seen.notes["decoder_loss"] == []
    for mine, other in zip(model.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs = 0: it must be at least 1"),
        ({"batch_size": 0}, "batch_size = 0: it must be at least 1"),
        ({"halve_every": 0}, "halve_every = 0: it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0: it must be greater than 0"),
        ({"epsilon": -1.0}, "epsilon = -1.0: it must be greater than 0"),
    ],
)
def test_values_that_make_no_sense(values, message):
    with pytest.raises(ValueError, match=message):
        replace(FITTING, **values)
