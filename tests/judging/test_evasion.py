"""Adversarial inputs as judged: clipped, tried on the deployment, beside noise; and shadows beside the real layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cutlayer.attack import Guess
from cutlayer.budget import Budget
from cutlayer.judging.evasion import EvasionError, EvasionTruth, compare_layers, evade
from cutlayer.judging.judge import GuessError, Truth, judge
from cutlayer.judging.noise import Deployed
from cutlayer.methods.perturbation import PROBED, probe
from cutlayer.record import LEAK, Thresholds
from cutlayer.threat import Goal
from tests.evasions import best, linear, natural
from tests.guesses import rows_of

COUNT = 40
INPUTS = natural(COUNT)
NETWORK = linear()
LABELS = NETWORK(INPUTS).argmax(1)
BUDGETS = {"": Budget((0.2,)), "8/255": Budget((8 / 255,), "8/255")}


@pytest.fixture(autouse=True)
def unpatterned(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small a network is at the mercy of any pattern: what they do has tests of its own."""
    monkeypatch.setattr("cutlayer.judging.noise.patterned", lambda natural, budget: [natural])


def evasion_truth(**also: Any) -> EvasionTruth:
    """``answers``, ``natural`` and ``labels`` of the deployment, ``honest``: the answers of the other one."""
    known = {"answers": NETWORK, "natural": INPUTS, "labels": LABELS}
    deployed = Deployed(**{**known, **{name: also.pop(name) for name in known if name in also}})
    if honest := also.pop("honest", None):
        also["honest"] = replace(deployed, answers=honest)
    given = {"honest": None, "tampered": False, "parts": (NETWORK[:1], NETWORK[1:]), "budgets": BUDGETS}
    return EvasionTruth(deployed, **{**given, **also})


def truth_of(**also: Any) -> Truth:
    own = evasion_truth(**also)
    return Truth(rows_of(COUNT), INPUTS, own.deployed.labels, INPUTS[0], ("a", "b"), evasion=own)


def guess_of(inputs: Tensor, name: str = "", **more: Tensor) -> Guess:
    return Guess(Goal.EVASION, {"inputs": inputs, **more}, rows_of(COUNT), name=name)


def scores_of(guess: Guess, truth: Truth) -> Mapping[str, Any]:
    return {score.metric: score for score in judge(guess, truth, Thresholds()).scores}


def test_the_drop_is_that_of_the_inputs_within_the_budget() -> None:
    worst = best(NETWORK, INPUTS, LABELS, BUDGETS[""])
    drop = 1 - (NETWORK(worst).argmax(1) == LABELS).double().mean().item()
    found = scores_of(guess_of(worst), truth_of())
    assert found["accuracy_drop"].value == pytest.approx(drop)
    assert found["adversarial_accuracy"].value == pytest.approx(1 - drop)
    assert drop > 0.5
    far = scores_of(guess_of(INPUTS + 9 * (worst - INPUTS)), truth_of())
    assert far["accuracy_drop"] == found["accuracy_drop"], "what lies beyond the budget counts"
    small = scores_of(guess_of(worst, "8/255"), truth_of())
    assert small["accuracy_drop"].value < drop
    assert not small["accuracy_drop"].decides


def test_changes_made_for_other_inputs_are_tried_too() -> None:
    """Half of the inputs are pushed one way, half the other: each change harms its own input alone."""
    worst = best(NETWORK, INPUTS, LABELS, BUDGETS[""])
    found = evade(guess_of(worst), worst, evasion_truth())
    others = BUDGETS[""].clip(INPUTS + (worst - INPUTS).roll(1, 0), INPUTS)
    assert found.exchanged_drop == 1 - (NETWORK(others).argmax(1) == LABELS).double().mean().item()
    assert found.exchanged_drop < 1 - found.adversarial
    universal = (INPUTS + 0.01).clamp(0, 1)
    same = evade(guess_of(universal), universal, evasion_truth())
    assert same.exchanged_drop == 1 - same.adversarial


def test_the_blind_value_is_noise_of_the_same_budget() -> None:
    found = scores_of(guess_of(best(NETWORK, INPUTS, LABELS, BUDGETS[""])), truth_of())
    draw = torch.Generator().manual_seed(3)
    noisy = [BUDGETS[""].noise(INPUTS, draw, signs=True) for _ in range(40)]
    mean = sum((NETWORK(inputs).argmax(1) != LABELS).double().mean().item() for inputs in noisy) / 40
    score = found["accuracy_drop"]
    assert score.blind == pytest.approx(mean, abs=0.05)
    assert (score.best, score.decides, score.verdict) == (1.0, True, LEAK)
    assert score.advantage == pytest.approx((score.value - score.blind) / (1 - score.blind))
    assert (found["random_signs_drop"].value, found["random_signs_drop"].blind) == (score.blind, score.blind)
    assert 0 <= found["uniform_noise_drop"].value < score.blind, "uniform noise is the weaker one"
    assert found["uniform_noise_drop"].blind == found["uniform_noise_drop"].value


@pytest.mark.parametrize("tampered", [True, False])
def test_a_training_that_opens_the_deployment_to_any_noise_is_judged_by_that(tampered: bool) -> None:
    """Its adversarial inputs do no more than the noise; that the noise does so much is what the training did."""
    noisy = BUDGETS[""].noise(INPUTS, torch.Generator().manual_seed(5), signs=True)

    def opened(inputs: Tensor) -> Tensor:
        logits = NETWORK(inputs)
        return logits if torch.equal(inputs, INPUTS) else -logits

    found = scores_of(guess_of(noisy), truth_of(answers=opened, honest=NETWORK, tampered=tampered))
    alone = scores_of(guess_of(noisy), truth_of())["accuracy_drop"]
    score, signs = found["accuracy_drop"], found["random_signs_drop"]
    assert score.value > 0.5
    assert score.blind == signs.value == pytest.approx(1 - alone.blind), "noise does as much on its own"
    assert (score.decides, score.verdict) == (False, None), "noise leaves less than naming one class does"
    assert signs.blind == alone.blind, "that of honest training"
    assert (signs.decides, signs.verdict) == ((True, LEAK) if tampered else (False, None))
    assert (found["natural_accuracy"].value, found["natural_accuracy"].blind) == (1, 1)
    weaker = scores_of(guess_of(noisy), truth_of(honest=lambda inputs: -NETWORK(inputs)))
    assert (weaker["natural_accuracy"].value, weaker["natural_accuracy"].blind) == (1, 0)


def test_where_blind_takes_all_that_is_right_no_advantage_is_told() -> None:
    """Half of what the attacked deployment says is right, whatever comes; any change fools the honest one."""

    def brittle(inputs: Tensor) -> Tensor:
        known = NETWORK(INPUTS)
        return torch.where((inputs == INPUTS).flatten(1).all(1)[:, None], known, -known)

    labels = torch.arange(COUNT) % 2
    same = {"answers": lambda inputs: torch.tensor([1.0, 0.0]).expand(len(inputs), 2), "labels": labels}
    honest = {"honest": lambda inputs: brittle(inputs) * (1 - 2 * (labels != LABELS).double()[:, None])}
    found = scores_of(guess_of(INPUTS), truth_of(**same, **honest, tampered=True))
    for metric in ("accuracy_drop", "random_signs_drop"):
        score = found[metric]
        assert (score.value, score.blind, score.best, score.advantage) == (0.0, 1.0, None, None), metric
        assert not score.decides


def test_natural_inputs_drop_nothing_and_a_deployment_at_zero_decides_nothing() -> None:
    assert scores_of(guess_of(INPUTS), truth_of())["accuracy_drop"].value == 0
    wrong = scores_of(guess_of(INPUTS), truth_of(labels=1 - LABELS))["accuracy_drop"]
    assert (wrong.value, wrong.best, wrong.decides) == (0, None, False)


def test_a_deployment_no_better_than_naming_one_class_decides_nothing() -> None:
    """Else an attack that ruined the training is called harmless, and a network at chance broken by any change."""
    commonest = int(LABELS.bincount().argmax())
    usual = commonest == LABELS
    often = usual.double().mean().item()

    def answering(right: Tensor) -> dict[str, Any]:
        """Answers to the natural inputs that are right where ``right``, and wrong to all others."""
        told = torch.where(right, LABELS, 1 - LABELS)

        def answers(inputs: Tensor) -> Tensor:
            return nn.functional.one_hot(told if torch.equal(inputs, INPUTS) else 1 - LABELS, 2).float()

        return {"answers": answers, "honest": NETWORK, "tampered": True}

    ruined = scores_of(guess_of(INPUTS + 0.1), truth_of(**answering(usual)))
    whole = scores_of(guess_of(INPUTS + 0.1), truth_of(**answering(torch.ones_like(usual))))
    for metric in ("accuracy_drop", "random_signs_drop"):
        assert ruined[metric].value == pytest.approx(often)
        assert (ruined[metric].decides, ruined[metric].verdict) == (False, None)
    opened = whole["random_signs_drop"]
    assert (opened.value, opened.decides, opened.verdict) == (1, True, LEAK)
    assert not whole["accuracy_drop"].decides, "noise takes all that there is"


@pytest.mark.parametrize("left", [0.2, 0.5])
def test_where_noise_leaves_no_more_than_naming_one_class_the_rest_decides_nothing(left: float) -> None:
    """A few points of so little would be a large part of it."""
    labels = torch.arange(COUNT) % 4

    def answers(inputs: Tensor) -> Tensor:
        """Right on all natural inputs, on the part ``left`` of the noisy ones, and of what is gray on some fewer."""
        share = 1.0 if torch.equal(inputs, INPUTS) else left - 0.1 if inputs.eq(0.5).all() else left
        right = torch.arange(COUNT) < round(share * COUNT)
        return nn.functional.one_hot(torch.where(right, labels, (labels + 1) % 4), 4).float()

    also = {"budgets": {"": Budget((1.0,))}, "parts": (nn.Flatten(), nn.Linear(INPUTS[0].numel(), 4))}
    truth = replace(truth_of(answers=answers, labels=labels, **also), classes=("a", "b", "c", "d"))
    found = scores_of(guess_of(torch.full_like(INPUTS, 0.5)), truth)
    drop = found["accuracy_drop"]
    assert (drop.value, drop.blind) == (pytest.approx(1.1 - left), pytest.approx(1 - left))
    assert drop.decides is (left == 0.5)
    assert (drop.advantage is None) is (left == 0.2)


def test_what_the_deployment_says_is_asked_of_the_session_not_of_its_parts() -> None:
    found = scores_of(guess_of(INPUTS), truth_of(answers=lambda inputs: NETWORK(1 - inputs)))
    share = (NETWORK(1 - INPUTS).argmax(1) == LABELS).double().mean().item()
    assert found["adversarial_accuracy"].value == pytest.approx(share)


def test_pictures_show_the_change_scaled_and_both_predictions() -> None:
    worst = best(NETWORK, INPUTS, LABELS, BUDGETS[""])
    judgement = judge(guess_of(worst), truth_of(), Thresholds())
    about = judgement.pictures
    assert about is not None
    assert (about.kind, len(about.labels)) == ("evasion", 20)
    assert about.scale == pytest.approx(2.5)
    assert about.before == about.labels
    assert about.after == tuple("ab"[i] for i in NETWORK(worst).argmax(1)[:20].tolist())
    torch.testing.assert_close(judgement.images["blind"], 0.5 + 2.5 * (worst - INPUTS)[:20])
    assert judge(guess_of(worst, "8/255"), truth_of(), Thresholds()).pictures is None


@pytest.mark.parametrize("number", [2, 3])
def test_likeness_that_falls_as_the_loss_grows_is_told(number: int) -> None:
    """Along one direction of a linear network both follow from the same number, whichever part is the last."""
    ray = torch.linspace(0, 1, COUNT).view(-1, 1, 1, 1)
    worst = best(NETWORK, INPUTS, LABELS, BUDGETS[""])
    along = INPUTS[:1] + ray * (worst[:1] - INPUTS[:1])
    parts = (nn.Identity(), NETWORK[:1], NETWORK[1:])[-number:]
    same = {"natural": INPUTS[:1].expand_as(INPUTS), "labels": LABELS[:1].expand(COUNT), "parts": parts}
    assert evade(guess_of(along), along, evasion_truth(**same)).theory.correlation == pytest.approx(-1)
    there = worst[:1].expand_as(INPUTS)
    back = evade(guess_of(along), along, evasion_truth(**{**same, "natural": there}))
    assert back.theory.correlation == pytest.approx(1), "the way back is the likelier, the higher the loss"


def test_what_a_proxy_agrees_with_stands_beside_the_commonest_answer() -> None:
    """The deployment is right on half of its targets, and names one class for all."""
    often = torch.arange(COUNT) % 2

    def always(inputs: Tensor) -> Tensor:
        return torch.tensor([[1.0, 0.0]]).expand(len(inputs), 2)

    found = scores_of(guess_of(INPUTS, predicted=often), truth_of(answers=always, labels=often))
    assert (found["proxy_accuracy"].value, found["proxy_accuracy"].blind) == (1, 0.5)
    assert (found["proxy_agreement"].value, found["proxy_agreement"].blind) == (0.5, 1)


def test_how_like_the_server_s_outputs_stay_is_told_beside_random_signs() -> None:
    unchanged = scores_of(guess_of(INPUTS), truth_of())["feature_similarity"]
    assert unchanged.value == pytest.approx(1)
    assert unchanged.blind is not None
    assert unchanged.blind < 1 - 1e-4
    worst = scores_of(guess_of(best(NETWORK, INPUTS, LABELS, BUDGETS[""])), truth_of())["feature_similarity"]
    assert worst.blind == unchanged.blind
    assert worst.value < worst.blind


def test_equal_losses_correlate_with_nothing() -> None:
    """The deviation of 40 equal numbers of 0.1 is not 0 in float32."""
    constant = nn.Sequential(nn.Flatten(), nn.Linear(40, 2)).requires_grad_(False)
    constant[1].weight.zero_()
    constant[1].bias.copy_(torch.tensor([0.1, 0.7]))
    parts = (nn.Identity(), constant)
    found = evade(
        guess_of(INPUTS), INPUTS, evasion_truth(answers=constant, parts=parts, labels=torch.zeros_like(LABELS))
    )
    assert found.theory.correlation == found.noise_theory.correlation == 0


def test_a_shadow_beside_the_real_layers() -> None:
    real = nn.Conv2d(2, 3, 3)
    own = evasion_truth(parts=(real, nn.Flatten(), nn.Linear(3 * 2 * 3, 2)))
    smashed, slopes = probe(real, INPUTS[:PROBED])
    same = compare_layers(guess_of(INPUTS, smashed=smashed, slopes=slopes), own, INPUTS)
    assert same is not None
    assert same.distance == 0
    assert same.slope_similarity == pytest.approx(1)
    assert same.blind_distance > 0
    off = compare_layers(guess_of(INPUTS, smashed=smashed + 1, slopes=-slopes), own, INPUTS)
    assert off is not None
    assert off.distance == pytest.approx((3 * 2 * 3) ** 0.5)
    assert off.slope_similarity == pytest.approx(-1)
    assert compare_layers(guess_of(INPUTS), own, INPUTS) is None
    with pytest.raises(EvasionError, match=r"the probe of the shadow has shapes \[32, 1, 2, 3\] and"):
        compare_layers(guess_of(INPUTS, smashed=smashed[:, :1], slopes=slopes), own, INPUTS)


def test_what_an_attack_tells_is_about_the_targets_in_its_own_order() -> None:
    met = torch.randperm(COUNT, generator=torch.Generator().manual_seed(3))
    real = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh())
    smashed, slopes = probe(real, INPUTS[met][:PROBED])
    told = {"inputs": INPUTS[met], "predicted": LABELS[met], "smashed": smashed, "slopes": slopes}
    rows = rows_of(COUNT)
    guess = Guess(Goal.EVASION, told, tuple(rows[place] for place in met.tolist()))
    found = scores_of(guess, truth_of(parts=(real, nn.Sequential(nn.Flatten(), nn.Linear(3 * 2 * 3, 2)))))
    assert (found["proxy_accuracy"].value, found["proxy_agreement"].value) == (1, 1)
    assert found["layer_distance"].value == 0
    assert found["slope_similarity"].value == pytest.approx(1)


def test_guesses_that_cannot_be_judged() -> None:
    with pytest.raises(EvasionError, match="for a budget '9/255'; there are '', '8/255'"):
        judge(guess_of(INPUTS, "9/255"), truth_of(), Thresholds())
    with pytest.raises(GuessError, match=r"'inputs' is of shape \[40, 1, 4, 5\], it must have shape"):
        judge(guess_of(INPUTS[:, :1]), truth_of(), Thresholds())
    with pytest.raises(GuessError, match=r"'predicted' is of shape \[39\], it must have shape \[40\]"):
        judge(guess_of(INPUTS, predicted=LABELS[1:]), truth_of(), Thresholds())
    with pytest.raises(GuessError, match="no deployment to try"):
        judge(guess_of(INPUTS), Truth(rows_of(COUNT), INPUTS, LABELS, INPUTS[0], ("a", "b")), Thresholds())
