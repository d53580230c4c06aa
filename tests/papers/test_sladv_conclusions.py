"""What the paper concludes holds, does not hold, cannot be told or is not measured, by what records say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cutlayer.experiment import Experiment
from cutlayer.judging.evasion import _CORRELATED
from cutlayer.papers.sladv import PAPER
from cutlayer.papers.sladv.conclusions import _CLAIMS, CONCLUSIONS, SHORT
from cutlayer.reproduction.block import Table
from cutlayer.reproduction.found import find
from cutlayer.reproduction.plan import experiments
from tests.papers.test_sladv import left

GROWS, SATURATES, BEATS, CHEAP = (
    "what the drop has beyond random signs grows with alpha",
    "the drop saturates near 2,000 images",
    "at alpha 1 the drop is beyond random signs",
    "at alpha 1 the clients lose no more than 5 points of accuracy",
)
VR, OUTPUT = "the drop is more than VR's on as many images", "aligning at the server's output is worse than at the cut"
DEPTH, MULTI = (
    "the drop falls with the depth of the clients' layers",
    "the drop falls with their depth, too, under a shadow that grows with them (multi)",
)
LOSS, SIGNS = (
    "the lower the similarity, the higher the loss",
    "the lower the similarity, the higher the loss, more so than by random signs",
)
NEARER, CONSTANT = (
    "above alpha 0 the true layers are nearer to the shadow than at alpha 0",
    "above alpha 0 the true layers are nearer to the shadow than to a constant",
)
ALIKE, STRICTLY = (
    "above alpha 0 their input gradients are more alike than at alpha 0",
    "above alpha 0 their input gradients are more alike than those of unrelated layers",
)


def rows(folder: Path) -> Mapping[str, Sequence[str]]:
    """By conclusion, on the narrow network: whose criterion, outcome, numbers, setting."""
    tables = CONCLUSIONS.blocks(find([folder]))
    found = [row for table in tables if isinstance(table, Table) for row in table.rows]
    return {row[0]: (row[1], *row[3:]) for row in found if row[2] == "narrow"}


def outcomes(folder: Path) -> Mapping[str, str]:
    return {what: row[1] for what, row in rows(folder).items()}


def cells(table: str, *chosen: str) -> list[Experiment]:
    """Of a table of the narrow network, at the scale quick."""
    exhibits = [exhibit for exhibit in PAPER.exhibits if exhibit.name == f"narrow {table}"]
    return experiments("sladv", exhibits, "quick", 1, list(chosen))


def otherwise(experiment: Experiment, **options: Any) -> Experiment:
    """With other options of the attack."""
    return experiment.model_copy(update={"options": {"sladv": {**experiment.options["sladv"], **options}}})


def short(folder: Path) -> Mapping[str, Sequence[str]]:
    """By conclusion: whose criterion, outcome on the whole network, on the narrow one."""
    _, table = SHORT.blocks(find([folder]))
    assert isinstance(table, Table)
    return {row[0]: row[1:] for row in table.rows}


def by_alpha() -> Mapping[float, Experiment]:
    return {float(str(one.options["sladv"]["alpha"])): one for one in cells("table 3")}


@pytest.mark.parametrize(
    ("drops", "grows", "beats"),
    [
        # The blind drop is 2 %, and 2,000 targets say 4.5 points of two drops, 3.2 of one.
        ({0.0: 0.02, 0.1: 0.06, 1.0: 0.20, 10.0: 0.21}, "holds", "holds"),
        ({0.0: 0.02, 0.1: 0.20, 1.0: 0.06, 10.0: 0.21}, "does not hold", "holds"),
        ({0.0: 0.02, 0.1: 0.03, 1.0: 0.05, 10.0: 0.06}, "does not hold", "cannot be told: within chance"),
        ({0.0: 0.02, 1.0: 0.20}, "too few cells", "holds"),
    ],
)
def test_alphas(tmp_path: Path, drops: dict[float, float], grows: str, beats: str) -> None:
    for alpha, drop in drops.items():
        left(by_alpha()[alpha], tmp_path / str(alpha), drop)
    found = outcomes(tmp_path)
    assert (found[GROWS], found[BEATS]) == (grows, beats)
    assert found[CHEAP] == "too few cells", "the records have no epochs"


@pytest.mark.parametrize(
    ("losses", "clean", "beats"),
    [
        ((10.0, 19.0, 5.0), 0.8, "holds"),
        ((10.0, 21.0, 5.0), 0.8, "cannot be told: diverged"),
        ((10.0, 5.0, 11.0), 0.8, "cannot be told: diverged"),
        ((10.0, None, 5.0), 0.8, "cannot be told: diverged"),
        ((None, 10.0, 5.0), 0.8, "cannot be told: diverged"),
        # Of 2,000 targets chance makes 4.5 points, and random signs take 5.
        ((10.0, 9.0, 5.0), 0.194, "cannot be told: at chance"),
        ((10.0, 9.0, 5.0), 0.196, "holds"),
        ((10.0, 21.0, 5.0), 0.15, "cannot be told: diverged, at chance"),
    ],
)
def test_a_victim_that_says_nothing_about_alpha(
    tmp_path: Path, losses: Sequence[float | None], clean: float, beats: str
) -> None:
    left(by_alpha()[1.0], tmp_path, 0.2, {"similarity_loss": losses}, natural_accuracy=(clean, 0.9))
    _, outcome, numbers, _ = rows(tmp_path)[BEATS]
    assert outcome == beats
    aside = beats.replace("cannot be told", "left out") if beats != "holds" else ""
    assert numbers == f"accuracy drop: 20.0 % (2.0 %{'; ' if aside else ''}{aside})"


def test_in_short_the_attack_is_as_it_is_unless_told_otherwise(tmp_path: Path) -> None:
    """Even where another reading of it has more cells."""
    for alpha, one in by_alpha().items():
        left(otherwise(one, distance="mean"), tmp_path / f"mean {alpha}", 0.02 + alpha / 100)
    assert not SHORT.blocks(find([tmp_path]))
    left(by_alpha()[1.0], tmp_path / "1.0", 0.2)
    assert rows(tmp_path)[GROWS][1] == "holds"
    assert short(tmp_path)[GROWS] == ["ours", "not run", "too few cells"]
    assert short(tmp_path)[BEATS] == ["ours", "not run", "holds"]
    assert list(short(tmp_path)) == [claim.what for claim in _CLAIMS]


def test_what_says_nothing_is_left_out_of_a_series_and_of_a_mean(tmp_path: Path) -> None:
    diverged = {"similarity_loss": [1.0, 5.0, 0.5]}
    for alpha, drop in {0.0: 0.02, 0.1: 0.1, 10.0: 0.2}.items():
        left(by_alpha()[alpha], tmp_path / str(alpha), drop)
    left(by_alpha()[1.0], tmp_path / "1", 0.02, diverged)
    _, outcome, numbers, _ = rows(tmp_path)[GROWS]
    assert (outcome, "alpha 1 2.0 % (2.0 %; left out: diverged)" in numbers) == ("holds", True)
    assert short(tmp_path)[GROWS][2] == "holds at 3 of 4 (left out: diverged; with them it does not hold)"
    left(by_alpha()[1.0], tmp_path / "2", 0.15, seed=2)
    assert short(tmp_path)[GROWS][2] == "holds"
    assert "alpha 1 15.0 % (2.0 %; left out 1 of 2 seeds: diverged)" in rows(tmp_path)[GROWS][2]
    left(by_alpha()[0.1], tmp_path / "0.1", 0.1, diverged)
    left(by_alpha()[10.0], tmp_path / "10.0", 0.2, diverged)
    assert rows(tmp_path)[GROWS][1] == "cannot be told: diverged"


@pytest.mark.parametrize(("clean", "outcome"), [(0.13, "cannot be told: never accurate"), (0.14, "does not hold")])
def test_from_who_is_hardly_ever_right_no_noise_takes_anything(tmp_path: Path, clean: float, outcome: str) -> None:
    """Of 2,000 targets chance makes 3.2 points."""
    for alpha in (0.0, 1.0, 10.0):
        values = {
            "natural_accuracy": (clean if alpha == 1.0 else 0.6, 0.9),
            "random_signs_drop": (0.05 - alpha / 300, 0.05),
        }
        left(by_alpha()[alpha], tmp_path / str(alpha), 0.2, **values)
    assert outcomes(tmp_path)["what random signs take grows with alpha"] == outcome


@pytest.mark.parametrize(
    ("drops", "outcome"),
    [((0.05, 0.25, 0.26), "holds"), ((0.05, 0.15, 0.25), "does not hold"), ((0.05, 0.25), "too few cells")],
)
def test_more_images(tmp_path: Path, drops: tuple[float, ...], outcome: str) -> None:
    by_count = {e.aux_rows: e for e in cells("table 1", "aux=share")}
    for count, drop in zip((1024, 2048, 4096), drops, strict=False):
        left(by_count[count], tmp_path / str(count), drop)
    assert outcomes(tmp_path)[SATURATES] == outcome


@pytest.mark.parametrize(
    ("vr", "own", "outcome"),
    [
        (0.1, 0.3, "holds"),
        (0.3, 0.1, "does not hold"),
        # Of 512 targets chance makes 6.2 points of one drop beyond blind.
        (0.01, 0.08, "cannot be told: neither is beyond blind"),
    ],
)
def test_beside_vr_whose_targets_are_fewer(tmp_path: Path, vr: float, own: float, outcome: str) -> None:
    found = [e for e in cells("table 2") if e.aux_rows == 4096]
    (other,) = (
        e for e in found if (e.attack, e.under) == ("vmi_fgsm", "sladv") and "labels" not in e.options[e.attack]
    )
    (sladv,) = (e for e in found if e.attack == "sladv" and e.options["sladv"]["alpha"] == 1.0)
    left(other, tmp_path / "other", vr)
    left(sladv, tmp_path / "sladv", own)
    assert outcomes(tmp_path)[VR] == outcome


@pytest.mark.parametrize(
    ("elsewhere", "at_the_cut", "outcome"),
    [(0.03, 0.3, "holds"), (0.3, 0.03, "does not hold"), (0.03, 0.02, "cannot be told: neither is beyond blind")],
)
def test_readings(tmp_path: Path, elsewhere: float, at_the_cut: float, outcome: str) -> None:
    for number, one in enumerate(cells("readings")):
        there = one.options["sladv"]["align"] == "server_output" or one.protocol == "vanilla"
        left(one, tmp_path / str(number), elsewhere if there else at_the_cut)
    found = outcomes(tmp_path)
    assert found[OUTPUT] == outcome
    assert found["the attack carries over to vanilla split learning"] == (
        "holds" if elsewhere == 0.3 else "cannot be told: within chance"
    )


def test_several_cells_are_compared_in_the_setting_that_has_enough_of_them(tmp_path: Path) -> None:
    diverged = {"similarity_loss": [1.0, 5.0, 0.5]}
    usual = [e for e in cells("readings", "protocol=u_shaped") if "distance" not in e.options["sladv"]]
    found = {str(e.options["sladv"]["align"]): e for e in usual}
    left(found["cut"], tmp_path / "usual", 0.1)
    for align, one in found.items():
        left(otherwise(one, clip=10.0), tmp_path / align, 0.1, diverged)
    assert rows(tmp_path)[OUTPUT][1::2] == ("cannot be told: diverged", "targets=2000, clip=10.0")
    left(found["server_output"], tmp_path / "output", 0.02)
    assert rows(tmp_path)[OUTPUT][1::2] == ("holds", "targets=2000")


def test_depth_is_judged_by_the_shadow_that_stays_as_it_is(tmp_path: Path) -> None:
    drops = {("0:10", "single"): 0.3, ("5:10", "single"): 0.1, ("0:10", "multi"): 0.1, ("5:10", "multi"): 0.3}
    found = {(e.cut, str(e.options["sladv"]["shadow"])): e for e in cells("table 5")}
    for number, (place, drop) in enumerate(drops.items()):
        left(found[place], tmp_path / str(number), drop)
    told = outcomes(tmp_path)
    assert (told[DEPTH], told[MULTI]) == ("holds", "does not hold")
    left(found["5:10", "single"], tmp_path / "1", 0.1, perturbation_size=(0.49, 0.98))
    _, outcome, numbers, _ = rows(tmp_path)[DEPTH]
    assert outcome == "cannot be told: hardly changed"
    assert numbers.endswith("cut 3 10.0 % (2.0 %; left out: hardly changed)")
    left(found["5:10", "single"], tmp_path / "1", 0.01, perturbation_size=(0.51, 0.98))
    left(found["0:10", "single"], tmp_path / "0", 0.02)
    assert outcomes(tmp_path)[DEPTH] == "cannot be told: none is beyond blind"


@pytest.mark.parametrize(
    ("correlation", "paper", "ours"),
    [
        (-0.2, "holds", "cannot be told: within chance"),
        (-0.4, "holds", "cannot be told: within chance"),
        (-0.45, "holds", "holds"),
        (-0.05, "cannot be told: within chance of 0", "does not hold"),
        (0.2, "does not hold", "does not hold"),
    ],
)
def test_of_a_correlation_the_paper_means_the_sign(tmp_path: Path, correlation: float, paper: str, ours: str) -> None:
    left(by_alpha()[1.0], tmp_path, 0.1, loss_correlation=(correlation, -0.3))
    found = rows(tmp_path)
    assert found[LOSS][:2] == ("the paper's", paper)
    assert found[SIGNS][:2] == ("ours", ours)


def test_a_correlation_leaves_out_the_victims_that_the_drop_leaves_out(tmp_path: Path) -> None:
    left(by_alpha()[1.0], tmp_path / "1", 0.1, loss_correlation=(-0.5, -0.3))
    diverged = {"similarity_loss": [1.0, 5.0, 0.5]}
    left(by_alpha()[10.0], tmp_path / "10", 0.0, diverged, loss_correlation=(0.2, 0.1), natural_accuracy=(0.1, 0.9))
    found = rows(tmp_path)
    assert (found[LOSS][1], found[SIGNS][1]) == ("holds", "holds")
    assert "alpha 10 0.200 (0.100; left out: diverged, at chance)" in found[LOSS][2]
    left(by_alpha()[1.0], tmp_path / "1", 0.1, diverged, loss_correlation=(-0.5, -0.3))
    found = rows(tmp_path)
    assert found[LOSS][1] == found[SIGNS][1] == "cannot be told: diverged, at chance"


def test_a_correlation_is_taken_over_no_more_targets_than_the_judge_takes() -> None:
    assert [claim.most for claim in _CLAIMS if claim.what in {LOSS, SIGNS}] == [_CORRELATED] * 2
    assert f"over {_CORRELATED} targets" in CONCLUSIONS.text


@pytest.mark.parametrize(
    ("distance", "cosine", "nearer", "constant", "alike", "strictly"),
    [
        # Of eight channels two unrelated layers have a cosine of up to .12, and two such differ by up to .17.
        (5.0, 0.14, "holds", "does not hold", "does not hold", "holds"),
        (5.0, 0.11, "holds", "does not hold", "does not hold", "does not hold"),
        (0.5, 0.2, "holds", "holds", "holds", "holds"),
        (11.0, -0.1, "does not hold", "does not hold", "does not hold", "does not hold"),
    ],
)
def test_what_alpha_does_to_the_layers_is_beside_alpha_0(
    tmp_path: Path, distance: float, cosine: float, nearer: str, constant: str, alike: str, strictly: str
) -> None:
    honest, pulled = by_alpha()[0.0], by_alpha()[1.0]
    left(pulled, tmp_path / "1", 0.1, layer_distance=(distance, 1.0), slope_similarity=(cosine, 0.0))
    found = outcomes(tmp_path)
    assert (found[NEARER], found[ALIKE]) == ("too few cells", "too few cells")
    left(by_alpha()[0.1], tmp_path / "0.1", 0.1, layer_distance=(8.0, 9.0), slope_similarity=(-0.01, 0.0))
    found = outcomes(tmp_path)
    assert (found[NEARER], found[ALIKE]) == ("too few cells", "too few cells"), "there is no alpha 0"
    left(by_alpha()[0.1], tmp_path / "0.1", 0.1)
    left(honest, tmp_path / "0", 0.1, layer_distance=(10.0, 9.0), slope_similarity=(-0.02, 0.0))
    found = outcomes(tmp_path)
    assert (found[NEARER], found[CONSTANT], found[ALIKE], found[STRICTLY]) == (nearer, constant, alike, strictly)
    diverged = {"similarity_loss": [1.0, 5.0, 0.5]}
    left(pulled, tmp_path / "1", 0.1, diverged, layer_distance=(distance, 1.0), slope_similarity=(cosine, 0.0))
    theirs, ours = ("the paper's", "cannot be told: diverged"), ("ours", "cannot be told: diverged")
    told = rows(tmp_path)
    assert [told[what][:2] for what in (NEARER, CONSTANT, ALIKE, STRICTLY)] == [theirs, ours, theirs, ours]


def test_without_records_nothing_is_concluded(tmp_path: Path) -> None:
    assert not CONCLUSIONS.blocks(find([tmp_path]))
