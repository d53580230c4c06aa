"""What stands in one minute: every number is a headline's, and what no record has is not told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cutlayer.commands.reproduce import paper
from cutlayer.record import AttackRun, Cell, Record, Score, write_record
from cutlayer.reproduction.found import Found, as_experiment, find
from cutlayer.reproduction.minute import LINES, Told, headline, minute
from tests.reproduction.test_summary import PAPERS, cells_of

EMPTY = {name: (paper(name), Found(())) for name in PAPERS}
SERVER = "A backdoor planted by the server (surrogate client, alpha .04)"


def leave(folder: Path, told: Told, seed: int, values: Mapping[str, float], defenses: tuple[str, ...] = ()) -> None:
    """The record of the cell that the number is of: by metric, all with a blind value of .2."""
    one = headline(EMPTY, told)
    assert one is not None
    experiment = as_experiment({**cells_of(one)[0], "seed": seed})
    number = one.number
    record = Record(
        cell=Cell(attack=experiment.attack, dataset=experiment.dataset, seed=seed, defenses=defenses),
        scores=tuple(
            Score(goal=number.goal, metric=metric, guess=number.guess, value=value, blind=0.2)
            for metric, value in values.items()
        ),
        attack=AttackRun(options=experiment.options.get(experiment.attack, {})),
        experiment=experiment.model_dump(mode="json"),
    )
    write_record(folder / str(seed), record, {})


def told(folder: Path, name: str) -> list[str]:
    """The lines of a page of one paper."""
    return [line for line in minute({name: (paper(name), find([folder]))}).splitlines() if line.startswith("* ")]


def test_every_number_is_a_headline_of_its_paper() -> None:
    assert 6 <= len(LINES) + 1 <= 9, "with the one about defenses"
    for one in (one for numbers in LINES.values() for one in numbers):
        assert headline(EMPTY, one) is not None
    assert [line for line in minute(EMPTY).splitlines() if line.startswith("* ")] == [
        "* Defenses: none has been measured; all 0 records are without one."
    ]


@pytest.mark.parametrize(
    ("values", "spelled"),
    [
        ((0.3, 0.5), "0.400 (0.300 to 0.500 in 2 seeds;"),
        ((0.3,), "0.300 (1 seed;"),
        ((0.3, 0.3), "0.300 (in all 2 seeds;"),
    ],
)
def test_a_number_stands_beside_its_blind_value_and_its_seeds(
    tmp_path: Path, values: tuple[float, ...], spelled: str
) -> None:
    what = next(iter(LINES))
    for seed, value in enumerate(values, start=1):
        leave(tmp_path, LINES[what][0], seed, {"ssim": value})
    line, defenses = told(tmp_path, "unsplit")
    assert line == f"* {what}: {LINES[what][0].words}, {spelled} blind 0.200)."
    assert f"all {len(values)} records" in defenses


def test_the_success_of_noise_stands_beside_that_of_the_trigger_in_the_same_seeds(tmp_path: Path) -> None:
    leave(tmp_path, LINES[SERVER][0], 1, {"attack_success": 0.9, "unplanted_success": 0.7})
    leave(tmp_path, LINES[SERVER][0], 2, {"attack_success": 0.5})
    line, _ = told(tmp_path, "backdoor")
    assert ", 70.0 % (1 seed; without the attack 20.0 %; ASR there 90.0 %)." in line
    leave(tmp_path, LINES[SERVER][0], 2, {"attack_success": 0.5, "unplanted_success": 0.5})
    line, _ = told(tmp_path, "backdoor")
    assert ", 60.0 % (50.0 % to 70.0 % in 2 seeds; without the attack 20.0 %)." in line


def test_nothing_is_said_of_defenses_where_one_was_measured(tmp_path: Path) -> None:
    leave(tmp_path, LINES[SERVER][0], 1, {"attack_success": 0.9}, defenses=("gaussian_noise",))
    assert not [line for line in told(tmp_path, "backdoor") if "Defenses" in line]
