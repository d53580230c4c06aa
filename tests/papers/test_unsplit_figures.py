"""Figures of UnSplit: the blind guess stands in each, and the paper's sentences are told in the paper's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cutlayer.disk import write_whole
from cutlayer.illustration import Pictures
from cutlayer.papers.unsplit import PAPER, printed
from cutlayer.papers.unsplit.figures import FIGURE_2, FIGURE_3A, FIGURE_3B
from cutlayer.papers.unsplit.headlines import HEADLINES
from cutlayer.papers.unsplit.setup import DEPTHS
from cutlayer.papers.unsplit.tables import MSE, TABLE_2
from cutlayer.record import AttackRun, Course, Epoch, Record, Score
from cutlayer.record import Cell as Place
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.cell import Cell
from cutlayer.reproduction.found import as_experiment, find
from cutlayer.reproduction.paper import Exhibit
from tests.papers.test_backdoor import cell_of
from tests.reproduction.test_reproduction import leave as leave_in_table

FSHA = cell_of(FIGURE_3B, "quick", attack="fsha")
UNSPLIT = cell_of(FIGURE_3B, "quick", attack="unsplit")


def scored(value: float, blind: float = 0.06) -> tuple[Score, ...]:
    return tuple(Score(goal="inputs", metric=metric, value=value, blind=blind) for metric in ("mse", "mse_published"))


def leave(folder: Path, cell: Cell, value: float, seed: int = 1, share: float | None = None, **more: Any) -> None:
    """The record that the cell would leave, all of whose images have that MSE."""
    experiment = as_experiment({**cell.values, **cell.how, "seed": seed})
    options = {k.partition(".")[2]: v for k, v in cell.values.items() if k.startswith(f"{experiment.attack}.")}
    record = Record(
        cell=Place(attack=experiment.attack, dataset=experiment.dataset, cut=experiment.cut, seed=seed),
        scores=scored(value),
        attack=AttackRun(options=options, fraction=share),
        pictures=Pictures(labels=("0", "1"), mse=(value, value)),
        experiment=experiment.model_dump(mode="json"),
        **more,
    )
    name = f"{experiment.attack}-{experiment.cut}-{experiment.when}-{experiment.epochs}-{value}-{seed}"
    write_whole(folder / name / "record.json", record.model_dump_json())


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Mapping[str, Sequence[Any]]]:
    """What would be drawn, by panel and series: drawing takes longest."""
    kept: dict[str, Mapping[str, Sequence[Any]]] = {}

    def keep(panels: Mapping[str, Mapping[str, Sequence[Any]]], *given: object, **how: object) -> bytes:
        kept.update(panels)
        return b"<svg/>"

    monkeypatch.setattr(plot, "lines", keep)
    monkeypatch.setattr(plot, "boxes", keep)
    return kept


def shown(exhibit: Exhibit, folder: Path) -> tuple[list[dict[str, str]], str]:
    """The rows of its table by head, and what is said below."""
    blocks = exhibit.blocks(find([folder]))
    rows = [dict(zip(b.heads, row, strict=True)) for b in blocks if isinstance(b, Table) for row in b.rows]
    return rows, " ".join(block.text for block in blocks if isinstance(block, Text))


def test_the_course_of_the_attack_is_drawn_beside_blind(
    tmp_path: Path, drawn: Mapping[str, Mapping[str, Sequence[Any]]]
) -> None:
    for depth in DEPTHS["mnist"]:
        for seed in (1, 2) if depth == 3 else (1,):
            leave(tmp_path, cell_of(FIGURE_2, "quick", dataset="mnist", cut=str(depth), when="before"), 0.08, seed)
    (row,), _ = shown(FIGURE_2, tmp_path)
    assert (row["epoch"], row["seeds"], row["MSE"], row["blind"]) == ("0", "1 to 2", "0.080", "0.060")
    ((epoch, blind),) = drawn["mean over the depths"]["mnist, blind"]
    assert (epoch, blind.mean) == (0, 0.06)


def test_attacks_are_compared_as_the_paper_compares_them(
    tmp_path: Path, drawn: Mapping[str, Mapping[str, Sequence[Any]]]
) -> None:
    at = {"dataset": "mnist", "cut": "1"}
    free = {**at, "attack": "inversion_query_free"}
    leave(tmp_path, cell_of(FIGURE_3A, "quick", **at, attack="inversion_white_box"), 0.02, share=0.2)
    for seed in (1, 2):
        leave(tmp_path, cell_of(FIGURE_3A, "quick", **at, attack="unsplit"), 0.08, seed, share=1.0)
    for data, value in (("noise", 0.1), ("labeled", 0.04)):
        leave(tmp_path, cell_of(FIGURE_3A, "quick", **free, **{"inversion_query_free.data": data}), value, share=0.3)
    rows, said = shown(FIGURE_3A, tmp_path)
    assert {row["blind"] for row in rows} == {"0.060"}
    ((depth, blind),) = drawn["mnist"]["blind"]
    assert (depth, blind.mean) == ("1", 0.06)
    assert "white-box is 75 % more accurate than UnSplit (0.020 to 0.080; white-box: 1 seed, 0.2 of the steps)." in said
    assert "UnSplit is 20 % more accurate than query-free, noise (0.080 to 0.100; query-free, noise: 1 seed" in said
    assert "query-free, labeled data is 50 % more accurate than UnSplit (0.040 to 0.080;" in said
    assert "UnSplit: 2 seeds, all steps." in said


@pytest.mark.parametrize(
    ("end", "own", "share", "said"),
    [
        (
            0.07,
            0.2,
            0.005,
            "after 250 iterations, and ends above it (0.070). UnSplit does not get below it. So whether",
        ),
        (0.05, 0.04, 1.0, "after 250, 500 iterations, and ends below it (0.050). UnSplit is below it."),
    ],
)
def test_the_course_of_feature_space_hijacking_is_held_against_blind(
    tmp_path: Path,
    drawn: Mapping[str, Mapping[str, Sequence[Any]]],
    end: float,
    own: float,
    share: float,
    said: str,
) -> None:
    course = [
        Course(epoch=epoch, step=125 * epoch, scores=scored(v)) for epoch, v in enumerate((0.1, 0.05, 0.09), start=1)
    ]
    leave(tmp_path, FSHA, end, course=tuple(course), training=(Epoch(epoch=4),))
    leave(tmp_path, UNSPLIT, own, share=share)
    rows, told = shown(FIGURE_3B, tmp_path)
    assert [row["iterations"] for row in rows] == ["125", "250", "375", "500"]
    assert {row["blind"] for row in rows} == {"0.060"}
    assert {(place, level.mean) for place, level in drawn["level 4, MNIST"]["blind"]} == {(125.0, 0.06), (500.0, 0.06)}
    assert told.startswith("FSHA: 1 seed, ")
    assert f"FSHA is below blind {said}" in told
    assert ("cannot be judged here" in told) == (share < 1)


def test_a_printed_error_stands_beside_the_blind_one_of_its_own_images(tmp_path: Path) -> None:
    leave_in_table(tmp_path, 1, 0.07)
    _, told = shown(TABLE_2, tmp_path)
    assert "The printed MSE is of other images: there blind has 0.071, on ours 0.058." in told
    assert "an MSE of 0.071 (MNIST)" in PAPER.text
    for headline in HEADLINES:
        there = MSE.spell(printed.BLIND[headline.wanted["dataset"]])
        assert headline.of == (f"(other images: blind {there})" if headline.number is MSE else "")
