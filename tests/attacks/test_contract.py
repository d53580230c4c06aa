"""Every attack keeps the contract, and the contract's checks report those who do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest.mock import patch

import pytest

from cutlayer.attack import Guess
from cutlayer.budget import Budget
from cutlayer.experiment import make
from cutlayer.judging.judge import GuessError
from cutlayer.message import Kind
from cutlayer.record import Score
from cutlayer.seat import seating
from cutlayer.simulation.assembly import assemble
from cutlayer.threat import Goal, Knows, View
from tests import contract, trials
from tests.contract import CHECKS
from tests.controls import Meanwhile
from tests.scenes import PLUGINS
from tests.trials import Case

CASES = trials.cases()
DISTINCT = trials.distinct(CASES)
PLAIN = trials.plain(CASES)
FIRST = [case for number, case in enumerate(PLAIN) if case.attack not in {other.attack for other in PLAIN[:number]}]
# A process takes seconds to start: one attack that watches and one that tampers stand for the others in a quick run.
APART = [next(case for case in FIRST if trials.attack_of(case).threat.tampers is tampers) for tampers in (False, True)]
# With a budget of 0 the judge's clip is all that is tried: one attack with one goal stands for the others.
EVADING = [case for case in FIRST if trials.attack_of(case).threat.goals == {Goal.EVASION}]
# Who knows the labels is what the proxies they perturb on have in common: the first of them stands for the others.
TOLD = [case for case in DISTINCT if ("labels", "true") in case.options]
QUICK = [check for check in CHECKS if check is not contract.check_control]


def all_of(cases: list[Case], quick: list[Case]) -> pytest.MarkDecorator:
    """The test for each of ``cases``; those that are not ``quick`` are slow."""
    marked = [pytest.param(case, marks=() if case in quick else pytest.mark.slow, id=str(case)) for case in cases]
    return pytest.mark.parametrize("case", marked)


def the(case: Case) -> Case:
    """``case``, unless its attack has nothing to do in its protocol."""
    if not trials.applies(case):
        pytest.skip(trials.trial(case).record.reason)
    return case


@pytest.mark.parametrize("check", QUICK, ids=lambda check: check.__name__)
@all_of(CASES, quick=[*FIRST, *(case for case in DISTINCT if case not in TOLD[1:])])
def test_every_attack_keeps_the_contract(case: Case, check: Callable[[Case], None]) -> None:
    check(the(case))


@pytest.mark.parametrize("case", [case for case in FIRST if case not in EVADING[1:]], ids=str)
def test_every_attack_fails_its_negative_control_with_one_seed(case: Case) -> None:
    contract.check_control(the(case), (2,))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_attack_fails_its_negative_control(case: Case) -> None:
    contract.check_control(the(case))


@all_of(DISTINCT, quick=APART)
def test_every_attack_guesses_the_same_in_another_process(case: Case) -> None:
    contract.check_isolation(the(case))


@pytest.mark.parametrize("case", FIRST, ids=str)
def test_every_attack_applies_where_it_is_at_home(case: Case) -> None:
    assert trials.applies(case)


def control_once(case: Case) -> None:
    """What is wrong in every seed is wrong in the first."""
    contract.check_control(case, (1,))


def mutant(defect: str, attack: str = "mutant") -> Case:
    return Case(attack, "vanilla", (("defect", defect),), PLUGINS)


@pytest.mark.parametrize("check", [*QUICK, control_once], ids=lambda check: check.__name__)
@pytest.mark.parametrize("attack", ["mutant", "tampering_mutant"])
def test_an_honest_attack_passes(attack: str, check: Callable[[Case], None]) -> None:
    check(mutant("", attack))


@pytest.mark.parametrize(
    ("defect", "check", "reported"),
    [
        ("overdeclares", contract.check_binding, "declares class_prior, peer_architecture and uses peer_architecture"),
        ("reaches", contract.check_binding, "does not declare: the threat model does not declare class_prior"),
        ("drops a row", contract.check_guesses, "its rows are not the targets'"),
        ("repeats a row", contract.check_guesses, "a target is guessed twice"),
        ("other rows", contract.check_guesses, "its rows are not the targets'"),
        ("shape", contract.check_guesses, "not [4, 1, 16, 16] torch.float32"),
        ("dtype", contract.check_guesses, "torch.float64, not"),
        ("no inputs", contract.check_guesses, "there is no 'inputs'"),
        ("nan", contract.check_guesses, "'inputs' is not finite"),
        ("no such label", contract.check_guesses, "a label is none of the 10 classes"),
        ("another part", contract.check_guesses, "the stolen part is"),
        ("unseeded", contract.check_repeats, "a second run guesses other inputs"),
        pytest.param(
            *("inputs off the stack", contract.check_isolation, "another process guesses other inputs"),
            marks=pytest.mark.slow,
        ),
        ("inputs off the stack", control_once, "zeroed, yet 1.00 better than blind (inputs, ssim)"),
        ("model off the stack", control_once, "zeroed, yet 1.00 better than blind (model, accuracy)"),
        ("labels by the seed", control_once, "permuted, yet 1.00 better than blind (labels, accuracy)"),
    ],
)
def test_a_defect_is_reported(defect: str, check: Callable[[Case], None], reported: str) -> None:
    with pytest.raises(AssertionError) as error:
        check(mutant(defect))
    assert reported in str(error.value)


@pytest.mark.parametrize(
    ("metric", "blind", "unplanted", "advantage"),
    [
        ("mse", 0.04, None, 1.0),
        ("mse", 0.001, None, 1.0),
        ("attack_success", 0.2, 0.6, 1.0),
        ("attack_success", 0.2, 0.97, 0.0),
    ],
)
def test_the_control_sees_errors_too_and_obeys_the_judges_room(
    metric: str, blind: float, unplanted: float | None, advantage: float
) -> None:
    goal, best = (Goal.INPUTS, 0.0) if unplanted is None else (Goal.BACKDOOR, 1.0)
    score = Score(goal=goal, metric=metric, value=best, blind=blind, best=best)
    noise = Score(goal=goal, metric="unplanted_success", value=unplanted)
    assert contract._advantage(score, Guess(goal, {}), (score, noise), None) == advantage


def test_what_a_tampering_attack_has_seen_off_the_wire_is_reported() -> None:
    with pytest.raises(AssertionError, match=r"zeroed, yet 1\.00 better than blind \(inputs, ssim\)"):
        control_once(mutant("inputs off the stack", "tampering_mutant"))


@pytest.mark.parametrize(
    ("case", "control", "where", "what", "instead"),
    [
        (mutant(""), "zeroed", Meanwhile, "shown", lambda meanwhile, message: message),
        (mutant("", "tampering_mutant"), "zeroed", Meanwhile, "_assembled", lambda meanwhile, *of: assemble(*of)),
        (mutant("labels by the seed"), "permuted", trials, "_data", lambda permuted, made=trials._data: made(False)),
        (mutant("leaves the budget"), "confined", trials, "make", lambda values: make({**values, "budget": 0.3})),
    ],
    ids=lambda value: str(value) if isinstance(value, Case | str) else "",
)
def test_a_control_that_makes_no_difference_is_reported(
    case: Case, control: str, where: object, what: str, instead: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "TOLERANCE", float("inf"))
    monkeypatch.setattr(trials, "scene_of", trials.scene_of.__wrapped__)
    monkeypatch.setattr(where, what, instead)
    with pytest.raises(AssertionError, match=f"{control}, yet all was as it is without"):
        control_once(case)


def test_a_control_with_no_trigger_to_leave_away_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "TOLERANCE", float("inf"))
    with pytest.raises(AssertionError, match="faint, yet all was as it is without"):
        control_once(Case("forger", "vanilla", (), PLUGINS))


def test_a_guess_at_another_goal_is_refused_by_the_judge() -> None:
    with pytest.raises(GuessError, match="a guess at labels: the threat model's goals are inputs"):
        contract.check_guesses(mutant("another goal"))


def test_a_trigger_that_works_without_having_been_planted_is_reported() -> None:
    with pytest.raises(AssertionError, match=r"faint, yet \S+ better than blind \(backdoor, attack_success\)"):
        control_once(Case("forger", "vanilla", (), PLUGINS))


def test_adversarial_inputs_beyond_the_budget_are_reported() -> None:
    case = mutant("leaves the budget")
    control_once(case)
    with (
        patch.object(Budget, "clip", lambda budget, changed, natural: changed),
        pytest.raises(AssertionError, match=r"confined, yet 1\.00 better than blind \(evasion, accuracy_drop\)"),
    ):
        control_once(case)


def test_a_view_that_is_built_without_what_is_declared_is_reported() -> None:
    def built(view: View, grants: Mapping[Knows, Any], within: Sequence[Budget], shelf: None) -> None:
        view._grants, view._open, view._within, view._shelf = dict(grants), True, within, shelf

    with patch.object(View, "__post_init__", built), pytest.raises(AssertionError, match="runs without"):
        contract.check_binding(mutant("overdeclares"))


def test_a_view_that_gives_what_is_not_declared_is_reported() -> None:
    with patch.object(View, "grant", lambda view, what: None), pytest.raises(AssertionError, match="it was given"):
        contract.check_refusals(mutant(""))


def test_an_adversary_that_shows_labels_is_reported() -> None:
    kind = type(trials.attack_of(mutant("")))
    with patch.object(kind, "watches", frozenset(Kind)):
        contract.check_sight(mutant(""), trials.run(mutant("")))
        with patch.object(seating, "_guarded", lambda message: {}):
            shown = trials.run(mutant(""))
        with pytest.raises(AssertionError, match="shown 'labels' undeclared"):
            contract.check_sight(mutant(""), shown)


def test_an_adversary_that_shows_what_is_not_watched_is_reported() -> None:
    with patch.object(type(trials.attack_of(mutant(""))), "watches", frozenset(Kind)):
        shown = trials.run(mutant(""))
    with pytest.raises(AssertionError, match="which it does not watch"):
        contract.check_sight(mutant(""), shown)
