"""Ours beside the printed: what disagrees is said, and of how many seeds a number is where only some have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cutlayer.metric import Metric
from cutlayer.papers.backdoor import figures as backdoor
from cutlayer.record import Record, Score
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.comparison import Number, TableLine, comparison
from cutlayer.reproduction.found import Group, Run, find
from tests.reproduction.test_reproduction import MSE, TABLE_2, leave

SUCCESS = Number("ASR", Metric.ATTACK_SUCCESS, "backdoor")
NOISE = Number("noise", Metric.UNPLANTED_SUCCESS, "backdoor", beside="before", against=SUCCESS)


def group_of(*values: float, noise: tuple[float | None, ...] = (), metric: Metric = Metric.ATTACK_SUCCESS) -> Group:
    """A run for each value, by default a success, with what noise does where it was measured."""
    runs = []
    for place, value in enumerate(values):
        scores = [Score(goal="backdoor", metric=metric, value=value, blind=0.0)]
        if place < len(noise):
            scores.append(Score(goal="backdoor", metric="unplanted_success", value=noise[place], blind=0.0))
        runs.append(Run(Record(scores=tuple(scores)), Path()))
    return Group((), tuple(runs))


def texts_of(number: Number, group: Group, printed: float) -> list[str]:
    found = comparison(("depth",), (number,), [TableLine(("1",), group, (printed,))])
    return [block.text for block in found if isinstance(block, Text)]


def test_a_number_that_only_some_seeds_have_says_which_and_what_it_is_read_against_there() -> None:
    line = TableLine(("1",), group_of(0.521, 0.086, noise=(None, 0.051)), (None, None))
    (table,) = comparison(("depth",), (SUCCESS, NOISE), [line])
    assert isinstance(table, Table)
    row = dict(zip(table.heads, table.rows[0], strict=True))
    assert row["ASR"] == "30.3 % (seeds: 8.6 %; 52.1 %)"
    assert row["noise"] == "5.1 % (1 of 2 seeds; ASR there 8.6 %)"
    some = group_of(0.5, 0.6, 0.7, noise=(0.1, 0.2))
    assert replace(NOISE, against=None).told(some.records) == "15.0 % (seeds: 10.0 %; 20.0 %) (2 of 3 seeds)"
    assert NOISE.told(group_of(0.5, noise=(0.1,)).records) == "10.0 %"
    assert NOISE.told(group_of(0.5).records) == "-"


def test_fewer_than_three_seeds_disagree_where_the_printed_value_is_far_from_all_of_them() -> None:
    two, said = group_of(0.1, 0.3), "and the printed value lies far outside the range of our seeds, at depth 1"
    worse, better = (
        f"ASR (as published): ours is {which} for the attacker than printed" for which in ("worse", "better")
    )
    assert texts_of(SUCCESS, two, 0.51) == [f"{worse}, {said} (by 21.0 pp)."]
    assert texts_of(SUCCESS, two, 0.49) == []
    one = "and the printed value lies far from our one seed, at depth 1"
    assert texts_of(SUCCESS, group_of(0.95), 0.02) == [f"{better}, {one} (by 93.0 pp)."]
    other = replace(SUCCESS, metric=Metric.PSNR, head="dB")
    assert texts_of(other, group_of(20.0, metric=Metric.PSNR), 30.0)[0].endswith("(by 10.000).")
    assert texts_of(other, group_of(25.0, metric=Metric.PSNR), 30.0) == []


@pytest.mark.parametrize(
    ("accuracies", "printed", "exceeded"),
    [
        ((0.185,), 0.5, "18.5 %"),
        ((0.185,), 0.1, ""),
        ((0.185, 0.3), 0.6, "30.0 %"),
        ((0.185, 0.7), 0.6, ""),
        ((0.3, 0.31, 0.32), 0.5, "32.0 %"),
    ],
)
def test_a_printed_value_that_ours_cannot_reach_says_nothing_about_the_attack(
    accuracies: tuple[float, ...], printed: float, exceeded: str
) -> None:
    runs = []
    for accuracy in accuracies:
        values = {"accuracy_drop": 0.01 + accuracy / 100, "natural_accuracy": accuracy}
        scores = tuple(Score(goal="evasion", metric=metric, value=value, blind=0.0) for metric, value in values.items())
        runs.append(Run(Record(scores=scores), Path()))
    clean = Number("clean accuracy", Metric.NATURAL_ACCURACY, "evasion")
    drop = Number("drop", Metric.ACCURACY_DROP, "evasion", limit=clean)
    texts = texts_of(drop, Group((), tuple(runs)), printed)
    said = "the printed value is more than the clean accuracy here, which no attack can exceed"
    told = [f"drop (as published): {said}, at depth 1 ({exceeded})."]
    assert texts == told if exceeded else all(said not in text for text in texts)
    assert any("ours is worse" in text for text in texts_of(replace(drop, limit=None), Group((), tuple(runs)), 0.9))


def test_what_no_printed_value_should_fall_short_of_is_named_as_it_is() -> None:
    blind = replace(SUCCESS, blindly="the same trigger without the attack")
    (text,) = texts_of(blind, group_of(0.01), 0.0)
    assert text == "ASR: the printed value is no better than the same trigger without the attack, at depth 1."
    assert "the same trigger without the attack" in backdoor.SUCCESS.blindly


def test_an_interval_that_a_share_cannot_reach_decides_nothing() -> None:
    wide = group_of(0.824, 0.875, 0.999)
    assert SUCCESS.told(wide.records) == "89.9 % (seeds: 82.4 %; 87.5 %; 99.9 %)"
    assert texts_of(SUCCESS, wide, 0.7) == []
    assert texts_of(SUCCESS, wide, 0.6) != []


def test_what_disagrees_is_said_and_what_is_within_is_not(tmp_path: Path) -> None:
    for seed, value in ((1, 0.2), (2, 0.21), (3, 0.205)):
        leave(tmp_path, seed, value)
    (group,) = find([tmp_path]).groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"})

    def said(*printed: float) -> list[str]:
        lines = [TableLine((str(depth),), group, (value,)) for depth, value in enumerate(printed, start=1)]
        found = comparison(("depth",), (MSE,), lines)
        return [block.text for block in found if isinstance(block, Text)]

    outside = "for the attacker than printed, and the printed value lies outside what one more run would give, at depth"
    idle = "MSE: the printed value is no better than a guess that never looks at the wire, at depth"
    assert said(0.054) == [f"MSE (as published): ours is worse {outside} 1."]
    assert said(0.2) == [f"{idle} 1."]
    assert said(0.05, 0.3, 0.01, 0.2) == [
        f"MSE (as published): ours is worse {outside} 1, 3.",
        f"MSE (as published): ours is better {outside} 2.",
        f"{idle} 2, 4.",
    ]


def test_a_printed_value_is_held_against_the_blind_one_of_its_own_images(tmp_path: Path) -> None:
    leave(tmp_path, 1, 0.2)
    (group,) = find([tmp_path]).groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"})
    score = MSE.of(group.records[0])
    assert score
    assert score.blind
    printed = score.blind + 0.01

    def idle(*there: float | None) -> bool:
        found = comparison(("depth",), (MSE,), [TableLine(("1",), group, (printed,), blind_there=there)])
        return any("never looks at the wire" in block.text for block in found if isinstance(block, Text))

    assert idle()
    assert idle(None)
    assert idle(printed)
    assert not idle(printed + 0.01)


def test_of_an_accuracy_that_is_short_without_the_attack_as_well_that_is_said(tmp_path: Path) -> None:
    for seed, value in ((1, 0.2), (2, 0.21), (3, 0.205)):
        leave(tmp_path, seed, value)
    (group,) = find([tmp_path]).groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"})
    accuracy = replace(MSE, lower_is_better=False, beside="BA")
    (score,) = {score.blind for run in group.runs if (score := accuracy.of(run.record))}
    assert score is not None

    def texts(printed: float, number: Number) -> list[str]:
        found = comparison(("depth",), (number,), [TableLine(("1",), group, (printed,))])
        return [block.text for block in found if isinstance(block, Text)]

    assert 0.05 < score < 0.2
    outside = "for the attacker than printed, and the printed value lies outside what one more run would give"
    as_well = "; without the attack (BA) it is lower than printed as well"
    assert texts(0.9, accuracy) == [f"MSE (as published): ours is worse {outside}{as_well}, at depth 1."]
    assert texts(0.9, replace(accuracy, beside="blind")) == [
        f"MSE (as published): ours is worse {outside}, at depth 1."
    ]
    assert texts(0.05, accuracy) == [f"MSE (as published): ours is better {outside}, at depth 1."]


def test_seeds_where_nothing_can_be_decided_are_in_no_mean_and_said(tmp_path: Path) -> None:
    for seed, value, decides in ((1, 0.2, True), (2, 0.9, False), (3, 0.4, True)):
        leave(tmp_path, seed, value, decides=decides)
    (group,) = find([tmp_path]).groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"})
    table, *texts = comparison(("depth",), (MSE,), [TableLine(("1",), group, (None,))])
    assert isinstance(table, Table)
    assert dict(zip(table.heads, table.rows[0], strict=True))["MSE"] == (
        "0.300 (seeds: 0.200; 0.400) (of 3 seeds 1 left out, where nothing can be decided)"
    )
    assert [t.text for t in texts if isinstance(t, Text)] == [
        "MSE: 1 seed, where nothing can be decided, left out, at depth 1."
    ]
