"""Reproductions: records find their place, numbers stand beside the printed ones, what is missing is run."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cutlayer.commands.reproduce import Request, paper, reproduce
from cutlayer.disk import write_whole
from cutlayer.experiment import ExperimentError
from cutlayer.illustration import Pictures
from cutlayer.metric import Metric
from cutlayer.papers.unsplit import PAPER
from cutlayer.papers.unsplit.speed import SPEED, shown
from cutlayer.papers.unsplit.tables import TABLE_2, TABLE_3
from cutlayer.record import AttackRun, Cell, Record, Score
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Figure, Table, Text, html, markdown
from cutlayer.reproduction.cell import SCALES
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import as_experiment, find, nearest
from cutlayer.reproduction.plan import chosen, experiments
from cutlayer.reproduction.statistic import Interval, Quartiles

MSE = Number("MSE", Metric.MSE_PUBLISHED, lower_is_better=True)


def leave(folder: Path, seed: int, value: float, depth: int = 1, decides: bool = False, **changed: Any) -> None:
    """The record of a cell of table 2 on MNIST, attacked after the training unless ``when`` is changed."""
    there = ("mnist", str(depth), changed.get("when", "after"))
    (cell,) = [c for c in TABLE_2.cells("quick") if (c.values["dataset"], c.values["cut"], c.values["when"]) == there]
    options = {"rounds": 1000, "order": "sequential", **changed.pop("options", {})}
    experiment = as_experiment({**cell.values, "seed": seed, **changed})
    scores = [
        Score(goal="inputs", metric="mse_published", value=value, blind=0.058, decides=decides),
        Score(goal="model", metric="accuracy", value=0.9, blind=0.1),
    ]
    record = Record(
        cell=Cell(attack="unsplit", dataset="mnist", cut=str(depth), seed=seed),
        utility=0.98,
        scores=tuple(scores),
        attack=AttackRun(options=options, fraction=options["rounds"] / 1000),
        attack_seconds=20.0,
        pictures=Pictures(labels=tuple("0123456789"), mse=(value,) * 10),
        experiment=experiment.model_dump(mode="json"),
        started=f"2026-01-0{seed}",
    )
    write_whole(folder / f"{seed}-{depth}-{value}-{options['order']}" / "record.json", record.model_dump_json())


def table_of(folder: Path) -> list[dict[str, str]]:
    """The rows of table 2 by head, those nearest to the published first; a head that repeats has a number behind it."""
    found = []
    for table in (block for block in TABLE_2.blocks(find([folder])) if isinstance(block, Table)):
        heads = [f"{head}{table.heads[:place].count(head) or ''}" for place, head in enumerate(table.heads)]
        found += [dict(zip(heads, row, strict=True)) for row in table.rows]
    return found


def test_seeds_are_taken_together_and_settings_apart(tmp_path: Path) -> None:
    for seed, value in ((1, 0.05), (2, 0.07)):
        leave(tmp_path, seed, value)
    leave(tmp_path, 1, 0.2, options={"order": "joint", "rounds": 50})
    leave(tmp_path, 1, 0.3, depth=2)
    leave(tmp_path, 9, 0.9, epochs=3)  # of another victim: no cell of the table
    rows = table_of(tmp_path)
    told = [(row["depth"], row["setting"], row["seeds"], row["MSE"], row["MSE printed"]) for row in rows]
    assert told == [
        ("1", "as published", "2", "0.060 (seeds: 0.050; 0.070)", "0.054"),
        ("2", "as published", "1", "0.300", "0.056"),
        ("1", "rounds=50, order=joint, 0.05 of the steps", "1", "0.200", "0.054"),
    ]
    assert [row["difference"] for row in rows] == ["+0.006", "+0.244", "+0.146"]
    assert rows[0]["blind"] == "0.058"
    assert rows[0]["accuracy with the clone"] == "90.0 % (seeds: 90.0 %; 90.0 %)"
    assert rows[0]["seconds an image"] == "2"


def test_an_accuracy_is_that_of_trained_victims_alone(tmp_path: Path) -> None:
    for when in ("after", "before"):
        leave(tmp_path / when, 1, 0.05, when=when)
    told = [block.text for block in TABLE_2.blocks(find([tmp_path])) if isinstance(block, Text)]
    assert "**mnist, attacked after training.** Test accuracy of the victims 98.0%, printed 98%." in told
    assert "**mnist, attacked before training.** The victims are untrained." in told


def test_whatever_was_changed_keeps_a_run_apart(tmp_path: Path) -> None:
    leave(tmp_path, 1, 0.05)
    changes: list[dict[str, Any]] = [
        *({"defense": "gaussian_noise"}, {"clients": 5}, {"optimizer": "sgd"}, {"aux": "train"}),
        *({"amsgrad": False}, {"weight_decay": 0.1}, {"options": {"order": "joint"}}),
    ]
    for number, changed in enumerate(changes):
        leave(tmp_path / str(number), 1, 0.1 + number / 100, **changed)
    leave(tmp_path / "aside", 2, 0.05, device="cpu", threads=4, isolate=False, precision="fp32", link="dsl")
    rows = table_of(tmp_path)
    assert {row["setting"]: row["seeds"] for row in rows} == {
        "as published": "2",
        **dict.fromkeys(("defense=gaussian_noise", "clients=5", "optimizer=sgd", "aux=train"), "1"),
        **dict.fromkeys(("amsgrad=False", "weight_decay=0.1", "order=joint"), "1"),
    }
    found = find([tmp_path])
    published = nearest(found.groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"}))
    assert published is not None
    assert published.told == "as published"


def test_how_many_seeds_were_trained_in_bf16_is_told(tmp_path: Path) -> None:
    for seed, precision, told in ((1, "bf16", "bf16"), (2, "bf16", "bf16"), (3, "fp32", "bf16 in 2 of 3 seeds")):
        leave(tmp_path, seed, 0.05, precision=precision)
        (group,) = find([tmp_path]).groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"})
        assert group.told == told


def test_fewer_steps_stand_in_an_exhibit_of_their_own_and_for_no_whole_run(tmp_path: Path) -> None:
    own = {"input_learning_rate": 1e-3, "bounds": "none", "restarts": 1}
    for seed, value in ((1, 0.3), (2, 0.5)):
        leave(tmp_path, seed, value, steps="paper", options={**own, "rounds": 50})
    leave(tmp_path, 1, 0.05, steps="paper", options={**own, "order": "joint"})
    found = find([tmp_path])
    assert {path.name for path in shown(found)} == {"1-1-0.3-sequential", "2-1-0.5-sequential"}
    figure, table = SPEED.blocks(found)
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    clone = ["90.0 % (seeds: 90.0 %; 90.0 %)", "10.0 %"]
    assert table.rows == [
        ["1", "published order", "50", "2", "2.00", "0.400 (seeds: 0.300; 0.500)", "0.058", *"----", *clone]
    ]
    assert [(row["setting"], row["MSE"]) for row in table_of(tmp_path)] == [("order=joint", "0.050")]
    best = nearest(found.groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"}))
    assert best is not None
    assert best.told == "order=joint"


def test_of_shortened_runs_the_one_with_fewer_other_changes_is_nearest(tmp_path: Path) -> None:
    leave(tmp_path / "few", 1, 0.3, options={"rounds": 50})
    leave(tmp_path / "more", 1, 0.1, options={"rounds": 100, "bounds": "unit", "restarts": 2})
    best = nearest(find([tmp_path]).groups(TABLE_2.cells, {"dataset": "mnist", "cut": "1", "when": "after"}))
    assert best is not None
    assert best.told == "rounds=50, 0.05 of the steps"


def test_a_run_that_is_a_cell_at_two_scales_is_shown_once(tmp_path: Path) -> None:
    (cell, *_) = TABLE_3.cells("quick")
    assert cell in TABLE_3.cells("paper")
    options = {"observes": "weights", "match": "first", "search": "candidates"}
    experiment = as_experiment({**cell.values, "seed": 1}).model_dump(mode="json")
    where = Cell(attack="label_inference", dataset=cell.values["dataset"], cut=cell.values["cut"], seed=1)
    record = Record(cell=where, attack=AttackRun(options=options), experiment=experiment)
    write_whole(tmp_path / "record.json", record.model_dump_json())
    (table,) = (block for block in TABLE_3.blocks(find([tmp_path])) if isinstance(block, Table))
    assert len(table.rows) == 1


def test_a_seed_that_was_run_again_counts_once(tmp_path: Path) -> None:
    leave(tmp_path / "old", 1, 0.5)
    leave(tmp_path / "new", 1, 0.05)
    (row,) = table_of(tmp_path / "old") and table_of(tmp_path)
    assert row["seeds"] == "1"


def test_blocks_are_escaped_in_html_and_plain_in_markdown() -> None:
    assert html(Text("**a** is *b* & <c>")) == "<p><strong>a</strong> is <em>b</em> &amp; &lt;c&gt;</p>"
    assert html(Text("run `a=<1>`")) == "<p>run <code>a=&lt;1&gt;</code></p>"
    table = Table(["<x>", "y"], [["1", "2"]])
    assert "<td>1</td><td>2</td>" in html(table)
    assert "&lt;x&gt;" in html(table)
    assert markdown(table, lambda figure: "") == "| <x> | y |\n|---|---|\n| 1 | 2 |"
    figure = Figure("name", "What it shows.", b"<svg/>")
    assert "data:image/svg+xml;base64,PHN2Zy8+" in html(figure)
    assert markdown(figure, lambda figure: f"{figure.name}.svg").startswith("![What it shows.](name.svg)")


def test_a_series_has_its_own_color_whichever_panels_it_is_in() -> None:
    points, boxed = [(1.0, Interval(0.5, 0.1, (0.4, 0.5, 0.6)))], [("1", Quartiles(0.5, 0.4, 0.6, 9))]
    for drawn in (
        plot.lines({"one": {"a": points}, "other": {"b": points}}, "across", "up"),
        plot.boxes({"one": {"a": boxed}, "other": {"b": boxed}}, "across", "up"),
    ):
        assert b"#1f77b4" in drawn
        assert b"#ff7f0e" in drawn


def test_places_far_from_0_stand_by_their_logarithm_and_near_ones_evenly() -> None:
    marks = [(place, Interval(0.5, None, (0.5,))) for place in (0.0, 0.5, 1.0, 10.0, 100.0)]
    drawn = plot.lines({"one": {"a": marks}}, "across", "up", near=1).decode()
    found = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*style="fill: #1f77b4', drawn)
    ((height, _),) = Counter(y for _, y in found).most_common(1)
    gaps = [after - before for before, after in pairwise(sorted({float(x) for x, y in found if y == height}))]
    assert gaps == [pytest.approx(gaps[0]), pytest.approx(gaps[0]), pytest.approx(gaps[3]), pytest.approx(gaps[3])]


@pytest.mark.parametrize("name", ["inversion", "unsplit"])
def test_every_cell_of_every_scale_is_an_experiment(name: str) -> None:
    for scale in SCALES:
        found = experiments(name, paper(name).exhibits, scale, 1, ["data_dir=data"])
        assert found
        assert {str(experiment.data_dir) for experiment in found} == {"data"}
        assert {experiment.name for experiment in found} == {name}
        assert {experiment.dataset for experiment in found} <= {"digits", "mnist", "fashion_mnist", "cifar10"}
        assert ({experiment.dataset for experiment in found} == {"digits"}) == (scale == "smoke")


def test_overrides_choose_cells_or_change_how_they_run() -> None:
    (table,) = chosen(PAPER, ["table 2"])
    some = experiments(
        "unsplit", [table], "paper", 2, ["dataset=mnist", "cut=1,2", "when=after", "unsplit.order=joint"]
    )
    assert [(e.dataset, e.cut, e.seed, e.options["unsplit"]) for e in some] == [
        ("mnist", cut, seed, {"order": "joint"}) for seed in (1, 2) for cut in ("1", "2")
    ]
    whole = experiments("unsplit", [table], "paper", 1, [])
    assert {(e.steps, *e.options.values()) for e in whole} == {("paper",)}
    with pytest.raises(
        ExperimentError, match=r"no cell of table 2 has dataset=svhn; there are dataset=cifar10,fashion_mnist,mnist$"
    ):
        experiments("unsplit", [table], "quick", 1, ["dataset=svhn"])
    with pytest.raises(ExperimentError, match=r"unsplt\.order: no cell of table 2 uses it"):
        experiments("unsplit", [table], "quick", 1, ["unsplt.order=joint"])
    noise = ["defense=gaussian_noise", "gaussian_noise.sigma=0.5", "dataset=mnist"]
    assert {e.options["gaussian_noise"]["sigma"] for e in experiments("unsplit", [table], "quick", 1, noise)} == {0.5}
    assert {e.seed for e in experiments("unsplit", [table], "quick", 3, ["seed=2,3", "cut=1"])} == {2, 3}
    with pytest.raises(ExperimentError, match=r"no cell of table 2 has seed=4; there are seed=1,2$"):
        experiments("unsplit", [table], "quick", 2, ["seed=4"])
    with pytest.raises(ExperimentError, match="name = 'x': a reproduction sets it"):
        experiments("unsplit", [table], "quick", 1, ["name=x"])


def test_a_wrong_name_is_one_line_that_helps() -> None:
    with pytest.raises(ExperimentError, match=r"there is no table 22 \(did you mean 'table 2'\?\); one of table 1, "):
        chosen(PAPER, ["table 22"])
    with pytest.raises(ExperimentError, match=r"there is no table 99[^;]*; one of (table \w+(, |$))+$"):
        chosen(PAPER, ["table 99"])
    with pytest.raises(ExperimentError, match=r"there is no panel; one of .*table 1, .*figure "):
        chosen(PAPER, ["panel"])
    with pytest.raises(ExperimentError, match=r"unknown paper 'unslpit' \(did you mean 'unsplit'\?\); one of "):
        paper("unslpit")


def test_data_that_are_not_here_and_cells_that_are_refused_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cutlayer.commands.audit.estimates", lambda cells, run: [1.0] * len(cells))
    paths = [f"out={tmp_path}", f"data_dir={tmp_path}"]
    with pytest.raises(ExperimentError, match="mnist"):
        reproduce(Request("unsplit", ["table 2"], "quick", 1, [*paths, "dataset=mnist"], 0, 1, ""), Console(quiet=True))
    asked = [f"out={tmp_path}", "model=unsplit_mnist", "aux_rows=100000", "cut=2"]
    request = Request("unsplit", ["figure 3a"], "smoke", 1, asked, 1e-9, 1, "")
    page, whole = reproduce(request, Console(quiet=True))
    assert not whole
    assert "refused: aux_rows = 100000: aux = &#x27;test&#x27; has only" in page.read_text()
    assert "0 of 4 cells have a record" in page.read_text()


@pytest.mark.slow
def test_a_reproduction_runs_what_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    request = Request("unsplit", ["table 2", "table 3"], "smoke", 1, [f"out={tmp_path}"], 0, 2, "cutlayer reproduce")
    page, whole = reproduce(request, Console(stderr=True))
    assert whole
    assert page == tmp_path / "unsplit" / "reproduction.html"
    assert "10 of 10 cells have a record" in page.read_text()
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("**/record.json")}
    assert len(stamps) == 10
    reproduce(request, Console(stderr=True))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("**/record.json")} == stamps
    assert "10 of 10 cells are there already" in capfd.readouterr().err
