"""Tables of one's own: what becomes a feature, how rows are split, what cannot be learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest
import torch
from pyarrow import parquet

from cutlayer.dataset import DatasetError
from cutlayer.datasets import table
from cutlayer.experiment import make
from cutlayer.scene.settle import settle

ROWS = "age,job,owner,default\n"


def written(path: Path, rows: int = 20, start: int = 0, head: str = ROWS) -> Path:
    jobs = ("nurse", "clerk")
    lines = (f"{20 + n},{jobs[n % 2]},{'true' if n % 4 else 'false'},{'yes' if n % 5 else 'no'}" for n in range(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "\n".join(list(lines)[start:]) + "\n")
    return path


def test_numbers_are_scaled_by_the_training_rows_and_words_become_features(tmp_path: Path) -> None:
    written(tmp_path / "train.csv", 11)
    (tmp_path / "test.csv").write_text(f"{ROWS}25,clerk,true,no\n99,pilot,false,yes\n")
    found = table.load(tmp_path, label="default")
    assert found.features == ("age", "job=clerk", "job=nurse", "owner")
    assert found.classes == ("no", "yes")
    assert found.train.inputs[:, 0].tolist() == pytest.approx([n / 10 for n in range(11)])
    assert found.train.inputs[1].tolist() == pytest.approx([0.1, 1, 0, 1])
    # A word that no training row has is none of the known ones; a number beyond theirs is clipped.
    assert found.test.inputs.tolist() == [[0.5, 1, 0, 1], [1, 0, 0, 0]]
    assert (found.train.labels[:6].tolist(), found.test.labels.tolist()) == ([0, 1, 1, 1, 1, 0], [0, 1])
    assert found.source.startswith(f"{tmp_path}, sha256 ")


def test_a_single_file_is_split_by_seed_in_either_format(tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv")
    first, other = (table.load(path, label="default", split_seed=seed) for seed in (0, 1))
    assert first.test.labels.bincount().tolist() == [1, 3]
    assert len(first.train) == 16
    assert not torch.equal(first.test.inputs, other.test.inputs)
    ages, jobs = list(range(20, 40)), ["nurse", "clerk"] * 10
    columns = {"age": ages, "job": pyarrow.array(jobs).dictionary_encode(), "owner": [n % 4 > 0 for n in range(20)]}
    parquet.write_table(pyarrow.table({**columns, "default": [n % 5 > 0 for n in range(20)]}), tmp_path / "all.parquet")
    same = table.load(tmp_path / "all.parquet", label="default")
    assert (same.features, same.classes) == (first.features, ("False", "True"))
    assert torch.equal(same.train.inputs, first.train.inputs)
    assert torch.equal(same.test.labels, first.test.labels)


def test_a_table_that_was_changed_is_another_one(tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv")
    before = table.load(path, label="default").source
    assert table.load(path, label="default").source == before
    path.write_text(path.read_text().replace("30,nurse", "31,nurse"))
    assert table.load(path, label="default").source != before, "or old records and victims would stand for it"


AGREED = 'age = [0, 100]\njob = ["nurse", "clerk", "pilot"]\ndefault = ["yes", "no", "unknown"]\n'


def test_what_parties_agreed_on_makes_the_same_row_the_same_numbers_for_all(tmp_path: Path) -> None:
    whole, part = (written(tmp_path / name / "rows.csv", 40, start) for name, start in (("whole", 0), ("part", 20)))
    for path in (whole, part):
        (path.parent / "columns.toml").write_text(AGREED)
    own, agreed = (
        [table.load(p, label="default", columns=c) for p in (whole, part, part)] for c in ("", "columns.toml")
    )
    assert own[0].ranges[0] != own[1].ranges[0]
    assert {found.ranges for found in agreed} == {((0, 100), *[(0, 1)] * 3, (0, 1))}
    assert {found.features for found in agreed} == {("age", "job=nurse", "job=clerk", "job=pilot", "owner")}
    assert {found.classes for found in agreed} == {("yes", "no", "unknown")}
    rows = [{tuple(row) for split in (found.train, found.test) for row in split.inputs.tolist()} for found in agreed]
    assert rows[1] < rows[0]
    assert sorted(value for value, *_ in rows[1]) == pytest.approx([age / 100 for age in range(40, 60)])
    (part.parent / "columns.toml").write_text(AGREED.replace("100", "120"))
    assert table.load(part, label="default", columns="columns.toml").ranges[0] == (0, 120)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("age = [50]", r"age = \[50\]: a list of two numbers, or of different words"),
        ("age = [50, 20]", r"age = \[50, 20\]: the lowest number first"),
        (
            'age = ["a", "b"]',
            r"column 'age' has numbers, table.columns gives it \['a', 'b'\]: their lowest and highest",
        ),
        ('job = ["clerk", "pilot"]', "column 'job' has 'nurse', which table.columns does not list"),
        ('default = ["yes", "maybe"]', "column 'default' has 'no', which table.columns does not list"),
        ('jobs = ["clerk", "nurse"]', "table.columns says what 'jobs' is, which is no column; columns are age, job"),
        ("age = 0..5", "columns.toml cannot be read"),
    ],
)
def test_what_parties_cannot_have_agreed_on_is_one_clear_error(line: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv")
    (tmp_path / "columns.toml").write_text(line)
    with pytest.raises(DatasetError, match=said):
        table.load(path, label="default", columns="columns.toml")


@pytest.mark.parametrize("rows", [21, 1001])
def test_amounts_are_no_classes(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "loans.csv"
    path.write_text("age,amount\n" + "".join(f"{row},{row / 7}\n" for row in range(rows)))
    said = f"column 'amount' has {rows} different values in {rows} rows: .* can be put into a few ranges beforehand"
    with pytest.raises(DatasetError, match=said):
        table.load(path, label="amount")


def test_a_plus_can_stand_in_a_columns_name(tmp_path: Path) -> None:
    path = tmp_path / "loans.csv"
    path.write_text("a,b,a+b,c,a+\n" + "1,2,3,x,5\n1,2,4,y,6\n" * 4)
    cases = {"a+b": "a b a+", "b+a": "a+b a+", "a+b+b+a": "a+", "b+a+b": "a a+", "a+": "a b a+b", "a++b": "a a+b"}
    for drop, left in ((drop, left.split()) for drop, left in cases.items()):
        assert list(table.load(path, label="c", drop=drop).features) == left


def test_columns_that_are_dropped_are_no_features(tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv")
    assert table.load(path, label="default", drop="age+owner").features == ("job=clerk", "job=nurse")
    assert table.load(path, label="job", drop="age").classes == ("clerk", "nurse")


def test_it_is_split_by_any_model_for_tables(tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv")
    (scene, *_) = settle(make({"dataset": "table", "data_dir": path, "options": {"table": {"label": "default"}}}))
    assert (scene.experiment.model, scene.dataset.input_shape) == ("dense", (4,))


@pytest.mark.parametrize(
    ("head", "body", "options", "said"),
    [
        (
            ROWS,
            "1,a,true,x\n,b,true,y",
            {},
            r"column 'age' is empty in 2 of 4 rows: fill them, or leave .* table.drop=age",
        ),
        (ROWS, ",a,true,x\n2,b,true,y", {"label": "age"}, "column 'age', which is to be predicted, is empty in 2 rows"),
        (
            ROWS,
            "1,a,true,x\n2,b,true,x",
            {},
            "column 'default' has 1 different values in 4 rows: what .* are 2 to 1000 classes$",
        ),
        (ROWS, "1,,true,x\n2,b,true,y", {}, "column 'job' is empty in 2 of 4 rows"),
        (ROWS, "1,a,true,\n2,b,true,y", {}, "column 'default', which is to be predicted, is empty in 2 rows"),
        (ROWS, "inf,a,true,x\n2,b,true,y", {}, "column 'age' has values that are not finite"),
        (ROWS, "2026-01-01,a,true,x\n2026-01-02,b,true,y", {}, r"column 'age' is date32\[day\]: numbers, words and"),
        (ROWS, "1,a,true,x\n2,b,true,y", {"label": "yes"}, "there is no column 'yes'; columns are age, job, owner"),
        (ROWS, "1,a,true,x\n2,b,true,y", {"label": ""}, "which column is to be predicted.; columns are age, job"),
        (ROWS, "1,a,true,x\n2,b,true,y", {"drop": "sex"}, "table.drop names 'sex', which is no column"),
        (ROWS, "1,a,true,x\n2,b,true,y", {"drop": "default"}, "table.drop names 'default', which is the label"),
        (ROWS, "1,a,true,x\n2,b,true,y", {"drop": "age+job+owner"}, "there is no column beside 'default'"),
        (ROWS, "", {}, "has no rows"),
        ("a,a\n", "1,2\n3,4", {}, "has two columns of one name: a, a"),
        (ROWS, "1,a", {}, "cannot be read: .*Expected 4 columns, got 2"),
    ],
)
def test_what_cannot_be_learned_from_is_one_clear_error(
    head: str, body: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "all.csv"
    path.write_text(head + f"{body}\n" * 2 if body else head)
    with pytest.raises(DatasetError, match=said):
        table.load(path, **{"label": "default", **options})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("größe,default\n1,ja\n2,nein\n", "the names of its columns are not in UTF-8"),
        ("size,default\n1,ja\n2,nö\n", "column 'default' has words that are not in UTF-8"),
    ],
)
def test_a_csv_file_in_another_encoding_is_refused_by_name(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=rf"all.csv cannot be read: {said}"):
        table.load(path, label="default")


def test_a_class_that_only_the_test_part_has_is_named(tmp_path: Path) -> None:
    written(tmp_path / "train.csv")
    (tmp_path / "test.csv").write_text(f"{ROWS}25,clerk,true,perhaps\n")
    with pytest.raises(DatasetError, match=r"default = perhaps stands in .*test.csv and not in .*train.csv"):
        table.load(tmp_path, label="default")


def test_labels_that_are_lists_and_columns_named_by_numbers(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"a": [1, 2], "b": [[1], [2]]}), tmp_path / "all.parquet")
    with pytest.raises(DatasetError, match=r"column 'b' is list<.*>: classes are numbers, words or"):
        table.load(tmp_path / "all.parquet", label="b")
    path = written(tmp_path / "all.csv", head="0,1,2,3\n")
    (scene, *_) = settle(make({"dataset": "table", "data_dir": path, "options": {"table": {"label": 3, "drop": 0}}}))
    assert scene.dataset.features == ("1=clerk", "1=nurse", "2")


@pytest.mark.filterwarnings("error")
def test_a_range_that_no_number_can_hold_is_named_and_what_is_far_beyond_one_is_clipped(tmp_path: Path) -> None:
    wide = "x,default\n-1e308,yes\n1e308,no\n"
    (tmp_path / "test.csv").write_text(wide)
    (tmp_path / "train.csv").write_text(wide)
    said = r"column 'x' goes from -1e\+308 to 1e\+308, a range too large to be scaled: smaller .* table.drop=x"
    with pytest.raises(DatasetError, match=said):
        table.load(tmp_path, label="default")
    (tmp_path / "columns.toml").write_text("x = [-1e308, 1e308]")
    with pytest.raises(DatasetError, match=said):
        table.load(tmp_path, label="default", columns="columns.toml")
    (tmp_path / "train.csv").write_text(wide.replace("\n1e308", "\n-9e307"))
    found = table.load(tmp_path, label="default")
    assert (found.train.inputs.flatten().tolist(), found.test.inputs.flatten().tolist()) == ([0, 1], [0, 1])


def test_a_class_of_a_single_row_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "all.csv", 3)
    with pytest.raises(DatasetError, match="default = no stands in one row"):
        table.load(path, label="default")


def test_too_many_words_are_no_features(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("name,default\n" + "".join(f"n{n},{n % 2}\n" for n in range(300)))
    with pytest.raises(DatasetError, match="column 'name' has 240 different words, more than 100: fill them, or leave"):
        table.load(path, label="default")


def test_places_without_a_table_are_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    written(tmp_path / "half" / "train.csv")
    written(tmp_path / "off" / "train.csv")
    (tmp_path / "off" / "test.csv").write_text("age,default\n1,yes\n")
    for place, said in {
        "notes.txt": "is neither a .csv nor a .parquet file",
        "nowhere": "is neither a file nor a folder",
        "half": "must have one test.csv or test.parquet, and has 0",
        "off": "are age, default, those of train age, job, owner, default",
    }.items():
        with pytest.raises(DatasetError, match=said):
            table.load(tmp_path / place, label="default")
    with pytest.raises(DatasetError, match="needs data_dir=FILE"):
        table.load()


def test_a_label_that_is_no_number_is_no_class(tmp_path: Path) -> None:
    """Every NaN would be one: none equals another."""
    values = [float(n % 2) for n in range(18)] + [float("nan")] * 2
    parquet.write_table(pyarrow.table({"a": list(range(20)), "b": values}), tmp_path / "all.parquet")
    with pytest.raises(DatasetError, match="column 'b', which is to be predicted, is NaN in 2 rows"):
        table.load(tmp_path / "all.parquet", label="b")
