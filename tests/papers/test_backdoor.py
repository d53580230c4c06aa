"""The backdoor paper's page: records stand beside the printed numbers of their own place, and deployments are whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cutlayer.auditing.audit import run_cell
from cutlayer.commands import reproduce as command
from cutlayer.dataset import DatasetError
from cutlayer.disk import write_whole
from cutlayer.experiment import Experiment, ExperimentError
from cutlayer.papers.backdoor import PAPER
from cutlayer.papers.backdoor.appendix import FIGURE_9, SMALL, TABLE_3
from cutlayer.papers.backdoor.baseline import FIGURE_7
from cutlayer.papers.backdoor.figures import FIGURES
from cutlayer.papers.backdoor.injector import FIGURE_6
from cutlayer.papers.backdoor.printed import apart
from cutlayer.papers.backdoor.residence import RESIDENCE
from cutlayer.papers.backdoor.setup import BLOCKS, deployment, noise_range
from cutlayer.record import AttackRun, Record, Residence, Score, Stitched, Transfer
from cutlayer.record import Cell as Place
from cutlayer.reproduction import plot
from cutlayer.reproduction.block import Figure, Table, Text
from cutlayer.reproduction.cell import Cell, Scale
from cutlayer.reproduction.found import as_experiment, find
from cutlayer.reproduction.page import write_html
from cutlayer.reproduction.paper import Exhibit
from cutlayer.reproduction.plan import experiments
from cutlayer.scene.settle import settle
from tests.cells import quiet


def cell_of(exhibit: Exhibit, scale: Scale, **wanted: Any) -> Cell:
    return next(c for c in exhibit.cells(scale) if all(c.values.get(k) == v for k, v in wanted.items()))


def leave(
    folder: Path,
    cell: Cell,
    seed: int,
    success: float,
    run: AttackRun | None = None,
    noise: float | None = None,
    **more: Any,
) -> None:
    """The record that the cell would leave; ``noise``: what noise that nobody planted does in the trigger's place."""
    experiment = as_experiment({**cell.values, **cell.how, "seed": seed})
    options = {k.partition(".")[2]: v for k, v in cell.values.items() if k.startswith(f"{experiment.attack}.")}
    scores = [
        Score(goal="backdoor", metric="attack_success", value=success, blind=0.01),
        Score(goal="backdoor", metric="clean_accuracy", value=0.98, blind=0.99),
    ]
    if noise is not None:
        scores.append(Score(goal="backdoor", metric="unplanted_success", value=noise, blind=0.01))
    record = Record(
        cell=Place(attack=experiment.attack, dataset=experiment.dataset, model=experiment.model, seed=seed),
        scores=tuple(scores),
        attack=(run or AttackRun()).model_copy(update={"options": options}),
        experiment=experiment.model_dump(mode="json"),
        **more,
    )
    write_whole(folder / f"{seed}-{success}" / "record.json", record.model_dump_json())


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longest; one test draws them."""
    monkeypatch.setattr(plot, "lines", lambda *given, **how: b"<svg/>")


@pytest.mark.usefixtures("undrawn")
def test_a_run_with_another_trigger_is_no_run_of_a_figure(tmp_path: Path) -> None:
    leave(tmp_path, cell_of(SMALL, "quick", **{"surrogate_client.alpha": 0.09}), 1, 0.2)
    found = find([tmp_path])
    assert not FIGURES["mnist"].blocks(found)
    assert SMALL.blocks(found)
    assert [sum(found.seeds(cell) for cell in e.cells("quick")) for e in (FIGURES["mnist"], SMALL)] == [0, 1]


@pytest.mark.parametrize(("figure", "attack"), [(FIGURE_6, "injector_autoencoder"), (FIGURE_9, "surrogate_client")])
def test_of_runs_in_several_settings_one_is_drawn(
    figure: Exhibit, attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels: list[Any] = []
    monkeypatch.setattr(plot, "lines", lambda given, *rest, **how: panels.append(given) or b"<svg/>")
    cell = figure.cells("quick")[0]
    for learning_rate, success in ((0.01, 0.2), (0.02, 0.6)):
        leave(tmp_path, replace(cell, values={**cell.values, f"{attack}.learning_rate": learning_rate}), 1, success)
    figure.blocks(find([tmp_path]))
    (series,) = panels[0].values()
    assert {name: len(points) for name, points in series.items()} == dict.fromkeys(series, 1)


def test_ours_stands_beside_the_printed_of_the_same_place(tmp_path: Path) -> None:
    wanted = {"model": "lenet", "clients": 1, "cut": "4", "surrogate_client.alpha": 0.09}
    for seed in (1, 2, 3):
        leave(tmp_path, cell_of(FIGURES["mnist"], "quick", **wanted), seed, 0.4 + seed / 100)
    blocks = FIGURES["mnist"].blocks(find([tmp_path]))
    table = next(block for block in blocks if isinstance(block, Table))
    (row,) = table.rows
    assert row[:5] == ["mnist", "lenet", "0.09", "3", "1"]
    assert "epochs=12" in row[5]
    assert row[6:11] == ["3", "42.0 % ± 2.5 %", "0.8 %", "+41.2 pp", "1.0 %"]
    assert row[11:] == ["98.0 % ± 0.0 %", "98.8 %", "-0.8 pp", "99.0 %"]
    said = [block.text for block in blocks if isinstance(block, Text)]
    assert any(text.startswith("ASR") and "ours is better for the attacker than printed" in text for text in said)
    # The accuracy without the attack is no guess that an accuracy could fail to beat.
    assert not any("CDA" in text and "never looks at the wire" in text for text in said)
    assert not FIGURES["fashion_mnist"].blocks(find([tmp_path]))
    _, baseline = FIGURE_7.blocks(find([tmp_path]))
    assert isinstance(baseline, Table)
    assert baseline.rows == [["mnist", "lenet", "12", "3", "99.0 %", "99.0 % to 99.0 %", "98.7 % to 99.2 %"]]


@pytest.mark.usefixtures("undrawn")
def test_accuracies_without_an_attack_count_each_deployment_once_and_no_other_data(tmp_path: Path) -> None:
    for alpha in (0.5, 0.04):
        wanted = {"model": "stripnet", "cut": "1", "surrogate_client.alpha": alpha}
        leave(tmp_path / f"{alpha}", cell_of(FIGURES["fashion_mnist"], "quick", **wanted), 1, 0.4)
    leave(tmp_path / "classes", cell_of(FIGURE_9, "quick", classes=5), 2, 0.4)
    _, table = FIGURE_7.blocks(find([tmp_path]))
    assert isinstance(table, Table)
    assert [row[:4] for row in table.rows] == [["fashion_mnist", "stripnet", "6", "1"]]
    figure, variants = FIGURE_9.blocks(find([tmp_path]))[:2]
    assert isinstance(figure, Figure)
    assert isinstance(variants, Table)
    assert [row[0] for row in variants.rows] == ["Fashion-MNIST, first 5 classes"]


def test_accuracies_without_an_attack_are_drawn_by_clients_for_each_model_and_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels: list[Any] = []
    monkeypatch.setattr(plot, "lines", lambda given, *rest, **how: panels.append(given) or b"<svg/>")
    for clients in (1, 3):
        for seed in (1, 2):
            cell = cell_of(FIGURES["mnist"], "quick", model="lenet", cut="1", clients=clients)
            leave(tmp_path / str(clients), cell, seed, 0.4)
    figure, _ = FIGURE_7.blocks(find([tmp_path]))
    assert isinstance(figure, Figure)
    # Of LeNet's first two cuts one is run.
    assert list(panels[0]) == ["lenet, cut 1, 12 epochs", "lenet, cut 2, 12 epochs"]
    for series in panels[0].values():
        assert [(clients, found.values) for clients, found in series["mnist"]] == [(1, (0.99,) * 2), (3, (0.99,) * 2)]
    assert not FIGURE_7.blocks(find([tmp_path / "none"]))


@pytest.mark.usefixtures("undrawn")
def test_what_the_injector_costs_stands_beside_what_it_cost_the_paper(tmp_path: Path) -> None:
    how = AttackRun(notes={"pairs_kept": 250}, curves={"autoencoder_loss": [0.5, 0.25]})
    leave(tmp_path, cell_of(FIGURE_6, "quick", dataset="mnist", model="lenet", cut="1"), 1, 0.02, how)
    _, table, overall, told = FIGURE_6.blocks(find([tmp_path]))
    assert isinstance(table, Table)
    assert isinstance(overall, Table)
    assert isinstance(told, Text)
    assert table.heads[-2:] == ["pairs kept", "autoencoder's last loss"]
    assert table.rows[0][-2:] == ["250", "0.2500"]
    assert overall.rows == [["mnist", "lenet", "2.0 %", "6.5 %", "98.0 % to 98.0 %", "74.5 % to 95.5 %"]]
    assert told.text.endswith("outside the printed range at dataset / model mnist / lenet.")


def test_figure_7_runs_what_it_reads() -> None:
    read = [*FIGURES.values(), FIGURE_6]
    assert experiments("backdoor", [FIGURE_7], "quick", 1, []) == experiments("backdoor", read, "quick", 1, [])
    assert not FIGURE_7.cells("smoke"), "it shows none of the data that stand in there"


@pytest.mark.parametrize("best", [0.5, 0.04])
def test_the_best_printed_value_stands_beside_the_best_of_ours_alone(best: float, tmp_path: Path) -> None:
    for alpha in (0.5, 0.09, 0.04):
        cell = cell_of(SMALL, "quick", **{"surrogate_client.alpha": alpha})
        leave(tmp_path / f"{alpha}", cell, 1, 0.4 if alpha == best else 0.2)
    table = SMALL.blocks(find([tmp_path]))[0]
    assert isinstance(table, Table)
    assert table.heads[4:7] == ["ASR", "ASR printed", "difference"]
    beside = {row[1]: row[5:7] for row in table.rows}
    assert beside.pop(f"{best}") == ["30.0 %", "+10.0 pp"]
    assert list(beside.values()) == [["-", "-"]] * 2


def test_what_one_printed_run_says() -> None:
    assert apart("mnist") == pytest.approx(0.954 - 0.522)


def test_lenets_first_two_cuts_are_one_attack(tmp_path: Path) -> None:
    """Else the runs of one could not stand for both."""
    (smoke,) = FIGURES["mnist"].cells("smoke")
    scores = []
    for cut in ("1", "2", "4"):
        (scene,) = settle(as_experiment({**smoke.values, **smoke.how, "cut": cut}))
        scores.append(run_cell(scene, tmp_path, quiet).record.scores)
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.usefixtures("undrawn")
def test_the_runs_of_one_cut_stand_for_both(tmp_path: Path) -> None:
    wanted = {"model": "lenet", "clients": 1, "surrogate_client.alpha": 0.09}
    for cut, success in (("1", 0.4), ("4", 0.1)):
        leave(tmp_path, cell_of(FIGURES["mnist"], "quick", **wanted, cut=cut), 1, success)
    table = next(block for block in FIGURES["mnist"].blocks(find([tmp_path])) if isinstance(block, Table))
    assert [(row[3], row[7]) for row in table.rows] == [("1", "40.0 %"), ("2", "40.0 %"), ("3", "10.0 %")]


def test_where_a_backdoor_lives_is_told_of_all_seeds_and_not_of_what_answers_at_random(tmp_path: Path) -> None:
    wanted = {"model": "lenet", "clients": 1, "cut": "4", "surrogate_client.alpha": 0.09}
    for seed, success, accuracy, blind in ((1, 0.9, 0.5, 0.6), (2, 0.7, 0.2, None), (3, 1.0, 0.12, 0.3)):
        told = {"attack_success": success, "accuracy": accuracy, "unprompted": blind}
        clean = Stitched(client="clean", server="attacked", **told)
        own = Stitched(client="adversary", server="attacked", attack_success=success, accuracy=0.03)
        lives = Residence(stitched=(clean, own), energy={"attacked": 0.4}, similarity=success)
        leave(tmp_path, cell_of(FIGURES["mnist"], "quick", **wanted), seed, 0.4, residence=lives)
    (table,) = RESIDENCE.blocks(find([tmp_path]))
    assert isinstance(table, Table)
    (row,) = table.rows
    assert row[:6] == ["mnist", "lenet", "0.09", "3", "1", "3"]
    assert table.heads[9:12] == [f"clean client, attacked server: {what}" for what in ("ASR", "blind", "accuracy")]
    assert row[6:12] == [
        *("-", "-", "-", "80.0 % (seeds: 70.0 %; 90.0 %) (2 of 3 seeds)"),
        *("60.0 % (1 of 3 seeds)", "27.3 % (seeds: 12.0 %; 20.0 %; 50.0 %)"),
    ]
    assert row[12:] == [*("-",) * 5, "3.0 % ± 0.0 %", "0.40", "-", "-", "0.87", "-", "-"]
    assert len(row) == len(table.heads)


def test_a_transfer_stands_in_table_3(tmp_path: Path) -> None:
    cell = cell_of(TABLE_3, "quick", transfer="fashion_mnist")
    kept = Transfer(dataset="fashion_mnist", accuracy=0.8, attack_success=0.1, clean_accuracy=0.81, clean_success=0.02)
    leave(tmp_path, cell, 1, 0.9, transfer=kept)
    (table,) = TABLE_3.blocks(find([tmp_path]))
    assert isinstance(table, Table)
    assert table.rows[0][2:] == ["1", "90.0 %", "80.0 %", "81.0 %", "10.0 %", "2.0 %", "87.0 %", "3.2 %"]


def test_schedules_are_the_published_ones_and_shorter_ones_train_most_epochs_at_the_first_rate() -> None:
    # The published code asks for an epoch beyond 25, or 20, and counts from 0.
    assert deployment("mnist", "lenet", 1, 1, "paper")["milestones"] == (26, 41, 56, 71)
    assert deployment("mnist", "resnet9", 1, 1, "paper")["milestones"] == (21, 31, 41, 51)
    for model in BLOCKS:
        quick = deployment("mnist", model, 1, 1, "quick")
        assert quick["milestones"][0] >= 0.75 * quick["epochs"]
    injected = [cell.values for cell in FIGURE_6.cells("paper")]
    assert all(v["injector_autoencoder.milestones"] == v["milestones"] for v in injected)
    assert not any("injector_autoencoder.milestones" in cell.values for cell in FIGURE_6.cells("quick"))
    cifar = deployment("cifar10", "lenet", 1, 3, "paper")
    assert (cifar["epochs"], cifar["patience"], cifar["validation_from"]) == (140, 70, "test")
    assert noise_range("fashion_mnist") == {"darkest": 0.5, "brightest": 1.0}


def test_quick_is_the_grid_that_was_planned() -> None:
    cells = [cell for data in ("mnist", "fashion_mnist") for cell in FIGURES[data].cells("quick")]
    lenet = [cell for cell in cells if cell.values["model"] == "lenet"]
    assert len(lenet) == 2 * 2 * 2 * 3
    assert len(cells) - len(lenet) == 2 * 2 * 3
    assert FIGURES["cifar10"].cells("quick") == []


@pytest.mark.parametrize("scale", ["smoke", "quick", "paper"])
def test_every_cell_is_an_experiment(scale: Scale) -> None:
    for exhibit in PAPER.exhibits:
        for cell in exhibit.cells(scale):
            as_experiment({**cell.values, **cell.how})


@pytest.mark.parametrize("exhibit", [TABLE_3, FIGURE_9], ids=lambda exhibit: exhibit.name)
def test_where_letters_are_not_here_a_cell_that_needs_them_is_not_run(
    exhibit: Exhibit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(experiment: Experiment, name: str = "") -> None:
        if (name or experiment.dataset) == "emnist_letters":
            raise DatasetError("emnist_letters: there is no such folder")

    settled: list[Experiment] = []
    monkeypatch.setattr(command, "load_dataset", load)
    monkeypatch.setattr(command, "scenes", lambda asked: settled.extend(asked) or [])
    asked = experiments("backdoor", [exhibit], "quick", 1, [f"out={tmp_path}"])
    assert any("emnist_letters" in {experiment.dataset, experiment.transfer} for experiment in asked)
    with pytest.raises(ExperimentError, match="emnist_letters: there is no such folder"):
        command._settled(asked, Console(quiet=True))
    assert [e for e in settled if "emnist_letters" in {e.dataset, e.transfer}] == []


@pytest.mark.usefixtures("undrawn")
def test_a_page_names_the_data_that_stood_in_for_the_papers(tmp_path: Path) -> None:
    def page() -> str:
        write_html(tmp_path / "page.html", replace(PAPER, exhibits=(FIGURES["mnist"],)), find([tmp_path]), "lead")
        return (tmp_path / "page.html").read_text()

    leave(tmp_path, cell_of(FIGURES["mnist"], "smoke"), 1, 0.4)
    assert "The surrogate client on mnist (here on digits instead)</h2>" in page()
    assert "by number of clients, digits." in page()
    leave(tmp_path, cell_of(FIGURES["mnist"], "quick"), 1, 0.5)
    assert "The surrogate client on mnist</h2>" in page()
    assert "by number of clients, mnist, digits." in page()
