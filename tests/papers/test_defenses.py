"""Our own grid of defenses: its cells, that no defense is missing, its page of made records, what is said to pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cutlayer import registry
from cutlayer.commands.reproduce import paper
from cutlayer.papers.defenses import PAPER
from cutlayer.papers.defenses.conclusions import CONCLUSIONS, DEAR, FEW, NOTHING, PART, PAYS, WITHIN
from cutlayer.papers.defenses.setup import ATTACKS, BLACK_BOX, DEFENSES, LEFT_OUT, UNSPLIT, WHITE_BOX, Attacked
from cutlayer.papers.defenses.tables import MEASURED, TRADEOFF
from cutlayer.record import AttackRun, Cell, Record, Score, Thresholds, write_record
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Block, Figure, Table, Text
from cutlayer.reproduction.cell import SCALES, Scale
from cutlayer.reproduction.found import as_experiment, find
from cutlayer.reproduction.page import write_markdown
from cutlayer.reproduction.plan import experiments
from cutlayer.reproduction.summary import write_summary
from cutlayer.scene.defending import make_defenses
from cutlayer.seat.making import make_attack

BLIND = 0.4
HALF, NOISE = "half_precision", "gaussian_noise, sigma 1"


def leave(
    folder: Path,
    defense: str = "none",
    advantages: Sequence[float] = (0.5,),
    utilities: Sequence[float] = (0.98,),
    of: Attacked = UNSPLIT,
    clone: float | None = 0.5,
    **changed: Any,
) -> None:
    """A record at cut 1 for each seed: the advantage in SSIM, accuracy; ``clone``: the advantage of the stolen part."""
    (cell,) = [c for c in of.cells("quick") if {**c.values, **DEFENSES[defense], "cut": "1"} == c.values]
    for seed, (advantage, utility) in enumerate(zip(advantages, utilities, strict=True), start=1):
        experiment = as_experiment({**cell.values, **cell.how, "seed": seed, **changed})
        scores = [made("inputs", "ssim", advantage), made("inputs", "ssim_stretched", advantage - 0.1)]
        scores += [Score(goal="inputs", metric="mse", value=0.01, blind=0.1, best=0.0, advantage=0.9)]
        scores += [made("model", "accuracy", clone)] if of is UNSPLIT else []
        record = Record(
            cell=Cell(attack=of.plugin, dataset="mnist", cut="1", seed=seed),
            utility=utility,
            scores=tuple(scores),
            verdict=scores[0].verdict,
            bytes_per_sample=1000.0 if defense == HALF else 2000.0,
            attack=AttackRun(options=experiment.options[of.plugin]),
            experiment=experiment.model_dump(mode="json"),
        )
        write_record(folder / f"{of.plugin}-{defense}-{seed}-{len(changed)}", record)


def made(goal: str, metric: str, advantage: float | None) -> Score:
    if advantage is None:
        return Score(goal=goal, metric=metric, value=0.1, blind=BLIND)
    value, verdict = BLIND + advantage * (1 - BLIND), Thresholds().verdict(advantage)
    return Score(
        goal=goal, metric=metric, value=value, blind=BLIND, best=1.0, advantage=advantage, decides=True, verdict=verdict
    )


def by_head(blocks: Sequence[Block], number: int = 0) -> list[Mapping[str, str]]:
    """The rows of a table; a head that repeats has a number behind it."""
    table = [block for block in blocks if isinstance(block, Table)][number]
    heads = [f"{head}{table.heads[:place].count(head) or ''}" for place, head in enumerate(table.heads)]
    return [dict(zip(heads, row, strict=True)) for row in table.rows]


def outcomes(folder: Path, aim: str = "inputs") -> dict[str, str]:
    """By defense, of UnSplit."""
    found = by_head(CONCLUSIONS.blocks(find([folder])), 1)
    return {row["defense"]: row["outcome"] for row in found if (row["attack"], row["aim"]) == ("UnSplit", aim)}


def said(folder: Path, aim: str = "inputs") -> str:
    found = by_head(CONCLUSIONS.blocks(find([folder])))
    (row,) = [row for row in found if (row["attack"], row["aim"]) == ("UnSplit", aim)]
    return row["some defense pays"]


def test_every_attack_meets_every_defense_at_both_cuts() -> None:
    assert [attacked.plugin for attacked in ATTACKS] == ["unsplit", "inversion_white_box", "inversion_black_box"]
    for attacked in ATTACKS:
        places = [
            (cell.values["cut"], cell.values["defense"], cell.values.get("gaussian_noise.sigma"))
            for cell in attacked.cells("quick")
        ]
        assert places == [
            (cut, *defense)
            for cut in ("1", "3")
            for defense in (
                *(("none", None), ("half_precision", None), ("int8_quantization", None)),
                *(("gaussian_noise", 0.1), ("gaussian_noise", 0.3), ("gaussian_noise", 1.0), ("gaussian_noise", 3.0)),
            )
        ]
        assert attacked.cells("paper") == attacked.cells("quick")


@pytest.mark.parametrize(
    ("attacked", "own"),
    [
        (UNSPLIT, {"order": "joint", "rounds": 25, "input_learning_rate": 3e-3, "bounds": "unit", "restarts": 4}),
        (WHITE_BOX, {"iterations": 1000, "learning_rate": 0.05}),
        (
            BLACK_BOX,
            {"source": "auxiliary", "queries": 5000, "epochs": 20}
            | {"halve_every": 4, "learning_rate": 0.01, "least_steps": 1000},
        ),
    ],
)
def test_what_was_fixed_before_it_was_measured(attacked: Attacked, own: Mapping[str, Any]) -> None:
    training = {"dataset": "mnist", "model": "unsplit_mnist", "protocol": "vanilla", "epochs": 10, "batch_size": 64}
    training |= {
        "learning_rate": 1e-3,
        "train_rows": 10_000,
        "test_rows": None,
        "when": "after",
        "attack": attacked.plugin,
    }
    targets = {} if attacked is UNSPLIT else {"targets": 20}
    for cell in attacked.cells("quick"):
        plain = {key: value for key, value in cell.values.items() if "." not in key}
        assert plain | training | targets == plain
        options = as_experiment(cell.values).options
        assert options[attacked.plugin] == own
        assert options.get("half_precision", {"dtype": "float16"}) == {"dtype": "float16"}


@pytest.mark.parametrize(("scale", "count", "seeds"), [("smoke", 12, 1), ("quick", 42, 3), ("paper", 42, 5)])
def test_every_cell_is_an_experiment_that_can_be_made(scale: Scale, count: int, seeds: int) -> None:
    found = experiments("defenses", paper("defenses").exhibits, scale, 0, [])
    assert len(found) == count * seeds
    assert {experiment.dataset for experiment in found} == {"digits" if scale == "smoke" else "mnist"}
    for experiment in (experiment for experiment in found if experiment.seed == 1):
        attack = make_attack(experiment.attack, experiment.options[experiment.attack])
        assert attack.threat.knows <= set(experiment.offers)
        assert [type(defense).__module__.rpartition(".")[2] for defense in make_defenses(experiment)] == [
            *experiment.defenses
        ]


def test_no_defense_of_the_package_is_missing() -> None:
    for scale in SCALES:
        there = {cell.values["defense"] for attacked in ATTACKS for cell in attacked.cells(scale)} - {"none"}
        assert sorted([*there, *LEFT_OUT]) == [*registry.names("defenses")], (
            "add it to DEFENSES, or say in LEFT_OUT why not"
        )
    assert all(f"{name} is left out: {why}." in PAPER.text for name, why in LEFT_OUT.items())


def test_a_row_has_what_a_defense_costs_and_what_is_left(tmp_path: Path) -> None:
    leave(tmp_path, "none", (0.5, 0.6, 0.7), (0.98, 0.96, 0.97))
    leave(tmp_path, NOISE, (0.05, 0.2, 0.3), (0.97, 0.94, 0.94), clone=None)
    bare, noisy = by_head(MEASURED[0].blocks(find([tmp_path])))
    assert [bare[head] for head in ("cut", "defense", "setting", "seeds")] == ["1", "none", "as fixed", "3"]
    assert [noisy[head] for head in ("defense", "setting", "seeds")] == [NOISE, "as fixed", "3"]
    assert (bare["accuracy"], bare["lost"], bare["bytes a sample"]) == ("97.0 % ± 2.5 %", "-", "2,000")
    assert noisy["lost"] == "2.0 pp ± 2.5 pp"
    assert (bare["SSIM ↑"], bare["blind"], bare["advantage"]) == ("0.760 ± 0.149", "0.400", "0.600 ± 0.248")
    assert noisy["advantage"] == "0.183 (seeds: 0.050; 0.200; 0.300)"
    assert (noisy["SSIM, stretched ↑"], noisy["MSE ↓"], noisy["advantage2"]) == (
        *("0.450 ± 0.188", "0.010 ± 0.000", "0.900 ± 0.000"),
    )
    assert (bare["advantage3"], noisy["advantage3"]) == ("0.500 ± 0.000", "-")
    assert noisy["verdicts"] == "leak 1, partial leak 1, no leak 1"


def test_runs_of_another_setting_stand_apart_and_are_held_against_their_own(tmp_path: Path) -> None:
    leave(tmp_path, "none", utilities=(0.9,), epochs=10)
    leave(tmp_path, HALF, utilities=(0.8,))
    leave(tmp_path, HALF, utilities=(0.5,), clients=5, skew=1.0)
    lost = {
        row["setting"]: row["lost"] for row in by_head(MEASURED[0].blocks(find([tmp_path]))) if row["defense"] == HALF
    }
    assert lost == {"as fixed": "10.0 pp", "clients=5, skew=1.0": "-"}


@pytest.mark.parametrize(
    ("advantages", "utilities", "outcome"),
    [
        ((0.3, 0.4, 0.5), (0.97, 0.97, 0.97), PAYS),
        ((0.3, 0.4, 0.5), (0.95, 0.96, 0.97), DEAR),
        ((0.3, 0.7, 0.7), (0.98, 0.98, 0.98), WITHIN),
        ((0.8, 0.9, 0.95), (0.98, 0.98, 0.98), WITHIN),
        ((0.3, 0.4), (0.98, 0.98), FEW),
        ((0.3, 0.4), (0.1, 0.1), FEW),
    ],
)
def test_a_defense_pays_that_takes_more_than_seeds_differ_by_for_a_point_at_most(
    tmp_path: Path, advantages: Sequence[float], utilities: Sequence[float], outcome: str
) -> None:
    leave(tmp_path, "none", (0.5, 0.6, 0.7), (0.98, 0.98, 0.98))
    leave(tmp_path, NOISE, advantages, utilities)
    assert outcomes(tmp_path) == {NOISE: outcome}


def test_that_no_defense_pays_is_said_where_all_have_run_and_none_is_in_doubt(tmp_path: Path) -> None:
    *most, last = (defense for defense in DEFENSES if defense != "none")
    leave(tmp_path, "none", (0.5, 0.6, 0.7), (0.98,) * 3)
    for defense in most:
        leave(tmp_path, defense, (0.5, 0.6, 0.7), (0.98,) * 3)
    assert said(tmp_path) == f"cannot be told: {PART}"
    leave(tmp_path, last, (0.5, 0.6), (0.98,) * 2)
    assert said(tmp_path) == f"cannot be told: {FEW}"
    leave(tmp_path, last, (0.5, 0.6, 0.7), (0.1,) * 3)
    assert said(tmp_path) == "does not hold: no defense here"
    leave(tmp_path, last, (0.1, 0.2, 0.3), (0.98,) * 3)
    assert said(tmp_path) == f"holds: {last}"


def test_where_nothing_leaks_no_defense_takes_anything(tmp_path: Path) -> None:
    leave(tmp_path, "none", (0.05, 0.06, 0.07), (0.98,) * 3)
    leave(tmp_path, NOISE, (-0.9, -0.8, -0.9), (0.98,) * 3)
    assert outcomes(tmp_path) == {NOISE: NOTHING}
    assert said(tmp_path) == f"cannot be told: {NOTHING}, {PART}"


def test_less_than_a_blind_guess_is_no_attack_and_no_less_of_one(tmp_path: Path) -> None:
    leave(tmp_path, "none", (0.6, -0.1, -0.1), (0.98,) * 3)
    leave(tmp_path, NOISE, (0.0, -0.7, -0.7), (0.98,) * 3)
    assert outcomes(tmp_path) == {NOISE: WITHIN}


def test_a_ruined_deployment_from_which_no_part_can_be_stolen_does_not_pay(tmp_path: Path) -> None:
    leave(tmp_path, "none", (0.5,) * 3, (0.98,) * 3)
    leave(tmp_path, NOISE, (0.5,) * 3, (0.1,) * 3, clone=None)
    leave(tmp_path, HALF, (0.5,) * 3, (0.98,) * 3, clone=None)
    assert outcomes(tmp_path, "client part") == {NOISE: DEAR, HALF: FEW}


def test_what_it_costs_is_drawn_from_the_cheapest_to_the_dearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(plot, "lines", lambda panels, across, up, near: drawn.update(panels, near=near) or b"")
    leave(tmp_path, "none", (0.5,), (0.9,))
    leave(tmp_path, NOISE, (0.2,), (0.8,))
    leave(tmp_path, HALF, (0.4,), (0.91,))
    leave(tmp_path, HALF, (0.9,), (0.5,), clients=5)
    leave(tmp_path, "none", (-0.7,), (0.9,), of=BLACK_BOX)
    figure, text = TRADEOFF.blocks(find([tmp_path]))
    assert isinstance(figure, Figure)
    assert text == Text(f"mnist, cut 1, from left to right: {HALF} -1.0; none 0.0; {NOISE} 10.0.")
    assert drawn.pop("near") == 1
    (panel,) = drawn.values()
    assert {name: [(place, mean.mean) for place, mean in marks] for name, marks in panel.items()} == {
        "UnSplit, inputs": [(-1.0, 0.4), (0.0, 0.5), (10.0, 0.2)],
        "UnSplit, client part": [(-1.0, 0.5), (0.0, 0.5), (10.0, 0.5)],
        "black-box, inputs": [(0.0, 0.0)],
    }


def test_a_page_is_written_from_a_few_records_and_says_what_it_is(tmp_path: Path) -> None:
    for attacked in ATTACKS:
        leave(tmp_path / "runs", "none", of=attacked)
        leave(tmp_path / "runs", NOISE, (0.2,), of=attacked)
    for folder in ("runs", "none"):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_markdown(tmp_path / f"{folder}.md", PAPER, find([tmp_path / folder]), "lead")
    page, empty = ((tmp_path / f"{name}.md").read_text() for name in ("runs", "none"))
    assert [exhibit.title for exhibit in PAPER.exhibits if exhibit.title not in page] == []
    assert (tmp_path / "runs" / "tradeoff.svg").read_bytes().startswith(b"<?xml")
    for told in ("guarantee of differential privacy", "deviation no record holds", "was fixed before", "can do better"):
        assert told in page
    assert "| mnist | 1 |" not in empty
    # Without printed values there is no column of them, and nothing to disagree with.
    assert " printed |" not in page
    for name in ("unsplit", "white-box", "black-box"):
        assert f"| --only {name} | 14 |" in page


def test_on_the_page_of_all_papers_stands_nothing_but_the_cells_themselves(tmp_path: Path) -> None:
    leave(tmp_path, "none", (0.5,))
    leave(tmp_path, NOISE, (0.2,), clients=5)
    for headline in PAPER.headlines:
        assert any({**cell.values, **headline.wanted} == cell.values for cell in headline.exhibit.cells("quick")), (
            headline.what
        )
    write_summary(tmp_path / "summary.md", {"defenses": (PAPER, find([tmp_path]))}, "lead")
    rows = [line for line in (tmp_path / "summary.md").read_text().splitlines() if line.startswith("| inputs")]
    assert len(rows) == len(PAPER.headlines) == 9
    assert [row for row in rows if "not run" not in row] == [
        "| inputs, UnSplit, mnist, cut 1, defense: none | SSIM ↑ | 0.700 | 0.400 | leak 1 | - | as fixed |"
    ]
