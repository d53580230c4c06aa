"""What is chosen of a reproduction: exhibits without cells and values that no cell has are refused, by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cutlayer.commands.reproduce import Request, paper, reproduce
from cutlayer.experiment import ExperimentError
from cutlayer.papers import backdoor, sladv, unsplit
from cutlayer.reproduction.cell import Cell
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.plan import check_cells, chosen, experiments
from tests.calls import call, elsewhere

__all__ = ["call", "elsewhere"]


@pytest.mark.parametrize(
    ("name", "exhibits", "says"),
    [
        (
            "sladv",
            ["narrow table 1"],
            "narrow table 1 has no cells at the scale smoke; there are those of table 1, ",
        ),
        ("backdoor", ["figure 9"], "figure 9 has no cells at the scale smoke; there are those of figure 3, "),
        ("backdoor", ["figure 7", "figure 9"], "figure 7, figure 9 have no cells at the scale smoke; there are"),
        ("unsplit", ["table 1"], "table 1: read from the records of other cells, with none of its own to run; there"),
        (
            "backdoor",
            ["section 6"],
            "section 6: read from the records of other cells, with none of its own to run; there",
        ),
    ],
)
def test_where_there_is_nothing_to_run_nothing_is_written(
    call: Any, tmp_path: Path, name: str, exhibits: list[str], says: str
) -> None:
    only = [word for exhibit in exhibits for word in ("--only", exhibit)]
    code, out, err = call("reproduce", name, "--scale", "smoke", *only, f"out={tmp_path}", "no.option=3", "clients=77")
    assert (code, out) == (2, "")
    assert err.startswith(f"cutlayer: {says}")
    assert not list(tmp_path.iterdir())


def test_an_exhibit_drawn_from_the_records_of_others_is_chosen_beside_them() -> None:
    source = paper("backdoor")
    both = chosen(source, ["figure 3", "figure 7"])
    check_cells(source, both, "smoke")
    assert experiments("backdoor", both, "smoke", 1, []) == experiments("backdoor", both[:1], "smoke", 1, [])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["sladv.alpha=0,77"], "sladv.alpha=77; there are sladv.alpha=0,1,100"),
        (["seed=1,5"], "seed=5; there are seed=1,2"),
        (["dataset=digits,svhn", "seed=1"], "dataset=svhn; there are dataset=digits"),
        (["dataset=mnist,svhn"], "dataset=mnist,svhn; there are dataset=digits"),
        (["protocol=u_shaped", "attack=fgsm,fgms"], "attack=fgms; there are attack=fgsm,pgd,sladv,ssa,vmi_fgsm"),
    ],
)
def test_a_value_that_no_cell_has_is_refused_beside_one_that_some_have(overrides: list[str], says: str) -> None:
    with pytest.raises(ExperimentError, match=f"^no cell of table 1, .*, readings has {re.escape(says)}$"):
        experiments("sladv", sladv.PAPER.exhibits, "smoke", 2, overrides)


def test_values_that_cells_have_in_other_combinations_are_no_mistake() -> None:
    table = chosen(unsplit.PAPER, ["table 2"])
    some = experiments("unsplit", table, "quick", 1, ["dataset=mnist,cifar10", "cut=8"])
    assert {experiment.dataset for experiment in some} == {"cifar10"}
    with pytest.raises(ExperimentError, match=r"has dataset=mnist and cut=8; there are dataset=.*,mnist, cut=1,.*8$"):
        experiments("unsplit", table, "quick", 1, ["dataset=mnist", "cut=8"])


def test_a_key_that_chooses_some_cells_and_changes_others_has_any_value() -> None:
    same = {"attack": "unsplit", "dataset": "digits"}
    cells = [Cell({**same, "steps": "paper"}), Cell(same)]
    exhibit = Exhibit("table 1", "", "", lambda scale: cells, lambda found: ())
    assert [e.steps for e in experiments("own", [exhibit], "quick", 1, ["steps=quick"])] == ["quick"]
    assert [e.steps for e in experiments("own", [exhibit], "quick", 1, ["steps=paper"])] == ["paper"]


def test_a_list_is_one_value_of_a_key_whose_values_are_lists() -> None:
    figure = chosen(backdoor.PAPER, ["figure 3"])
    found = experiments("backdoor", figure, "quick", 1, ["milestones=9,11"])
    assert {experiment.milestones for experiment in found} == {(9, 11)}
    with pytest.raises(ExperimentError, match=r"has milestones=\[9\]; there are milestones=\[5\],\[9,11\]$"):
        experiments("backdoor", figure, "quick", 1, ["milestones=9"])


def test_a_record_that_cannot_be_read_is_said_and_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for what in ("watched", "write_html"):
        monkeypatch.setattr(f"cutlayer.commands.reproduce.{what}", lambda *arguments: ())
    stray = tmp_path / "unsplit" / "cells" / "x" / "record.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("{}")
    request = Request("unsplit", ["table 3"], "smoke", 1, [f"out={tmp_path}"], 0, 1, "")
    reproduce(request, Console(stderr=True))
    assert f"{stray}: left out, it cannot be read: it names no attack\n" in capfd.readouterr().err
