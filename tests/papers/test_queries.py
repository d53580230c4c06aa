"""Table 5: queries that black-box inversion needs, and where the number says nothing."""

from __future__ import annotations

from pathlib import Path

from cutlayer.disk import write_whole
from cutlayer.papers.unsplit.queries import TABLE_5, needed
from cutlayer.record import AttackRun, Cell, Record, Score
from cutlayer.reproduction.block import Table, Text
from cutlayer.reproduction.found import as_experiment, find
from tests.reproduction.test_reproduction import leave


def test_queries_that_no_query_could_replace_are_said(tmp_path: Path) -> None:
    """An MSE that a blind guess has, too, takes no query at all."""
    for depth, value in ((1, 0.05), (2, 0.09)):
        leave(tmp_path, 1, value, depth)
        for number, seed in ((10, 1), (20, 1), (20, 2)):
            cell = next(
                cell
                for cell in TABLE_5.cells("quick")
                if (cell.values.get("inversion_black_box.queries"), cell.values["cut"]) == (number, str(depth))
            )
            score = Score(goal="inputs", metric="mse_published", value=0.9 / number, blind=0.058)
            record = Record(
                cell=Cell(attack="inversion_black_box", dataset="mnist", cut=str(depth), seed=seed),
                scores=(score,),
                attack=AttackRun(options={"queries": number}),
                experiment=as_experiment({**cell.values, "seed": seed}).model_dump(mode="json"),
            )
            write_whole(tmp_path / f"asked-{depth}-{number}-{seed}" / "record.json", record.model_dump_json())
    table, text = TABLE_5.blocks(find([tmp_path]))
    assert isinstance(table, Table)
    assert isinstance(text, Text)
    needed_at = {row[1]: row[table.heads.index("queries needed")] for row in table.rows}
    assert needed_at == {"1": "18.9", "2": "at most 10"}
    assert {(row[table.heads.index("its seeds")], row[table.heads.index("decoder's seeds")]) for row in table.rows} == {
        ("1", "1 to 2")
    }
    assert text.text.endswith("takes no query at all, at dataset / depth mnist / 2.")


def test_queries_are_counted_between_those_that_were_tried() -> None:
    tried = [(1, 0.2), (5, 0.1), (10, 0.05)]
    assert [needed(tried, aim) for aim in (0.3, 0.15, 0.1, 0.04)] == ["at most 1", "3.0", "5.0", "more than 10"]
