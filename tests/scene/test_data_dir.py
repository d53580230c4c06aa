"""Where several datasets of one experiment are read from."""

from __future__ import annotations

from pathlib import Path

import pytest

from cutlayer.experiment import make
from cutlayer.scene import loading
from tests.scenes import PLUGINS


@pytest.mark.parametrize(
    ("victim", "other", "there", "read_from"),
    [
        # Public data lie in folders of their names; what is not there is missed.
        ("mnist", "cifar10", False, "data"),
        ("digits", "cifar10", False, "data"),
        # One's own data are all that data_dir names, and may leave room for others.
        ("folder", "", False, "data"),
        ("folder", "mnist", False, None),
        ("folder", "mnist", True, "data"),
        ("table", "mnist", False, None),
        ("made", "mnist", False, None),
        ("made", "mnist", True, "data"),
        ("folder", "made", False, None),
        ("folder", "made", True, "data/made"),
    ],
)
def test_other_data_beside_ones_own_are_read_from_there_only_where_they_are(
    victim: str, other: str, there: bool, read_from: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_load", lambda name, place, *rest: (name, place))
    if there:
        (tmp_path / "data" / other).mkdir(parents=True)
    experiment = make({"dataset": victim, "data_dir": tmp_path / "data", "plugins": PLUGINS})
    place = tmp_path / read_from if read_from else None
    assert loading.load_dataset(experiment, other) == (other or victim, place)


def test_a_table_in_one_file_is_no_folder_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_load", lambda name, place, *rest: (name, place))
    (tmp_path / "loans.csv").write_text("a,b\n1,2\n")
    experiment = make({"dataset": "table", "data_dir": tmp_path / "loans.csv"})
    assert loading.load_dataset(experiment, "mnist") == ("mnist", None)
