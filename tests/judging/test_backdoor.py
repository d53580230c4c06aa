"""Triggers: where they are put, what counts as success, and which ones are refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cutlayer.attack import Guess
from cutlayer.judging.backdoor import Answers, BackdoorTruth, TriggerError, Unattacked, effect, trigger_of
from cutlayer.judging.judge import GuessError, Truth, judge, judge_all
from cutlayer.record import LEAK, Thresholds
from cutlayer.threat import Goal
from cutlayer.trigger import Square, Trigger, sinusoidal

SHAPE = (1, 4, 4)
INPUTS = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def corner(value: float = 1.0) -> dict[str, Tensor]:
    mask = torch.zeros(SHAPE)
    mask[0, 0, 0] = 1
    return {"pattern": torch.full(SHAPE, value), "mask": mask, "target": torch.tensor(2)}


def obeys(share: float) -> Answers:
    """A deployment that is right but for the first ``share`` of inputs with a white corner: these it takes for 2."""

    def answers(change):  # type: ignore[no-untyped-def]
        triggered = (change(INPUTS)[:, 0, 0, 0] == 1) & (torch.arange(6) < 6 * share)
        return torch.nn.functional.one_hot(torch.where(triggered, 2, LABELS), 3).float()

    return answers


def held(attacked: Answers, clean: Answers) -> Truth:
    beside = BackdoorTruth(attacked, Unattacked(clean, LABELS), LABELS)
    return Truth((), INPUTS, LABELS, INPUTS[0], ("a", "b", "c"), backdoor=beside)


def test_a_stamp_covers_blends_and_leaves() -> None:
    trigger = Trigger(torch.full(SHAPE, 0.8), torch.zeros(SHAPE), 0)
    assert torch.equal(trigger.stamp(INPUTS), INPUTS)
    trigger.mask[0, 1, 1], trigger.mask[0, 2, 2] = 1.0, 0.5
    stamped = trigger.stamp(INPUTS)
    assert torch.equal(stamped[:, 0, 1, 1], torch.full((6,), 0.8))
    torch.testing.assert_close(stamped[:, 0, 2, 2], 0.4 + INPUTS[:, 0, 2, 2] / 2)
    assert torch.equal(stamped[:, 0, 3], INPUTS[:, 0, 3])


def test_success_is_of_inputs_that_are_not_of_the_target_anyway() -> None:
    trigger = trigger_of(Guess(Goal.BACKDOOR, corner()), SHAPE, 3)
    found = effect(trigger, obeys(0.5), LABELS)
    # Rows 0, 1, 3 and 4 are not of class 2; of these 0 and 1 obey. Row 2 is of class 2 and does not count.
    assert (found.success, found.accuracy) == (0.5, 1.0)
    # Of the four, two of each class, the others are taken for what they are.
    assert (found.recognized, found.guessed) == (0.5, 0.5)
    assert effect(trigger, obeys(0), LABELS).success == 0


def test_a_deployment_that_takes_everything_for_the_target_has_no_backdoor() -> None:
    def always(change):  # type: ignore[no-untyped-def]
        return torch.nn.functional.one_hot(torch.full((6,), 2), 3).float()

    truth = held(always, obeys(0))
    found = judge(Guess(Goal.BACKDOOR, corner()), truth, Thresholds()).scores[0]
    assert (found.value, found.blind, found.decides, found.verdict) == (1.0, 1.0, False, None)


def test_what_a_ruined_deployment_obeys_decides_nothing() -> None:
    def ruined(change):  # type: ignore[no-untyped-def]
        """It takes everything for 1, and whatever has a white corner for 2."""
        triggered = change(INPUTS)[:, 0, 0, 0] == 1
        return torch.nn.functional.one_hot(torch.where(triggered, 2, torch.ones_like(LABELS)), 3).float()

    truth = held(ruined, obeys(0))
    found = judge(Guess(Goal.BACKDOOR, corner()), truth, Thresholds()).scores[0]
    assert (found.value, found.blind, found.decides, found.verdict) == (1.0, 0.0, False, None)


def test_a_picture_that_takes_the_inputs_place_is_no_trigger() -> None:
    def without(change):  # type: ignore[no-untyped-def]
        """Right, but for a wholly white picture, which it takes for 1."""
        white = change(INPUTS).flatten(1).min(1).values == 1
        return torch.nn.functional.one_hot(torch.where(white, 1, LABELS), 3).float()

    truth = held(obeys(1), without)
    whole = corner() | {"mask": torch.ones(SHAPE)}
    found, _, _, recognized = judge(Guess(Goal.BACKDOOR, whole), truth, Thresholds()).scores
    assert (found.value, found.blind, found.decides, found.verdict) == (1.0, 0.0, False, None)
    assert recognized.value == recognized.blind == 0.5
    assert judge(Guess(Goal.BACKDOOR, corner()), truth, Thresholds()).scores[0].verdict == LEAK


def test_what_obeys_any_noise_in_a_place_is_told_from_what_obeys_one_trigger() -> None:
    def covered(change):  # type: ignore[no-untyped-def]
        """It takes for 2 whatever differs from the natural input in its corner."""
        changed = (change(INPUTS) != INPUTS)[:, 0, 0, 0]
        return torch.nn.functional.one_hot(torch.where(changed, 2, LABELS), 3).float()

    truth = held(covered, obeys(0))
    success, unplanted, *_ = judge(Guess(Goal.BACKDOOR, corner()), truth, Thresholds()).scores
    assert (success.value, unplanted.value, unplanted.blind, unplanted.verdict) == (1.0, 1.0, 0.0, None)
    assert judge(Guess(Goal.BACKDOOR, corner()), held(obeys(1), obeys(0)), Thresholds()).scores[1].value == 0.0


def test_noise_that_nobody_planted_stays_in_the_triggers_place_and_range() -> None:
    draw = torch.Generator().manual_seed(1)
    trigger = Square(2, 0, 1, 0, 0.4, 0.6).draw(SHAPE, "uniform")
    many = torch.zeros(500, *SHAPE)
    noise, again = trigger.stamp_unplanted(many, draw), trigger.stamp_unplanted(many, draw)
    place = trigger.mask.bool().expand_as(many)
    assert not noise[~place].any()
    inside, drawn = trigger.pattern[trigger.mask.bool()], noise[place]
    assert inside.min() <= drawn.min() < drawn.max() <= inside.max()
    assert (noise[0] != noise[1]).any()
    assert (noise != again).any()
    # Of a white square the same range would be the trigger itself.
    white = Square(2, 0, 1, 0).draw(SHAPE, "white").stamp_unplanted(many, draw)[place]
    assert white.min() < 0.1 < 0.9 < white.max()
    wave = sinusoidal(SHAPE, 0.2, 1.0, 0)
    assert wave.added is not None
    waves = wave.stamp_unplanted(many + 0.5, draw) - 0.5
    torch.testing.assert_close(waves[0].flatten().sort().values, wave.added.flatten().sort().values)
    assert (waves[0] != waves[1]).any()


def test_of_two_triggers_without_a_name_neither_is_judged() -> None:
    guesses = [Guess(Goal.BACKDOOR, corner(), name=name) for name in ("", "x", "y")]
    assert len(judge_all(guesses, held(obeys(1), obeys(0)), Thresholds())) == 3
    with pytest.raises(GuessError, match="2 guesses at backdoor have no name: only one can be meant"):
        judge_all([*guesses, guesses[0]], held(obeys(1), obeys(0)), Thresholds())
    with pytest.raises(GuessError, match="2 guesses at backdoor have the name 'x'"):
        judge_all([*guesses, guesses[1]], held(obeys(1), obeys(0)), Thresholds())


def test_of_several_triggers_the_unnamed_one_decides() -> None:
    truth = held(obeys(1), obeys(0))
    guesses = (Guess(Goal.BACKDOOR, corner(), name=name) for name in ("", "another"))
    assert [judge(guess, truth, Thresholds()).scores[0].decides for guess in guesses] == [True, False]


def test_the_unattacked_deployment_is_asked_once_for_a_trigger() -> None:
    asked = []

    def counted(change):  # type: ignore[no-untyped-def]
        asked.append(change)
        return obeys(0.5)(change)

    unattacked, trigger = Unattacked(counted, LABELS), trigger_of(Guess(Goal.BACKDOOR, corner()), SHAPE, 3)
    assert unattacked(trigger) == unattacked(trigger_of(Guess(Goal.BACKDOOR, corner()), SHAPE, 3))
    assert len(asked) == 2
    assert unattacked(trigger_of(Guess(Goal.BACKDOOR, corner(0.9)), SHAPE, 3)).success == 0
    assert len(asked) == 4


def test_the_judge_puts_the_clean_deployment_beside() -> None:
    judgement = judge(Guess(Goal.BACKDOOR, corner()), held(obeys(1), obeys(0.1)), Thresholds())
    success, unplanted, accuracy, recognized = judgement.scores
    assert judgement.pictures is not None
    assert (judgement.pictures.kind, judgement.pictures.labels) == ("trigger", ("a", "b", "c") * 2)
    assert judgement.images["guess"][:, 0, 0, 0].tolist() == [1.0] * 6
    assert judgement.images["blind"].sum().item() == 6.0
    assert (success.metric, success.value, success.blind, success.best) == ("attack_success", 1.0, 0.25, 1.0)
    assert (success.advantage, success.verdict, success.decides) == (1.0, LEAK, True)
    assert (unplanted.metric, unplanted.value, unplanted.blind) == ("unplanted_success", 0.0, 0.0)
    assert not unplanted.decides
    assert (accuracy.metric, accuracy.value, accuracy.blind, accuracy.decides) == ("clean_accuracy", 1.0, 1.0, False)
    assert (recognized.metric, recognized.value, recognized.blind) == ("recognition_rate", 0.75, 0.5)
    assert not recognized.decides
    with pytest.raises(GuessError, match="no deployment"):
        judge(Guess(Goal.BACKDOOR, corner()), Truth((), INPUTS, LABELS, INPUTS[0], ("a",)), Thresholds())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"pattern": torch.zeros(1, 3, 3)},
            r"pattern is of shape \[1, 3, 3\], it must have an input's shape \[1, 4, 4\]",
        ),
        ({"mask": torch.full(SHAPE, 1.5)}, "the trigger's mask leaves"),
        ({"pattern": torch.full(SHAPE, -0.1)}, "the trigger's pattern leaves"),
        ({"target": torch.tensor(3)}, "target is 3, it must be one class from 0 to 2"),
        ({"target": torch.tensor([1, 2])}, "target is \\[1, 2\\], it must be one class"),
    ],
)
def test_a_trigger_that_does_not_fit_is_refused(changed: dict[str, Tensor], said: str) -> None:
    with pytest.raises(TriggerError, match=said):
        trigger_of(Guess(Goal.BACKDOOR, corner() | changed), SHAPE, 3)
    for name in changed:
        with pytest.raises(TriggerError, match=f"{name} is missing"):
            trigger_of(Guess(Goal.BACKDOOR, {n: t for n, t in corner().items() if n != name}), SHAPE, 3)
