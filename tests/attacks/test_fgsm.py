"""FGSM: the optimum of a linear proxy in one step, at every budget; and how a proxy comes about."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cutlayer.attacks.fgsm import FGSM
from cutlayer.budget import Budget
from cutlayer.methods.perturbation import CHUNK
from cutlayer.threat import Goal, Knows
from tests.evasions import best, inferred, labels_of, linear, natural

BUDGETS = (Budget((0.1, 0.2)), Budget((8 / 255,), "8/255"))


def test_one_step_is_the_optimum_of_a_linear_proxy() -> None:
    proxy, inputs = linear(), natural()
    labels = proxy(inputs).argmax(1)
    for budget in BUDGETS:
        changed = FGSM().perturb(proxy, inputs, labels, budget)
        torch.testing.assert_close(changed, best(proxy, inputs, labels, budget))


def test_a_guess_for_each_budget_about_all_targets() -> None:
    inputs = natural(CHUNK + 3)
    guesses, view = inferred(FGSM(epochs=1), BUDGETS, inputs)
    assert [(guess.goal, guess.name) for guess in guesses] == [(Goal.EVASION, ""), (Goal.EVASION, "8/255")]
    for guess, budget in zip(guesses, BUDGETS, strict=True):
        assert guess.rows == tuple(view.targets)
        changed = guess.tensors["inputs"]
        torch.testing.assert_close(changed, budget.clip(changed, inputs))
        assert (changed - inputs).abs().amax() == pytest.approx(max(budget.reach), abs=1e-6)


def test_the_proxy_learns_the_task_from_fresh_weights_of_the_deployment_s_form() -> None:
    attack = FGSM(epochs=30, learning_rate=0.02)
    _, view = inferred(attack, BUDGETS, natural())
    curve = view.notes["proxy_loss"]
    assert isinstance(curve, list)
    assert curve[-1] < 0.5 * curve[0]
    assert view.notes["proxy_images"] == 60
    attack._view = view
    own = view.own_part().state_dict()
    trained = attack._trained()
    assert [len(part) for part in trained] == [2, 4, 1]
    assert not torch.equal(trained[1].state_dict()["fc.weight"], own["fc.weight"])
    attack.epochs, attack.learning_rate = 1, 1e-12
    assert not torch.allclose(attack._trained()[1].state_dict()["fc.weight"], own["fc.weight"], atol=1e-3)
    held_out = torch.rand(200, *natural().shape[1:], generator=torch.Generator().manual_seed(9))
    assert (trained(held_out).argmax(1) == labels_of(held_out)).float().mean() > 0.65


def test_inputs_move_away_from_what_the_proxy_takes_them_for() -> None:
    """The label is the proxy's own prediction, so that no true label of a natural input is needed."""
    assert Knows.NATURAL_LABELS not in FGSM().threat.knows
    proxy, inputs = linear(), natural()
    labels = proxy(inputs).argmax(1)
    changed = FGSM().perturb(proxy, inputs, labels, BUDGETS[0])
    chosen = labels[:, None]
    assert (proxy(changed).gather(1, chosen) < proxy(inputs).gather(1, chosen)).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"epochs": 0}, "epochs = 0: it must be at least 1"), ({"learning_rate": 0}, "learning_rate = 0: it must be")],
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FGSM(**options)
