"""Findings: seeds together, other settings apart."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cutlayer.record import Record
from cutlayer.report.evidence import Evidence, read_run
from cutlayer.report.finding import Spread, findings
from cutlayer.report.panel import panels
from cutlayer.report.summary import facts
from cutlayer.report.table import summary_tables
from cutlayer.report.threats import adversaries
from cutlayer.report.wording import compared
from tests.report.made_run import made_pictures, made_record, save, score
from tests.report.test_page import page_of


def test_seeds_that_disagree_are_judged_by_their_mean(tmp_path: Path) -> None:
    for seed, strength in ((1, 0.0), (2, 0.3)):
        save(tmp_path, made_record("unsplit", 3, seed, strength))
    assert findings(read_run(tmp_path))[0].verdict == "partial leak"


def test_other_settings_are_not_other_seeds(tmp_path: Path) -> None:
    for sigma in (0.1, 0.5):
        record = made_record("unsplit", 1, 1, sigma)
        record["experiment"]["options"] |= {"gaussian_noise": {"sigma": sigma}}
        record["attack"]["options"] = {"tv": "squared" if sigma == 0.1 else "isotropic"}
        save(tmp_path, record)
    made = findings(read_run(tmp_path))
    assert [len(finding.cells) for finding in made] == [1, 1]
    assert {finding.variant for finding in made} == {
        "tv=squared, gaussian_noise.sigma=0.1",
        "tv=isotropic, gaussian_noise.sigma=0.5",
    }


def test_two_data_sets_given_by_their_files_are_no_seeds_of_one(tmp_path: Path) -> None:
    for seed in (1, 2):
        for data, strength in (("a.csv", 0.9), ("b.csv", 0.0)):
            record = made_record("unsplit", 1, seed, strength)
            record["experiment"] |= {"data_dir": data, "plugins": "mine"}
            save(tmp_path, record)
    made = findings(read_run(tmp_path))
    assert {finding.variant: finding.verdict for finding in made} == {
        "data_dir=a.csv": "leak",
        "data_dir=b.csv": "no leak",
    }
    assert [[item.record.cell.seed for item in finding.cells] for finding in made] == [[1, 2], [1, 2]]
    console = Console(width=200, file=io.StringIO())
    console.print(*summary_tables(item.record for item in read_run(tmp_path)))
    assert isinstance(console.file, io.StringIO)
    for told in (console.file.getvalue(), page_of(tmp_path).text):
        assert "data_dir=a.csv" in told
        assert "data_dir=b.csv" in told


def test_an_option_that_was_typed_at_its_default_makes_no_second_seed(tmp_path: Path) -> None:
    for asked in ({}, {"unsplit": {"rounds": 2}}):
        record = made_record("unsplit", 1, 1, 0.5)
        record["attack"]["options"] = {"rounds": 2}
        record["experiment"]["options"] = asked
        save(tmp_path / str(len(asked)), record)
    both = [*read_run(tmp_path / "0"), *read_run(tmp_path / "1")]
    assert len(both) == 2
    (finding,) = findings(both)
    assert len(finding.cells) == 1


def test_seeds_whose_time_is_told_on_different_links_are_seeds_of_one(tmp_path: Path) -> None:
    for seed, link in ((1, ""), (2, "dsl"), (3, "4g")):
        record = made_record("unsplit", 1, seed, 0.5)
        record["experiment"] |= {"link": link}
        save(tmp_path, record)
    (finding,) = findings(read_run(tmp_path))
    assert [item.record.cell.seed for item in finding.cells] == [1, 2, 3]


def test_of_one_seed_the_latest_record_counts(tmp_path: Path) -> None:
    """A network, weights or a plug-in was edited behind its name: the earlier record is of another network."""
    for hour, strength, accuracy in ((11, 0.8, 0.9), (10, 0.0, 0.5)):
        for seed in (1, 2):
            record = made_record("unsplit", 1, seed, strength) | {"utility": accuracy}
            record["started"] = f"2026-11-21T{hour}:0{seed}:00+00:00"
            # Where it was computed makes no other measurement of it.
            record["experiment"] |= {"model": "net.py:build", "isolate": hour == 10}
            save(tmp_path, record)
    lying = [
        Evidence(Record.model_validate_json(path.read_bytes())) for path in (tmp_path / "cells").glob("*/record.json")
    ]
    assert len(lying) == 4
    for evidence in (read_run(tmp_path), lying):
        (finding,) = findings(evidence)
        assert [item.record.cell.seed for item in finding.cells] == [1, 2]
        assert (finding.verdict, finding.number("utility")) == ("leak", Spread(0.9, 0.9, 0.9, 2))
    assert "2 of 2" in page_of(tmp_path).text


def test_an_option_that_follows_the_cut_keeps_one_series(tmp_path: Path) -> None:
    for cut, weight in ((1, 0.1), (3, 1.0)):
        record = made_record("unsplit", cut, 1, 0.5)
        record["attack"]["options"] = {"weight": weight}
        save(tmp_path, record)
    made = findings(read_run(tmp_path))
    assert {finding.variant for finding in made} == {""}
    assert all(tile.finding for s in panels(made, read_run(tmp_path))[0].series for tile in s.tiles)
    assert [[tile.cut for tile in s.tiles] for s in panels(made, read_run(tmp_path))[0].series] == [["1", "3"]] * 2


def test_of_several_deciding_metrics_the_one_that_fares_best_speaks(tmp_path: Path) -> None:
    record = made_record("unsplit", 1, 1, 0.5)
    record["scores"] = [
        score("inputs", "ssim", 0.2, 0.4, 1.0, decides=True),
        score("inputs", "ssim_stretched", 0.9, 0.4, 1.0, decides=True),
        score("model", "accuracy", 0.5, 0.1, 1.0, decides=True),
    ]
    save(tmp_path, record)
    assert [row.metric for row in findings(read_run(tmp_path))[0].deciding] == ["ssim_stretched", "accuracy"]


def test_seeds_where_nothing_can_be_decided_are_counted_and_in_no_mean(tmp_path: Path) -> None:
    for seed, decides in ((1, True), (2, False), (3, True)):
        record = made_record("unsplit", 1, seed, 0.5)
        best = 1.0 if decides else None
        record["scores"] = [score("backdoor", "attack_success", 0.5 if decides else 1.0, 0.1, best, decides)]
        save(tmp_path, record)
    (row,) = findings(read_run(tmp_path))[0].rows
    assert row.value is not None
    assert (row.value.mean, row.value.count, row.undecided) == (0.5, 2, 1)
    assert "mean of 2 seeds, nothing decided in 1 more" in compared(row)
    assert "nothing decided in 1 more seed" in page_of(tmp_path).text


def test_seeds_in_doubt_count_in_the_mean_that_the_verdict_is_of(tmp_path: Path) -> None:
    """Those that gain most are the ones in doubt: without them the rest would say that nothing leaks."""
    for seed, value in ((1, 0.56), (2, 0.57), (3, 0.52)):
        record, doubted = made_record("unsplit", 1, seed, 0.5), value > 0.55
        told = score("model", "accuracy", value, 0.5, 0.95, not doubted)
        record["scores"] = [told | {"doubtful": doubted, "verdict": None if doubted else "no leak"}]
        save(tmp_path, record)
    (row,) = findings(read_run(tmp_path))[0].rows
    assert row.advantage is not None
    assert (row.advantage.count, row.undecided, row.seed_verdicts) == (3, 0, ("no leak",))
    assert row.advantage.mean == pytest.approx(0.111, abs=0.001)
    assert row.verdict == "partial leak"


def test_an_attacked_training_stands_beside_the_same_one_without_the_attack(tmp_path: Path) -> None:
    made = made_record("unsplit", 1, 1, 0.8)
    honest = [epoch | {"gradient_norm": 0.5, "label_gap": 0.3} for epoch in made["training"]]
    attacked = [epoch | {"accuracy": 0.2, "gradient_norm": 4.0, "label_gap": 0.0} for epoch in made["training"]]
    save(tmp_path / "honest", made | {"training": honest}, made_pictures())
    (panel,) = panels(findings(read_run(tmp_path / "honest")), ())
    assert [chart.title for chart in panel.training()] == ["Loss by epoch", "Test accuracy by epoch"]
    made["threat"]["tampers"] = True
    save(tmp_path / "attacked", made | {"training": attacked, "untampered": honest}, made_pictures())
    (panel,) = panels(findings(read_run(tmp_path / "attacked")), ())
    named = {c.title: [(line.label, line.dots[0].text) for line in c.lines] for c in panel.training()}
    assert named["Norm of the returned gradient by epoch"] == [
        ("cut 1", "cut 1, 1: 0.5"),
        ("cut 1 under unsplit", "cut 1 under unsplit, 1: 4"),
    ]
    assert [label for label, _ in named["Label gap of the returned gradient by epoch"]] == [
        "cut 1",
        "cut 1 under unsplit",
    ]
    assert [label for label, _ in named["Loss by epoch"]] == ["cut 1, 1 under unsplit"], "equal curves share a line"
    told = "Could the clients have noticed?"
    assert [told in page_of(tmp_path / run).text for run in ("honest", "attacked")] == [False, True]


@pytest.mark.parametrize(
    ("trained_at", "missing"),
    [({1: 1, 2: 1}, "3"), ({1: 1, 2: 3}, "1 (seed 2), 3 (seed 1)"), ({1: 3, 2: 3}, "1")],
)
def test_where_the_honest_gradients_are_missing_and_how_to_get_them_is_said(
    trained_at: dict[int, int], missing: str, tmp_path: Path
) -> None:
    for cut in (1, 3):
        for seed, where in trained_at.items():
            made = made_record("unsplit", cut, seed, 0.8)
            made["threat"]["tampers"] = True
            attacked = [epoch | {"gradient_norm": 4.0, "label_gap": 0.0} for epoch in made["training"]]
            honest = [epoch | ({"gradient_norm": 0.5} if cut == where else {}) for epoch in made["training"]]
            save(tmp_path / "some", made | {"training": attacked, "untampered": honest})
            save(tmp_path / "all", made | {"training": attacked, "untampered": attacked})
    said = f"Gradients of the honest training are missing at cut {missing}: it was made at another cut"
    assert said in page_of(tmp_path / "some").text
    assert "run this cut by itself" in page_of(tmp_path / "some").text
    assert "honest training are missing" not in page_of(tmp_path / "all").text


def test_an_adversary_is_told_with_every_setting_that_it_had(tmp_path: Path) -> None:
    for cut, kept, alpha in ((1, 412, 0.5), (3, 390, 0.5), (1, 412, 0.09)):
        record = made_record("unsplit", cut, 1, alpha)
        record["attack"] |= {
            "options": {"alpha": alpha, "tv": "squared"},
            "notes": {"kept_pairs": kept, "told": "once"},
        }
        record["experiment"]["options"] = {"unsplit": {"alpha": alpha}}
        save(tmp_path, record)
    (adversary,) = adversaries(findings(read_run(tmp_path)))
    assert adversary.options == {"alpha": "0.09 or 0.5", "tv": "squared"}
    assert adversary.notes == {
        "kept pairs": "412 (cut 1, alpha=0.09 and cut 1, alpha=0.5); 390 (cut 3, alpha=0.5)",
        "told": "once",
    }
    assert "alpha=0.09 or 0.5" in page_of(tmp_path).text


def test_the_accuracy_of_a_run_is_that_of_its_honest_trainings(tmp_path: Path) -> None:
    for name, attacks in (("mixed", ("fsha", "sladv", "unsplit")), ("attacked", ("fsha", "sladv"))):
        for attack, utility in zip(attacks, (0.2, 0.5, 0.9), strict=False):
            record = made_record("unsplit", 1, 1, 0.5) | {"utility": utility}
            record["cell"]["attack"], record["threat"]["tampers"] = attack, attack != "unsplit"
            save(tmp_path / name, record)
    told = {
        name: next(fact[1:] for fact in facts([e.record for e in read_run(tmp_path / name)]) if "accuracy" in fact[0])
        for name in ("mixed", "attacked")
    }
    assert told == {"mixed": ("90.0 %", ""), "attacked": ("20.0 to 50.0 %", "under attack")}
