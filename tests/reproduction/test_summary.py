"""The page of all papers: every headline has cells, a row says what its records say, the committed page is current."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from cutlayer.commands.reproduce import paper
from cutlayer.metric import Metric
from cutlayer.record import LEAK, NONE, AttackRun, Cell, Record, Score, read_record, write_record
from cutlayer.reproduction.cell import SCALES
from cutlayer.reproduction.comparison import Number
from cutlayer.reproduction.found import as_experiment, find
from cutlayer.reproduction.paper import Headline, Paper
from cutlayer.reproduction.summary import write_summary
from scripts import results

PAPERS = ("backdoor", "defenses", "inversion", "sladv", "unsplit")
ROOT = Path(__file__).parents[2]


def cells_of(headline: Headline) -> list[dict[str, object]]:
    """The values of the cells that it is measured by."""
    cells = [cell.values for scale in SCALES if scale != "smoke" for cell in headline.exhibit.cells(scale)]
    return [dict(values) for values in cells if all(values.get(key) == at for key, at in headline.wanted.items())]


@pytest.mark.parametrize("name", PAPERS)
def test_every_headline_is_a_cell_of_an_exhibit_of_its_paper(name: str) -> None:
    whole = paper(name)
    assert whole.headlines
    names = {exhibit.name for exhibit in whole.exhibits}
    for headline in whole.headlines:
        assert headline.exhibit.name in names, headline.what
        assert cells_of(headline), headline.what
    told = [(headline.what, headline.number.head) for headline in whole.headlines]
    assert len(set(told)) == len(told)


def rows(folder: Path, one: Headline) -> list[str]:
    """The lines of the summary's only table."""
    whole = Paper("Somebody (2020)", "", (one.exhibit,), (one,))
    write_summary(folder / "summary.md", {"some": (whole, find([folder]))}, "lead")
    return [line for line in (folder / "summary.md").read_text().splitlines() if line.startswith("|")]


def leave(folder: Path, headline: Headline, triples: Iterable[tuple[float, float, str | None]]) -> None:
    """A record of the headline's cell for each value, its blind value, and its verdict if it decides."""
    number, values = headline.number, cells_of(headline)[0]
    for seed, (value, blind, verdict) in enumerate(triples, start=1):
        found = Score(
            goal=number.goal, metric=number.metric, value=value, blind=blind, decides=bool(verdict), verdict=verdict
        )
        experiment = as_experiment({**values, "seed": seed})
        record = Record(
            cell=Cell(attack=experiment.attack, dataset=experiment.dataset, seed=seed),
            scores=(found,),
            attack=AttackRun(options=experiment.options.get(experiment.attack, {})),
            experiment=experiment.model_dump(mode="json"),
        )
        write_record(folder / str(seed), record, {})


def test_who_is_attacked_is_told_where_rows_are_of_several(tmp_path: Path) -> None:
    (one, *_) = (one for one in paper("sladv").headlines if one.beside)
    leave(tmp_path, one, [(0.2, 0.1, LEAK)])
    assert rows(tmp_path, one)[2].startswith(f"| {one.what} | ")
    record = read_record(tmp_path / "1")
    assert record is not None
    victim = Score(goal="evasion", metric="natural_accuracy", value=0.57, blind=0.57, decides=False)
    write_record(tmp_path / "1", record.changed(scores=(*record.scores, victim)), {})
    assert rows(tmp_path, one)[2].startswith(f"| {one.what} (clean accuracy 57.0 %) | ")


def test_a_row_counts_the_verdicts_of_the_seeds_where_anything_can_be_decided(tmp_path: Path) -> None:
    one = paper("backdoor").headlines[0]
    assert rows(tmp_path, one)[2].endswith("| ASR ↑ | not run | - | - | 99.6 % | - |")
    leave(tmp_path, one, [(0.5, 0.1, LEAK), (0.7, 0.1, LEAK), (0.1, 0.09, NONE), (0.9, 0.1, None)])
    row = rows(tmp_path, one)[2]
    left_out = "(of 4 seeds 1 left out, where nothing can be decided)"
    told = f"43.3 % (seeds: 10.0 %; 50.0 %; 70.0 %) {left_out}"
    assert f"| ASR ↑ | {told} | 9.7 % | leak 2, no leak 1 | 99.6 % |" in row


def test_what_a_number_is_only_read_against_has_a_row_where_records_have_it(tmp_path: Path) -> None:
    success, noise = paper("backdoor").headlines[:2]
    assert (noise.number.against, noise.wanted) == (success.number, success.wanted)
    assert len(rows(tmp_path, noise)) == 2
    leave(tmp_path, success, [(0.9, 0.1, LEAK), (0.8, 0.1, LEAK)])
    assert len(rows(tmp_path, noise)) == 2
    leave(tmp_path, noise, [(0.5, 0.1, None)])
    row = rows(tmp_path, noise)[2]
    assert "| ASR of noise | 50.0 % (1 of 2 seeds) | 10.0 % (without the attack) | - | - |" in row


def test_lower_is_better_where_the_number_says_so() -> None:
    record = Record(scores=(Score(goal="inputs", metric="mse", value=0.1, blind=0.2),))
    assert Number("MSE", Metric.MSE, lower_is_better=True).by_seed([record]) == "better 1 of 1"
    assert Number("MSE", Metric.MSE).by_seed([record]) == "better 0 of 1"
    assert Number("PSNR", Metric.PSNR).by_seed([record]) == "better 0 of 0"


def test_the_committed_summary_is_that_of_the_committed_records(tmp_path: Path) -> None:
    papers = {name: (paper(name), find([ROOT / "results" / name])) for name in PAPERS}
    write_summary(tmp_path / "summary.md", papers, results.summary(papers))
    assert (tmp_path / "summary.md").read_text() == (ROOT / "docs" / "results" / "summary.md").read_text()


def test_the_isolated_cell_that_speaks_for_others_is_taken_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ROOT", tmp_path)
    cells = tmp_path / "runs" / "backdoor" / "cells"
    leave(cells, paper("backdoor").headlines[0], [(0.1, 0.2, None)])
    (found,) = find([cells]).runs
    said = {"isolated": False, "verified_by": found.folder.name, "started": "2026-01-02"}
    write_record(cells / "beside", found.record.model_copy(update=said))
    results.take("backdoor", [cells])
    assert sorted(path.name for path in (tmp_path / "results" / "backdoor").iterdir()) == [
        *sorted([found.folder.name, "beside"])
    ]
    assert "1 of these name an isolated cell" in results.how_made(find([tmp_path / "results"]))


def test_the_page_says_how_the_records_of_all_papers_were_measured(tmp_path: Path) -> None:
    papers = {}
    for name, isolated, dirty in (("backdoor", False, True), ("unsplit", True, False), ("sladv", False, False)):
        leave(tmp_path / name, paper(name).headlines[0], [(0.1, 0.2, None)])
        (path,) = (tmp_path / name).glob("**/record.json")
        record = find([tmp_path / name]).runs[0].record
        changed = record.model_copy(update={"isolated": isolated, "code": {"dirty": dirty}})
        path.write_text(changed.model_dump_json())
        papers[name] = (paper(name), find([tmp_path / name]))
    told = results.summary(papers)
    assert "from the 3 records in `results/`. 2 of them were measured with the attack in the judge's process" in told
    assert "not isolated; none was checked against an isolated run of the same cell; tests make that check on" in told
    assert " 1 were made with changes that were not committed" in told


@pytest.mark.slow
def test_committed_pages_are_those_of_the_committed_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.setattr(results, "ROOT", tmp_path)
    results.main([])
    written = sorted((tmp_path / "docs" / "results").glob("*.md"))
    assert [page.stem for page in written] == [*PAPERS[:4], "summary", "unsplit"]
    for page in written:
        assert page.read_text() == (ROOT / "docs" / "results" / page.name).read_text(), page.name
