"""What SLADV's page shows of its victims beside the drop: L_sim, gradients, readings, proxies, and from how much."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cutlayer.attacks.sladv import _CURVE
from cutlayer.judging.evasion import _CORRELATED
from cutlayer.methods.perturbation import PROBED
from cutlayer.papers.sladv import PAPER
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.cell import SCALES
from cutlayer.reproduction.found import find
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.plan import experiments
from tests.papers.test_sladv import left
from tests.papers.test_sladv_conclusions import by_alpha, cells, otherwise

BY_NAME: Mapping[str, Exhibit] = {exhibit.name: exhibit for exhibit in PAPER.exhibits}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The panels of every figure, which is not drawn."""
    panels: list[Any] = []
    monkeypatch.setattr(plot, "lines", lambda given, *rest, **how: panels.append(given) or b"<svg/>")
    return panels


def tables(name: str, folder: Path) -> list[Table]:
    return [block for block in BY_NAME[name].blocks(find([folder])) if isinstance(block, Table)]


def test_the_course_of_l_sim_is_told_of_every_setting_and_every_victim(tmp_path: Path, drawn: list[Any]) -> None:
    one = by_alpha()[1.0]
    (single,) = (e for e in cells("table 5", "cut=0:10") if e.options["sladv"]["shadow"] == "single")
    left(one, tmp_path / "batch", 0.1, {"similarity_loss": [9.0, 3.0]}, layer_distance=(1.0, 2.0))
    clipped = otherwise(one, clip=10.0)
    left(clipped, tmp_path / "clipped", 0.1, {"similarity_loss": [9.0, 30.0, 4.0]}, layer_distance=(3.0, 2.0))
    left(single, tmp_path / "single", 0.1, {"similarity_loss": [8.0, 9.0]})
    quantities, course = tables("narrow theory", tmp_path)
    assert [row[:4] for row in quantities.rows] == [
        ["1", "cifar10", "targets=2000, clip=10.0", "1"],
        ["1", "cifar10", "targets=2000", "1"],
    ]
    assert course.heads[3:] == ["L_sim at first", "at its highest", "in its last tenth", "diverged"]
    assert sorted(course.rows) == [
        ["alpha 1", "targets=2000", "1", "9.0", "9.0", "3.0", "no"],
        ["alpha 1", "targets=2000, clip=10.0", "1", "9.0", "30.0", "4.0", "yes"],
        ["alpha 1, shadow=single", "targets=2000", "1", "8.0", "9.0", "9.0", "yes"],
    ]
    (panels,) = drawn
    assert set(panels["largest distance d of the layers"]) == {"cifar10, clip=10.0", "cifar10, otherwise as published"}


def test_a_line_of_the_gradients_says_in_what_it_is_another_setting(tmp_path: Path, drawn: list[Any]) -> None:
    left(otherwise(by_alpha()[0.0], distance="image", clip=10.0), tmp_path / "0", 0.1)
    left(by_alpha()[1.0], tmp_path / "1", 0.1)
    tables("narrow gradients", tmp_path)
    left(otherwise(by_alpha()[1.0], distance="image", clip=10.0), tmp_path / "1", 0.1)
    tables("narrow gradients", tmp_path)
    mixed, alike = (set(panels["norm of the task's gradient"]) for panels in drawn)
    assert mixed == {"alpha 0, distance=image, clip=10.0", "alpha 1, otherwise as published"}
    assert alike == {"alpha 0", "alpha 1"}


def test_a_reading_is_shown_in_whichever_setting_it_has_run(tmp_path: Path) -> None:
    for number, one in enumerate(cells("readings")):
        if one.options["sladv"]["align"] == "server_output" or one.options["sladv"].get("distance") is None:
            left(otherwise(one, distance="image"), tmp_path / str(number), 0.1)
    (table,) = tables("narrow readings", tmp_path)
    places = [(row[0], row[2]) for row in table.rows]
    assert ("aligned at the server's output", "targets=2000, distance=image") in places
    assert ("in vanilla", "targets=2000, distance=image") in places
    assert ("as in table 1", "targets=2000, distance=image") not in places
    assert ("L2 norm of each image's difference", "targets=2000") in places


def test_a_printed_drop_is_held_against_random_signs_and_the_accuracy_there_is(tmp_path: Path) -> None:
    (one,) = (
        e
        for e in experiments("sladv", [BY_NAME["table 3"]], "paper", 1, ["aux=share"])
        if e.options["sladv"]["alpha"] == 0.1
    )
    left(one, tmp_path, -0.1, natural_accuracy=(0.2, 0.9))
    said = [block.text for block in BY_NAME["table 3"].blocks(find([tmp_path])) if isinstance(block, Text)]
    exceeds = "the printed value is more than the clean accuracy here, which no attack can exceed"
    assert f"accuracy drop (as published): {exceeds}, at alpha / own images 0.1 / cifar10 (20.0 %)." in said
    left(one, tmp_path, -0.1, accuracy_drop=(-0.1, 0.3))
    said = [block.text for block in BY_NAME["table 3"].blocks(find([tmp_path])) if isinstance(block, Text)]
    assert any("the printed value is no better than random signs of the same budget" in text for text in said)


def test_how_often_a_proxy_is_right_stands_beside_what_its_directions_do(tmp_path: Path) -> None:
    (one, *_) = (e for e in cells("table 2", "attack=ssa") if not e.under)
    left(one, tmp_path, 0.1, proxy_accuracy=(0.4375, 0.13), perturbation_size=(0.3, 0.98))
    (table,) = tables("narrow table 2", tmp_path)
    row = dict(zip(table.heads, table.rows[0], strict=True))
    assert (row["proxy accuracy"], row["mean change in budgets"]) == ("43.8 %", "0.300")
    left(one, tmp_path, 0.1)
    (table,) = tables("narrow table 2", tmp_path)
    assert not {"proxy accuracy", "mean change in budgets"} & {*table.heads}


def test_texts_say_of_how_much_the_numbers_are() -> None:
    theory, gradients = BY_NAME["theory"].text, BY_NAME["gradients"].text
    assert f"first {_CORRELATED} targets" in theory
    assert f"first {PROBED} targets" in theory
    assert all(f"at most {_CURVE}" in text for text in (theory, gradients))


def test_every_attack_is_judged_at_8_and_16_of_255_beside_the_paper_s_budget() -> None:
    for exhibit in PAPER.exhibits:
        for scale in SCALES:
            assert all(cell.how["pixel_budgets"] == [8, 16] for cell in exhibit.cells(scale)), exhibit.name


def test_at_the_scale_quick_either_network_takes_one_seed_unless_more_are_asked_for() -> None:
    for name in ("table 2", "narrow table 2"):
        assert {e.seed for e in experiments("sladv", [BY_NAME[name]], "quick", 0, [])} == {1}
        assert {e.seed for e in experiments("sladv", [BY_NAME[name]], "quick", 2, [])} == {1, 2}
    assert {e.seed for e in experiments("sladv", [BY_NAME["table 2"]], "quick", 0, ["seed=2,3"])} == {2, 3}
