"""What the backdoor paper concludes holds, does not hold or is undecided, by what the seeds say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from cutlayer.papers.backdoor import PAPER
from cutlayer.papers.backdoor.conclusions import CONCLUSIONS
from cutlayer.papers.backdoor.figures import FIGURES
from cutlayer.papers.backdoor.injector import FIGURE_6
from cutlayer.record import read_record
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.found import find
from tests.papers.test_backdoor import cell_of, leave

GROWS = "success grows as alpha falls from .5 to .04 (cut 1)"
FAILS = "at cut 3 the attack fails: no more than 10 points beyond blind"
CLEAN = "clean accuracy falls by no more than 5 points"
EXCEPT = "except for MNIST the attack fails: no more than 10 points beyond blind (cut 1)"
CRITICAL = "success falls as alpha falls from .5 to .04 (cut 3)"
CLOSE = "the injector's success is close to none: no more than 10 points beyond blind"


def measured(
    folder: Path,
    successes: Mapping[float, Sequence[float]],
    cut: str = "1",
    clients: int = 1,
    of: tuple[str, str] = ("lenet", "mnist"),
    noises: Mapping[float, Sequence[float | None]] | None = None,
) -> None:
    """Records by alpha, of the seeds from 1 on."""
    model, dataset = of
    for alpha, of_seeds in successes.items():
        wanted = {"model": model, "clients": clients, "cut": cut, "surrogate_client.alpha": alpha}
        cell = cell_of(FIGURES[dataset], "quick", **wanted)
        there = noises[alpha] if noises else [None] * len(of_seeds)
        for seed, (success, noise) in enumerate(zip(of_seeds, there, strict=True), start=1):
            leave(folder / f"{dataset}-{model}-{alpha}-{cut}-{clients}", cell, seed, success, noise=noise)


def rows(folder: Path) -> dict[tuple[str, str, str], list[str]]:
    tables = [block for block in CONCLUSIONS.blocks(find([folder])) if isinstance(block, Table)]
    return {(r[0], r[1], r[2]): r[3:] for table in tables for r in table.rows}


@pytest.mark.parametrize(
    # 4.303 standard errors of three.
    ("strong", "weak", "outcome", "told"),
    [
        ((0.8, 0.85, 0.9), (0.1, 0.15, 0.11), "holds", "+73.0 pp ± 12.9 pp"),
        ((0.1, 0.15, 0.11), (0.8, 0.85, 0.9), "does not hold", "-73.0 pp ± 12.9 pp"),
        ((0.3, 0.1, 0.2), (0.1, 0.2, 0.2), "undecided", "+3.3 pp ± 37.9 pp"),
        # An interval would reach beyond 100 points: there is none, and three seeds that agree are no more than that.
        ((0.99, 0.5, 0.4), (0.01, 0.1, 0.3), "in all seeds", "+49.3 pp (seeds: +10.0 pp; +40.0 pp; +98.0 pp)"),
        ((0.01, 0.1, 0.3), (0.99, 0.5, 0.4), "in no seed", "-49.3 pp (seeds: -98.0 pp; -40.0 pp; -10.0 pp)"),
        ((0.8, 0.1, 0.5), (0.1, 0.6, 0.5), "undecided", "+6.7 pp (seeds: -50.0 pp; +0.0 pp; +70.0 pp)"),
        # Two seeds span no interval, however much alike they are.
        ((0.8, 0.8), (0.1, 0.1), "too few seeds", "+70.0 pp (seeds: +70.0 pp; +70.0 pp)"),
        # What all runs of a seed share is no reason to doubt a difference.
        ((0.2, 0.5, 0.9), (0.1, 0.4, 0.8), "holds", "+10.0 pp ± 0.0 pp"),
    ],
)
def test_two_alphas_are_compared_seed_by_seed(
    strong: Sequence[float], weak: Sequence[float], outcome: str, told: str, tmp_path: Path
) -> None:
    measured(tmp_path, {0.04: strong, 0.5: weak})
    found = rows(tmp_path)[GROWS, "lenet", "mnist"]
    assert found[:3] == [outcome, told, "1"]
    assert "epochs=12" in found[4]


@pytest.mark.parametrize(
    ("success", "outcome", "told"),
    # The blind success is 1 %.
    [(0.03, "holds", "+2.0 pp ± 0.0 pp"), (0.5, "does not hold", "+49.0 pp ± 0.0 pp")],
)
def test_what_is_to_be_little_is_shown_as_what_it_is(success: float, outcome: str, told: str, tmp_path: Path) -> None:
    measured(tmp_path, {0.09: [success] * 3}, cut="4")
    found = rows(tmp_path)
    assert found[FAILS, "lenet", "mnist"][:3] == [outcome, told, "1"]
    assert found[CLEAN, "lenet", "mnist"][:2] == ["holds", "-1.0 pp ± 0.0 pp"], "98 of 99 %"


@pytest.mark.parametrize(("success", "outcome"), [(0.05, "holds"), (0.56, "does not hold")])
def test_the_paper_says_that_the_attack_fails_except_for_mnist(success: float, outcome: str, tmp_path: Path) -> None:
    for of in (("lenet", "fashion_mnist"), ("stripnet", "fashion_mnist"), ("lenet", "mnist")):
        measured(tmp_path, {0.04: [success] * 3}, of=of)
    found = {key[1:]: row[0] for key, row in rows(tmp_path).items() if key[0] == EXCEPT}
    assert found == {("lenet", "fashion_mnist"): outcome, ("stripnet", "fashion_mnist"): outcome}


@pytest.mark.parametrize(
    ("weak", "strong", "outcome", "told"),
    [(0.9, 0.1, "holds", "+80.0 pp ± 0.0 pp"), (0.1, 0.9, "does not hold", "-80.0 pp ± 0.0 pp")],
)
def test_at_stripnets_cut_3_a_smaller_alpha_is_to_have_less_success(
    weak: float, strong: float, outcome: str, told: str, tmp_path: Path
) -> None:
    measured(tmp_path, {0.5: [weak] * 3, 0.04: [strong] * 3}, cut="4", of=("stripnet", "mnist"))
    assert rows(tmp_path)[CRITICAL, "stripnet", "mnist"][:3] == [outcome, told, "1"]


def test_what_the_paper_takes_out_of_a_conclusion_is_not_in_it(tmp_path: Path) -> None:
    """StripNet's clean accuracy on MNIST is to be high but for cut 3."""
    for dataset in ("mnist", "fashion_mnist"):
        measured(tmp_path, {0.04: [0.5] * 3}, cut="4", of=("stripnet", dataset))
    assert {key for key in rows(tmp_path) if key[0].startswith(CLEAN)} == {(CLEAN, "stripnet", "fashion_mnist")}
    measured(tmp_path, {0.04: [0.5] * 3}, cut="2", of=("stripnet", "mnist"))
    assert rows(tmp_path)[f"{CLEAN} (cuts 1 and 2)", "stripnet", "mnist"][2] == "1", "cell"


def test_seeds_that_obey_any_noise_are_counted_and_change_no_outcome(tmp_path: Path) -> None:
    successes = {0.04: [0.9] * 5, 0.5: [0.1, 0.1, 0.1]}
    measured(tmp_path / "older", successes)
    older = rows(tmp_path / "older")
    assert older[GROWS, "lenet", "mnist"][3] == "-"
    # Nine tenths of .9 are .81; what is 9 points beyond blind obeys nothing; later seeds are in no pair.
    noises = {0.04: [0.82, 0.8, None, 0.9, 0.5], 0.5: [0.1, None, None]}
    measured(tmp_path / "newer", successes, noises=noises)
    newer = rows(tmp_path / "newer")
    assert newer[GROWS, "lenet", "mnist"][3] == "1 of 3"
    assert newer[CLEAN, "lenet", "mnist"][3] == "-", "it is about no success"
    assert {key: [*row[:3], row[4]] for key, row in newer.items()} == {k: [*r[:3], r[4]] for k, r in older.items()}
    (nearest,) = [block.text for block in CONCLUSIONS.blocks(find([tmp_path / "newer"])) if isinstance(block, Text)]
    where = "dataset=mnist model=lenet cut=1 clients=1 attack=surrogate_client seed=2 surrogate_client.alpha=0.04"
    assert nearest.endswith(f"does not count: ASR 90.0 %, ASR of noise 80.0 % (`{where}`).")
    assert not [block for block in CONCLUSIONS.blocks(find([tmp_path / "older"])) if isinstance(block, Text)]


def test_the_mean_is_over_cells_that_all_its_seeds_have(tmp_path: Path) -> None:
    measured(tmp_path, {0.04: [0.8, 0.8, 0.8], 0.5: [0.1, 0.1, 0.1]})
    measured(tmp_path, {0.04: [0.1], 0.5: [0.9]}, clients=3)
    assert rows(tmp_path)[GROWS, "lenet", "mnist"][:3] == ["holds", "+70.0 pp ± 0.0 pp", "1"]
    measured(tmp_path, {0.04: [0.1] * 3, 0.5: [0.9] * 3}, clients=3)
    assert rows(tmp_path)[GROWS, "lenet", "mnist"][:3] == ["does not hold", "-5.0 pp ± 0.0 pp", "2"]


def test_seeds_are_chosen_for_the_cells_that_have_them_and_not_one_cell_for_its_seeds(tmp_path: Path) -> None:
    measured(tmp_path, {0.04: [0.8] * 4, 0.5: [0.1] * 4})
    measured(tmp_path, {0.04: [0.1] * 3, 0.5: [0.8] * 3}, clients=3)
    assert rows(tmp_path)[GROWS, "lenet", "mnist"][:3] == ["undecided", "+0.0 pp ± 0.0 pp", "2"]


def test_two_sides_are_of_one_setting(tmp_path: Path) -> None:
    """The nearest to what was published on one side, of many more epochs, would be compared with few on the other."""
    measured(tmp_path, {0.04: [0.2, 0.25, 0.3], 0.5: [0.1, 0.1, 0.1]})
    wanted = {"model": "lenet", "clients": 1, "cut": "1", "surrogate_client.alpha": 0.04}
    for seed in (1, 2, 3):
        leave(tmp_path / "paper", cell_of(FIGURES["mnist"], "paper", **wanted), seed, 0.99)
    outcome, told, cells, _, setting = rows(tmp_path)[GROWS, "lenet", "mnist"]
    assert (outcome, told, cells) == ("holds", "+15.0 pp ± 12.4 pp", "1")
    assert "as published" not in setting


def test_a_seed_that_decides_nothing_is_in_no_conclusion(tmp_path: Path) -> None:
    measured(tmp_path, {0.09: [0.02, 0.02, 0.02, 0.9]}, cut="4")
    for path in tmp_path.glob("**/record.json"):
        record = read_record(path.parent)
        assert record
        scores = tuple(score.model_copy(update={"decides": record.cell.seed != 4}) for score in record.scores)
        path.write_text(record.model_copy(update={"scores": scores}).model_dump_json())
    assert rows(tmp_path)[FAILS, "lenet", "mnist"][:2] == ["holds", "+1.0 pp ± 0.0 pp"]


def test_each_cut_and_share_of_the_injector_is_one_of_its_cells(tmp_path: Path) -> None:
    cells = [
        cell
        for cell in FIGURE_6.cells("quick")
        if (cell.values["dataset"], cell.values["model"]) == ("fashion_mnist", "lenet")
    ]
    for number, cell in enumerate(cells):
        for seed in (1, 2, 3):
            leave(tmp_path / str(number), cell, seed, 0.02)
    found = rows(tmp_path)
    assert found[CLOSE, "lenet", "fashion_mnist"][:3] == ["holds", "+1.0 pp ± 0.0 pp", "6"]
    assert {key[1:] for key in found} == {("lenet", "fashion_mnist")}


def test_nothing_is_concluded_from_nothing(tmp_path: Path) -> None:
    assert CONCLUSIONS.blocks(find([tmp_path])) == []
    assert CONCLUSIONS in PAPER.exhibits
