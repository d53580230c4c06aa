"""PGD: the optimum of a linear network from any start, the deployment in a proxy's place, torchattacks beside it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from cutlayer.attacks.pgd import PGD
from cutlayer.budget import Budget
from cutlayer.methods.perturbation import anywhere, cosine_slope, outputs_of, sign_steps, similarity
from cutlayer.stream import drawing
from cutlayer.threat import Knows
from tests.evasions import best, inferred, labels_of, linear, natural, parts

BUDGET = Budget((0.1, 0.2))


def test_from_any_start_it_reaches_the_optimum_of_a_linear_network() -> None:
    proxy, inputs = linear(), natural()
    labels = proxy(inputs).argmax(1)
    wanted = best(proxy, inputs, labels, BUDGET)
    for seed in range(5):
        torch.manual_seed(seed)
        torch.testing.assert_close(PGD().perturb(proxy, inputs, labels, BUDGET), wanted)
    torch.manual_seed(0)
    assert not torch.allclose(PGD(iterations=1).perturb(proxy, inputs, labels, BUDGET), wanted)


def test_it_starts_anywhere_in_the_budget() -> None:
    proxy, inputs = linear(), 0.25 + 0.5 * natural(20)
    labels, starts = proxy(inputs).argmax(1), []
    for seed in range(2):
        torch.manual_seed(seed)
        changed = PGD(iterations=1, step=1e-6).perturb(proxy, inputs, labels, BUDGET)
        starts.append((changed - inputs) / BUDGET.over(inputs))
        assert starts[-1].min() < -0.95
        assert starts[-1].max() > 0.95
    assert (starts[0] != starts[1]).all()


def test_on_the_victim_it_takes_the_deployment_s_own_weights() -> None:
    attack = PGD(network="victim")
    told = {Knows.NATURAL_INPUTS, Knows.NATURAL_LABELS}
    assert attack.threat.knows == {Knows.OWN_PART, Knows.PEER_ARCHITECTURE, Knows.PEER_WEIGHTS, *told}
    assert PGD(network="victim", labels="predicted").threat.knows == attack.threat.knows - {Knows.NATURAL_LABELS}
    inputs = natural(20)
    (guess,), view = inferred(attack, (BUDGET,), inputs)
    deployed = nn.Sequential(*parts(7)).eval()
    attack._view = view
    torch.testing.assert_close(attack._true().eval()(inputs), deployed(inputs))
    label = labels_of(inputs)[:, None]
    before, after = (deployed(x).softmax(1).gather(1, label) for x in (inputs, guess.tensors["inputs"]))
    assert (after < before).all()
    assert "predicted" not in guess.tensors


def test_by_similarity_it_is_sladv_s_second_stage_on_the_deployment_itself() -> None:
    """Without a label: by K steps from noise it turns what the server's part gives, and what the last part makes."""
    perfect = {"network": "victim", "objective": "similarity", "start": 0.1}
    attack = PGD(**perfect, iterations=1, step=1.0)  # type: ignore[arg-type]
    assert Knows.NATURAL_LABELS not in attack.threat.knows
    inputs, (client, server, _) = natural(20), parts(7)
    inner = nn.Sequential(client, server).eval()
    (guess,), _ = inferred(attack, (BUDGET,), inputs)
    with drawing(0):
        start = anywhere(inputs, BUDGET, 0.1)
    wanted = sign_steps(inputs, start, cosine_slope(inner, outputs_of(inner, inputs)), BUDGET, 1, 1.0)
    torch.testing.assert_close(guess.tensors["inputs"], wanted)
    noise = BUDGET.noise(inputs, torch.Generator().manual_seed(1), signs=True)
    more = inferred(PGD(**perfect, iterations=20), (BUDGET,), inputs)[0][0].tensors["inputs"]  # type: ignore[arg-type]
    by_noise, by_one, by_more = (1 - similarity(inner, inputs, changed) for changed in (noise, wanted, more))
    assert 2 * by_noise < by_one < by_more


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": 1.5}, "start = 1.5: it goes from 0 to 1"),
        ({"objective": "similarity", "start": 0.0}, "at the input itself the similarity has no slope"),
        ({"objective": "similarity", "labels": "true"}, "labels = 'true': objective='similarity' uses none"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PGD(**options)


def test_how_often_its_own_network_is_turned_is_noted() -> None:
    inputs = natural(20)
    for attack in (PGD(network="victim"), PGD(network="victim", iterations=1, step=1e-6, start=0.0)):
        (guess,), view = inferred(attack, (BUDGET,), inputs)
        deployed = nn.Sequential(*parts(7)).eval()
        before, after = (deployed(x).argmax(1) for x in (inputs, guess.tensors["inputs"]))
        assert view.notes["own_changed"] == pytest.approx((before != after).float().mean().item())
    assert view.notes["own_changed"] == 0


def test_with_the_true_labels_a_proxy_moves_away_from_them() -> None:
    inputs = natural(20)
    by_label = {}
    for labels in ("predicted", "true"):
        (guess,), _ = inferred(PGD(labels=labels, epochs=1), (BUDGET,), inputs)  # type: ignore[arg-type]
        by_label[labels] = guess.tensors
    wrong = by_label["true"]["predicted"] != labels_of(inputs)
    assert torch.equal(by_label["true"]["predicted"], by_label["predicted"]["predicted"])
    assert 0 < wrong.sum() < len(wrong)
    same = (by_label["true"]["inputs"] == by_label["predicted"]["inputs"]).flatten(1).all(1)
    assert torch.equal(same, ~wrong)


@pytest.mark.parametrize("size", [1 / 16, 1 / 4])
def test_it_agrees_with_torchattacks(size: float) -> None:
    """Draws and sums are exact at these sizes, so that both take the same steps."""
    torchattacks = pytest.importorskip("torchattacks", reason="scripts/test-oracles installs it without torchvision")
    assert "torchvision" not in sys.modules
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5)).double().eval()
    inputs = natural(8).double()
    labels = network(inputs).argmax(1)
    torch.manual_seed(1)
    theirs = torchattacks.PGD(network, eps=size, alpha=size / 4, steps=10)(inputs, labels)
    torch.manual_seed(1)
    ours = PGD().perturb(network.requires_grad_(False), inputs, labels, Budget((size,)))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("options", "said"), [({"iterations": 0}, "iterations = 0: it is at least 1"), ({"step": 0}, "step = 0: it is gr")]
)
def test_wrong_options(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PGD(**options)
