"""Progress: what cells are called, bars that stay on a narrow terminal, and lines where there is none."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from cutlayer.commands.audit import undecided
from cutlayer.commands.display import Display
from cutlayer.commands.title import of_attacks, of_trainings
from cutlayer.record import LEAK, NOT_APPLICABLE, Cell, Record
from cutlayer.scene.scene import Scene
from tests.cells import STOCHASTIC
from tests.scenes import made, scene_of

__all__ = ["made"]
TITLE = "sladv alpha=10 in u_shaped, cut 1:9, seed 1 against gaussian_noise [x]"


def cell(attack: str = "unsplit", options: dict[str, Any] | None = None, **values: Any) -> Scene:
    place = {"model": STOCHASTIC, "protocol": "vanilla", "cut": "1", "plugins": None}
    return scene_of(**{**place, "attack": attack, "options": options or {}, **values})


@pytest.mark.usefixtures("made")
def test_a_title_names_the_options_that_differ_between_the_cells() -> None:
    rounds = [cell(options={"unsplit": {"rounds": rounds}}, seed=seed) for rounds in (5, 10) for seed in (1, 2)]
    assert of_attacks([*rounds, cell("label_inference")]) == [
        *(f"unsplit rounds={rounds} in vanilla, cut 1, seed {seed}" for rounds in (5, 10) for seed in (1, 2)),
        "label_inference in vanilla, cut 1, seed 1",
    ]
    noises = [
        cell(defense="gaussian_noise", options={"gaussian_noise": {"sigma": sigma}}, epochs=e)
        for sigma, e in ((0.5, 1), (1e-3, 1), (0.5, 2))
    ]
    assert of_attacks([*noises, cell(epochs=1)]) == [
        "unsplit gaussian_noise.sigma=0.5 epochs=1 in vanilla, cut 1, seed 1 against gaussian_noise",
        "unsplit gaussian_noise.sigma=0.001 epochs=1 in vanilla, cut 1, seed 1 against gaussian_noise",
        "unsplit gaussian_noise.sigma=0.5 epochs=2 in vanilla, cut 1, seed 1 against gaussian_noise",
        "unsplit epochs=1 in vanilla, cut 1, seed 1",
    ]


@pytest.mark.usefixtures("made")
def test_what_follows_from_another_value_has_no_place_in_a_title() -> None:
    quick, paper = of_attacks([cell(steps="quick"), cell(steps="paper")])
    assert (quick, paper) == tuple(f"unsplit steps={steps} in vanilla, cut 1, seed 1" for steps in ("quick", "paper"))
    trained = of_trainings([cell(optimizer="sgd", momentum=0.9), cell(optimizer="adam")])
    where = f"{STOCHASTIC} optimizer={{}} on digits, vanilla, cut 1, seed 1"
    assert trained == [where.format("sgd"), where.format("adam")]


@pytest.mark.usefixtures("made")
def test_a_training_of_given_weights_is_called_none() -> None:
    there = cell()
    given = replace(there, experiment=there.experiment.with_values(weights="w.safetensors"))
    assert of_trainings([given, there])[0].endswith(
        "on digits, vanilla, cut 1, seed 1: nothing is trained, weights = 'w.safetensors'"
    )
    assert of_trainings([there])[0].endswith("seed 1")


@pytest.mark.usefixtures("made")
def test_reasons_that_differ_between_cells_without_a_verdict_name_them() -> None:
    cells = [cell(seed=seed, defense=defense) for defense in ("none", "gaussian_noise") for seed in (1, 2)]

    def told(*reasons: str) -> list[str]:
        own = [Record(cell=Cell(attack="unsplit"), verdict=NOT_APPLICABLE, reason=reason) for reason in reasons]
        other = Record(cell=Cell(attack="pgd"), verdict=LEAK)
        return list(undecided([*zip(of_attacks(cells), own, strict=False), ("pgd", other)]))

    assert told("few", "few", "few", "few") == ["no verdict: unsplit: few"]
    noise = "unsplit in vanilla, cut 1, seed {} against gaussian_noise"
    assert told("few", "few", "right", "few") == [
        f"no verdict: unsplit in vanilla, cut 1, seed 1; unsplit in vanilla, cut 1, seed 2; {noise.format(2)}: few",
        f"no verdict: {noise.format(1)}: right",
    ]


@pytest.mark.parametrize("width", [80, 160])
def test_a_narrow_terminal_cuts_the_title_and_keeps_the_bar(width: int) -> None:
    drawn = io.StringIO()
    with Display(Console(file=drawn, force_terminal=True, width=width), [TITLE] * 12, [30.0] * 12) as display:
        display.begin(2)
        display.progress(2, "matching the activations", 300, 1000)
    lines = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", drawn.getvalue()).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= width
    whole, own = (next(line for line in lines if re.match(start, line)) for start in ("0 of 12 cells", "3/12 .*30%"))
    for line in (whole, own):
        assert re.search(r"━+ +\d+%.* left [-\d:]+", line)
    assert "matching the activations" in own
    assert own.startswith("3/12 sladv alpha=10")
    assert ("…" in own) is (width == 80)


def test_nothing_is_drawn_while_others_print() -> None:
    """The next bar would be drawn over the last lines of a result."""
    drawn = io.StringIO()
    with Display(Console(file=drawn, force_terminal=True, width=100), [TITLE] * 2, [30.0] * 2) as display:
        for number in range(2):
            display.begin(number)
            display.end(number)
            with display.aside():
                before = drawn.getvalue()
                time.sleep(0.3)
                assert drawn.getvalue() == before
                drawn.write(f"result {number}\n")
    after = drawn.getvalue().partition("result 1\n")[2]
    assert "2 of 2 cells" in after.partition("\x1b[1A")[0], "what is wiped at the end is a bar drawn behind them"


def test_without_a_terminal_every_cell_is_counted_at_both_ends() -> None:
    said = io.StringIO()
    with Display(Console(file=said, width=80), [TITLE] * 3, [1.0] * 3) as display:
        display.end(0)
        for number in (1, 2):
            display.begin(number)
            display.progress(number, "training", 1, 9)
            display.end(number)
    assert said.getvalue().splitlines() == [
        f"2/3 {TITLE}",
        "    training: 1 of 9",
        f"2/3 {TITLE}: ended after 1 s; 2 of 3 cells",
        f"3/3 {TITLE}",
        "    training: 1 of 9",
        f"3/3 {TITLE}: ended after 1 s; 3 of 3 cells",
    ]
