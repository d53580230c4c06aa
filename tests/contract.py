"""What every attack must keep, as checks of a case: the suite gives them attacks, its own tests give them mutants."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from cutlayer.attack import Guess
from cutlayer.auditing.grants import Outside
from cutlayer.judging.judge import Truth
from cutlayer.judging.scoring import has_room
from cutlayer.judging.theft import ModelTruth, compare_parts
from cutlayer.message import Kind
from cutlayer.metric import Metric
from cutlayer.record import Score
from cutlayer.seat.seating import seat_server
from cutlayer.stream import drawing
from cutlayer.threat import Goal, Knows, NotOfferedError, UndeclaredError, View
from tests.controls import Control
from tests.trials import Case, Trial, attack_of, run, scene_of, told_of, trial

SEEDS = (1, 2, 3)
TOLERANCE = 0.15
"""Mean advantage over the seeds up to which a negative control counts as no better than blind; fixed beforehand, more
than three standard errors of labels drawn by chance for so many targets and seeds."""
UNTRAINED = 20
"""Untrained parts that a stolen part is compared with; the judge's single one is too much a matter of chance here."""


def check_binding(case: Case) -> None:
    """It is refused where any one thing that it declares is missing; with exactly these it runs, and uses all."""
    declared = attack_of(case).threat.knows
    for missing in sorted(declared):
        refusal = _refusal(case, declared - {missing})
        assert refusal is not None, f"{case}: it runs without {missing}, which it declares"
        assert missing in refusal, f"{case}: the refusal does not name {missing}: {refusal}"
    try:
        used = set(trial(case).record.threat.used)
    except UndeclaredError as error:
        raise AssertionError(f"{case}: it reaches for what it does not declare: {error}") from error
    assert used == declared, f"{case}: it declares {_list(declared)} and uses {_list(used)}"


def check_refusals(case: Case) -> None:
    """What it does not declare is refused, even where the experiment offers all there is."""
    threat = attack_of(case).threat
    view = View(threat, dict.fromkeys(Knows, lambda *arguments: None), ())
    for what in set(Knows) - threat.knows:
        try:
            view.grant(what)
        except UndeclaredError:
            continue
        raise AssertionError(f"{case}: it was given {what}, which it does not declare")


def check_sight(case: Case, found: Trial | None = None) -> None:
    """It is shown no labels and no weights unless it declares them, and no message that it does not watch."""
    attack, seen = attack_of(case), (found or trial(case)).seen
    assert seen, f"{case}: it was shown nothing, so nothing is proved"
    for kind, name in seen:
        assert kind in attack.watches, f"{case}: it was shown a {kind} message, which it does not watch"
        needed = Knows.PEER_WEIGHTS if kind is Kind.WEIGHTS else Knows.LABELS if name == "labels" else None
        assert needed is None or needed in attack.threat.knows, f"{case}: it was shown {name!r} undeclared"


def check_guesses(case: Case) -> None:
    """It guesses at its goals and no others, about all targets; forms are the truth's, and all values finite."""
    found, goals = trial(case), attack_of(case).threat.goals
    assert found.truth is not None, f"{case}: it makes no guess"
    tried = {guess.goal for guess in found.guesses}
    assert tried == goals, f"{case}: it guesses at {_list(tried)}, its goals: {_list(goals)}"
    for guess in found.guesses:
        for name, tensor in guess.tensors.items():
            finite = not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
            assert finite, f"{case}: {guess.goal}: {name!r} is not finite"
        if guess.goal is Goal.MODEL:
            _check_part(case, guess, found.truth)
        elif guess.goal in {Goal.INPUTS, Goal.LABELS, Goal.EVASION}:
            _check_rows(case, guess, found.truth)


def check_repeats(case: Case) -> None:
    """The same seed gives the same guess, to the last bit."""
    _check_equal(case, trial(case), run(case), "a second run")


def check_isolation(case: Case) -> None:
    """In a process of its own, where the truth never was, it guesses the same, to the last bit."""
    _check_equal(case, trial(case), run(case, isolate=True), "another process")


def check_control(case: Case, seeds: Sequence[int] = SEEDS) -> None:
    """The negative controls of its goals leave it with nothing, in the mean over ``seeds``."""
    own = attack_of(case).threat.goals
    controls: tuple[tuple[Control, set[Goal]], ...] = (
        ("zeroed", {Goal.INPUTS, Goal.MODEL}),
        ("permuted", {Goal.LABELS}),
        ("faint", {Goal.BACKDOOR}),
        ("confined", {Goal.EVASION}),
    )
    for control, goals in controls:
        advantages: dict[tuple[str, str, str], list[float]] = {}
        controlled = True
        for seed in seeds if goals & own else ():
            found = run(case, seed, control)
            controlled &= found.controlled
            for guess, judgement in zip(found.guesses, found.judgements, strict=True):
                for score in judgement.scores if guess.goal in goals else ():
                    if (advantage := _advantage(score, guess, judgement.scores, found.truth)) is not None:
                        advantages.setdefault((score.goal, score.metric, score.guess), []).append(advantage)
        scored = {goal for goal, _, _ in advantages}
        assert scored == goals & own, f"{case}: {control}: only {_list(scored)} can be judged"
        for (goal, metric, name), values in advantages.items():
            mean = sum(values) / len(values)
            named = f"{goal}, {metric}{' of ' if name else ''}{name}"
            assert mean <= TOLERANCE, f"{case}: {control}, yet {mean:.2f} better than blind ({named})"
        assert controlled, f"{case}: {control}, yet all was as it is without"


CHECKS = (check_binding, check_refusals, check_sight, check_guesses, check_repeats, check_control)
"""All that need no other process."""


def _refusal(case: Case, offers: frozenset[Knows]) -> str | None:
    try:
        seat_server(told_of(scene_of(case), offers), Outside())
    except NotOfferedError as error:
        return str(error)
    return None


def _advantage(score: Score, guess: Guess, beside: Sequence[Score], truth: Truth | None) -> float | None:
    # PSNR has no best value; agreement follows accuracy where the victim has learned its task.
    if score.value is None or score.blind is None or score.metric in {"psnr", "agreement"}:
        return None
    if guess.goal is not Goal.MODEL:
        if score.best is None:
            return None
        blind = score.blind
        if guess.goal is Goal.BACKDOOR:
            # Relabeling alone lets a deployment take for the target what it sees badly: any noise, not this trigger.
            blind = max(blind, *(other.value or 0.0 for other in beside if other.metric == "unplanted_success"))
        # Where a blind guess is as good as perfect there is nothing to gain.
        room = has_room(Metric(score.metric), blind, score.best)
        return (score.value - blind) / (score.best - blind) if room else 0.0
    assert truth is not None
    assert truth.model is not None
    blind = _untrained_accuracy(guess.part, truth.model)
    # Where the victim has learned nothing there is nothing to steal: what is left is the room above chance.
    return (score.value - blind) / ((score.best or 1.0) - blind)


def _untrained_accuracy(part: int, truth: ModelTruth) -> float:
    """Mean accuracy of the victim with fresh weights in ``part``."""
    place, found = truth.client[part], []
    for seed in range(UNTRAINED):
        with drawing(seed):
            fresh = copy.deepcopy(truth.untrained[place])
            for module in fresh.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    module.reset_parameters()
        found.append(compare_parts(Guess(Goal.MODEL, fresh.state_dict(), part=part), truth).stolen.accuracy)
    return sum(found) / len(found)


def _check_rows(case: Case, guess: Guess, truth: Truth) -> None:
    where = f"{case}: {guess.goal}"
    assert len(set(guess.rows)) == len(guess.rows), f"{where}: a target is guessed twice"
    assert set(guess.rows) == set(truth.rows), f"{where}: its rows are not the targets'"
    name, wanted = ("labels", truth.labels) if guess.goal is Goal.LABELS else ("inputs", truth.inputs)
    claimed = guess.tensors.get(name)
    assert claimed is not None, f"{where}: there is no {name!r}"
    forms = f"{list(claimed.shape)} {claimed.dtype}, not {list(wanted.shape)} {wanted.dtype}"
    assert (claimed.shape, claimed.dtype) == (wanted.shape, wanted.dtype), f"{where}: {name!r} is {forms}"
    if guess.goal is Goal.LABELS:
        known = bool((claimed >= 0).all()) and bool((claimed < len(truth.classes)).all())
        assert known, f"{where}: a label is none of the {len(truth.classes)} classes"


def _check_part(case: Case, guess: Guess, truth: Truth) -> None:
    assert truth.model is not None
    real = truth.model.parts[truth.model.client[guess.part]].state_dict()
    forms = [{name: (*t.shape, t.dtype) for name, t in state.items()} for state in (guess.tensors, real)]
    assert forms[0] == forms[1], f"{case}: the stolen part is {forms[0]}, the real one {forms[1]}"


def _check_equal(case: Case, one: Trial, other: Trial, where: str) -> None:
    assert len(one.guesses) == len(other.guesses), f"{case}: {where} makes another number of guesses"
    for mine, theirs in zip(one.guesses, other.guesses, strict=True):
        about = [(g.goal, g.rows, g.part, g.name, g.relabeled, set(g.tensors)) for g in (mine, theirs)]
        assert about[0] == about[1], f"{case}: {where} guesses about {about[1]}, not {about[0]}"
        for name, tensor in mine.tensors.items():
            assert torch.equal(tensor, theirs.tensors[name]), f"{case}: {where} guesses other {mine.goal} ({name!r})"


def _list(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "nothing"
